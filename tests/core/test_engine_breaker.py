"""Circuit breakers: a service that goes away, is left alone, and comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from osiris.core import engine
from osiris.core.engine import RunReport
from osiris.core.errors import DriverError, OsirisError
from osiris.core.execution_adapter import ExecutionContext, RunOptions

Register = Callable[..., None]
MAIN = {"host": "main"}
OTHER = {"host": "other"}


class Service:
    """Down for its first ``down`` calls; counts who calls."""

    def __init__(self, down: int, retryable: bool = True) -> None:
        self.down, self.retryable = down, retryable
        self.calls: list[str] = []

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.calls.append(step_id)
        if len(self.calls) <= self.down:
            raise DriverError("no answer", code="test.down", retryable=self.retryable)
        return {}


@pytest.fixture
def one_by_one(context: ExecutionContext) -> ExecutionContext:
    context.options = RunOptions(parallel=1)
    return context


def run(context: ExecutionContext, steps: list[dict[str, Any]], **top: Any) -> tuple[RunReport, OsirisError | None]:
    given = {"version": "1.0.0", "defaults": {"on_error": "continue"}, "steps": steps, **top}
    prepared, report = engine.prepare(given, context), RunReport()
    try:
        engine.run(prepared, context, report)
    except OsirisError as error:
        return report, error
    return report, None


def call(id: str, connection: Any = MAIN, **keys: Any) -> dict[str, Any]:
    return {"id": id, "driver": "test.call", "config": {"connection": connection}, **keys}


def circuit(context: ExecutionContext) -> list[str]:
    return [event["event"] for event in context.events if event["event"].startswith("circuit")]


def test_after_so_many_failures_nobody_calls_any_more(register: Register, one_by_one: ExecutionContext) -> None:
    service = Service(down=100)
    register("test.call", service, connection_family="test")
    report, _ = run(one_by_one, [call(f"s{n}") for n in range(8)], breaker={"failures": 3, "pause": "1h"})
    assert service.calls == ["s0", "s1", "s2"]
    assert {step.status for step in report.steps.values()} == {"failed"}
    refused = report.steps["s3"].error
    assert isinstance(refused, OsirisError)
    assert refused.code == "connection.circuit_open"
    assert "no answer" in refused.message, "the reason is named"
    assert 0 < refused.facts["retry_after"] <= 3600
    assert circuit(one_by_one) == ["circuit_opened"]


def test_it_comes_back(register: Register, one_by_one: ExecutionContext) -> None:
    service = Service(down=3)
    register("test.call", service, connection_family="test")
    # Each refused step waits as long as the breaker says, and then is the one that may try.
    retry = {"attempts": 6, "delay": 0, "jitter": 0}
    report, error = run(
        one_by_one, [call(f"s{n}", retry=retry) for n in range(3)], breaker={"failures": 2, "pause": "20ms"}
    )
    assert error is None
    assert [step.status for step in report.steps.values()] == ["success"] * 3
    assert circuit(one_by_one) == [
        "circuit_opened", "circuit_half_open", "circuit_reopened", "circuit_half_open", "circuit_closed",
    ]  # fmt: skip
    assert service.calls == ["s0"] * 4 + ["s1", "s2"]


def test_each_connection_has_its_own(register: Register, one_by_one: ExecutionContext) -> None:
    service = Service(down=2)
    register("test.call", service, connection_family="test")
    report, _ = run(
        one_by_one,
        [call("a"), call("b"), call("c"), call("d", OTHER)],
        breaker={"failures": 2, "pause": "1h"},
    )
    assert service.calls == ["a", "b", "d"]
    assert report.steps["d"].status == "success"


def test_errors_that_do_not_pass_open_nothing(register: Register, one_by_one: ExecutionContext) -> None:
    service = Service(down=100, retryable=False)
    register("test.call", service, connection_family="test")
    run(one_by_one, [call(f"s{n}") for n in range(8)], breaker={"failures": 3})
    assert len(service.calls) == 8


def test_a_success_in_between_begins_the_count_again(register: Register, one_by_one: ExecutionContext) -> None:
    class EveryThird(Service):
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            self.calls.append(step_id)
            if len(self.calls) % 3:
                raise DriverError("no answer", code="test.down", retryable=True)
            return {}

    service = EveryThird(0)
    register("test.call", service, connection_family="test")
    run(one_by_one, [call(f"s{n}") for n in range(9)], breaker={"failures": 3, "pause": "1h"})
    assert len(service.calls) == 9


def test_without_breakers(register: Register, one_by_one: ExecutionContext) -> None:
    service = Service(down=100)
    register("test.call", service, connection_family="test")
    run(one_by_one, [call(f"s{n}") for n in range(8)], breaker=False)
    assert len(service.calls) == 8


@pytest.mark.parametrize(
    ("breaker", "told_of"),
    [
        (5, "breaker must be a mapping"),
        ({"failures": 0}, "breaker.failures must be a whole number from 1, but is 0"),
        ({"pause": "long"}, "breaker.pause must be a time, but is 'long'"),
        ({"pauze": 1}, "unknown key 'pauze' in breaker"),
    ],
)
def test_mistakes(register: Register, context: ExecutionContext, breaker: Any, told_of: str) -> None:
    register("test.call", Service(0), connection_family="test")
    with pytest.raises(OsirisError) as caught:
        engine.prepare({"version": "1.0.0", "breaker": breaker, "steps": [call("a")]}, context)
    assert told_of in caught.value.message

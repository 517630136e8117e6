"""Streams that are cut, end, fall silent and lose lines: every event arrives once and in order all the same."""

from __future__ import annotations

from typing import Any

import pytest
from e2b_server import E2BServer

from osiris.core.errors import UnreachableError
from osiris.core.events.bus import EventBus

from .conftest import InSandbox, Listener, names, only, pairs_are_complete, rogue_steps

TOLD = 3000
TIMES = 15_000
"""So many are two megabytes."""

pytestmark = pytest.mark.usefixtures("rogue")


def numbers(context: Any) -> list[int]:
    return [event["number"] for event in context.events if event["event"] == "told"]


def whole(result: Any, context: Any, times: int = TOLD) -> bool:
    assert result.status == "success", result.error
    assert numbers(context) == list(range(times))
    assert names(context).count("step_complete") == 1
    return pairs_are_complete(context)


@pytest.mark.parametrize("how", ["reset", "close", "end", "error"])
def test_streams_that_are_cut_again_and_again(how: Any, cloud: E2BServer, run: InSandbox) -> None:
    before = len(cloud.log.of("process.Connect"))
    cloud.faults.cut_next_streams(how, after_bytes=200_000, times=None)  # by bytes: a fast machine needs no second
    result, context = run(rogue_steps({"do": "tell", "times": TIMES}))
    assert whole(result, context, TIMES)
    assert len(cloud.log.of("process.Connect")) - before > 3


@pytest.mark.parametrize("where", ["mid_line", "mid_frame"])
def test_streams_that_are_cut_inside_a_line(where: Any, cloud: E2BServer, run: InSandbox) -> None:
    for size in (20_000, 40_000, 60_000):
        cloud.faults.cut_next_streams("close", where=where, after_bytes=size, operation="process.Start")
        cloud.faults.cut_next_streams("end", where=where, after_bytes=size, operation="process.Connect")
    result, context = run(rogue_steps({"do": "tell", "times": TOLD}))
    assert whole(result, context)


def test_a_black_hole_is_left(cloud: E2BServer, run: InSandbox) -> None:
    """Nothing comes any more and nothing ends: the silence is noticed, and what was said meanwhile is said again."""
    bus = EventBus("run")

    def fall(event: Any) -> None:
        cloud.faults.black_hole()
        cloud.faults.clear()  # what is in the hole stays there; the next stream gets through

    listener = Listener("step_start", fall)
    bus.subscribe(listener)
    result, context = run(rogue_steps({"do": "tell", "times": TOLD}), heartbeat=0.2, context={"bus": bus})
    assert listener.heard.is_set()
    assert whole(result, context)


def test_a_sandbox_that_cannot_be_reached_for_a_while(cloud: E2BServer, run: InSandbox) -> None:
    bus = EventBus("run")

    def away(event: Any) -> None:
        for operation in ("process.Connect", "process.SendInput", "health"):
            cloud.faults.respond(operation, 503, times=3)
        cloud.faults.cut_streams()

    bus.subscribe(Listener("step_start", away))
    result, context = run(rogue_steps({"do": "tell", "times": TOLD}), context={"bus": bus})
    assert whole(result, context)


def test_a_hundred_thousand_events(run: InSandbox) -> None:
    result, context = run(rogue_steps({"do": "tell", "times": 100_000}))
    assert whole(result, context, 100_000)


def test_what_drivers_print_does_not_break_the_protocol(run: InSandbox, capfd: pytest.CaptureFixture[str]) -> None:
    result, context = run(rogue_steps({"do": "print_garbage"}))
    assert result.status == "success", result.error
    assert only(context, "survived")["still"] == "here"
    out, err = capfd.readouterr()
    assert out == ""
    for said in ("forged", "garbage", "finished", "from C", "from a child"):
        assert said in err


def test_an_event_that_is_too_long_is_told_shortened(run: InSandbox) -> None:
    result, context = run(rogue_steps({"do": "tell_huge"}))
    assert result.status == "success", result.error
    assert only(context, "huge")["number"] == 7
    assert "truncated" in only(context, "huge")
    assert only(context, "after")


def test_a_network_that_does_not_come_back(cloud: E2BServer, run: InSandbox) -> None:
    bus = EventBus("run")

    def away(event: Any) -> None:
        cloud.faults.respond("process.Connect", 503, times=None)
        cloud.faults.cut_streams()

    bus.subscribe(Listener("waiting", away))
    result, context = run(rogue_steps({"do": "wait"}), context={"bus": bus}, patience=3)
    assert isinstance(result.error, UnreachableError)
    assert result.error.code == "e2b.unreachable"
    assert pairs_are_complete(context)

"""From a manifest to a prepared run: connections unfolded, secrets fetched and kept apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osiris.core import engine
from osiris.core.errors import ConnectionConfigError, PlanError
from osiris.core.execution_adapter import ExecutionContext

Register = Callable[..., None]
CONNECTIONS = """\
connections:
  test:
    main:
      host: db.example
      password: ${TEST_PASSWORD}
"""


class Seeing:
    """Keeps what it was given."""

    def __init__(self) -> None:
        self.config: Any = None
        self.connection: Any = None

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.config, self.connection = config, ctx.connection
        return {}


@pytest.fixture
def seeing(register: Register) -> Seeing:
    driver = Seeing()
    register("test.reader", driver, connection_family="test")
    return driver


def manifest(**config: Any) -> dict[str, Any]:
    return {"version": "1.0.0", "name": "t", "steps": [{"id": "a", "driver": "test.reader", "config": config}]}


def test_configs_hold_references_and_only_the_environment_values(
    seeing: Seeing, context: ExecutionContext, tmp_path: Path
) -> None:
    (tmp_path / "osiris_connections.yaml").write_text(CONNECTIONS)
    context.environment = {"TEST_PASSWORD": "pw-canary-1", "OTHER": "not-needed"}
    prepared = engine.prepare(manifest(connection="@test.main", table="t"), context)
    assert prepared.configs["a"] == {
        "connection": "@test.main",
        "table": "t",
        "resolved_connection": {"host": "db.example", "password": "${TEST_PASSWORD}"},
    }
    assert prepared.environment == {"TEST_PASSWORD": "pw-canary-1"}
    assert "pw-canary-1" not in repr(prepared)
    engine.run(prepared, context)
    assert seeing.config == {"connection": "@test.main", "table": "t"}
    assert seeing.connection == {"host": "db.example", "password": "pw-canary-1"}
    (event,) = [e for e in context.events if e["event"] == "connection_resolved"]
    assert event["connection"] == "@test.main"  # type: ignore[typeddict-item]


def test_a_connection_written_in_the_step(seeing: Seeing, context: ExecutionContext) -> None:
    context.environment = {"PW": "pw-canary-2"}
    engine.run(engine.prepare(manifest(connection={"host": "h", "password": "${PW}"}), context), context)
    assert seeing.connection == {"host": "h", "password": "pw-canary-2"}


def test_secrets_in_a_config_and_escaped_references(seeing: Seeing, context: ExecutionContext) -> None:
    context.environment = {"TOKEN": "tok-canary-3"}
    given = manifest(header="Bearer ${TOKEN}", default="${UNSET:-none}", text="$${TOKEN}")
    engine.run(engine.prepare(given, context), context)
    assert seeing.config == {"header": "Bearer tok-canary-3", "default": "none", "text": "${TOKEN}"}


def test_an_escaped_reference_without_any_secret(seeing: Seeing, context: ExecutionContext) -> None:
    engine.run(engine.prepare(manifest(text="$${TOKEN}"), context), context)
    assert seeing.config == {"text": "${TOKEN}"}


def test_missing_variables_are_all_named_with_their_place(
    seeing: Seeing, context: ExecutionContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_PASSWORD", raising=False)
    (tmp_path / "osiris_connections.yaml").write_text(CONNECTIONS)
    with pytest.raises(ConnectionConfigError) as caught:
        engine.prepare(manifest(connection="@test.main", token="${NO_SUCH_TOKEN}"), context)
    in_file, in_step = sorted(caught.value.problems, key=lambda problem: problem.message, reverse=True)
    told = f"{in_file.message} {in_step.message}"
    assert "TEST_PASSWORD" in told
    assert "@test.main" in told
    assert "NO_SUCH_TOKEN" in told
    assert "step a" in told
    assert {p.line for p in caught.value.problems} == {5, None}


def test_the_plan_that_was_made_before_is_used(seeing: Seeing, context: ExecutionContext) -> None:
    first = engine.prepare(manifest(), context)
    context.plan = first.package
    assert engine.prepare(first.manifest, context).package is first.package
    assert engine.prepare(manifest(), context).package is not first.package


def test_an_unknown_connection_is_refused(seeing: Seeing, context: ExecutionContext) -> None:
    with pytest.raises(PlanError, match=r"@test\.nope"):
        engine.prepare(manifest(connection="@test.nope"), context)

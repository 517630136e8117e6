"""The local adapter, used directly: the code of the guides as users know it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.driver import DriverRegistry
from osiris.core.errors import CollectError, PlanError
from osiris.core.execution_adapter import ExecutionContext
from osiris.runtime.local_adapter import LocalAdapter

Register = Callable[..., None]
MANIFEST = {"version": "1.0.0", "steps": [{"id": "test_step", "driver": "test.driver", "config": {"test": True}}]}


class TestDriver:
    __test__ = False

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.calls.append((step_id, dict(config), dict(inputs)))
        ctx.log_metric("rows_read", 2)
        return {"df": [{"a": 1}, {"a": 2}]}


def run(context: Any) -> dict[str, Any]:
    adapter = LocalAdapter()
    prepared = adapter.prepare(MANIFEST, context)
    adapter.execute(prepared, context)
    results = dict(adapter.collect(prepared, context))
    adapter.close()
    adapter.close()
    return results


def test_the_guide(register: Register, tmp_path: Path) -> None:
    driver = TestDriver()
    register("test.driver", driver)
    results = run(ExecutionContext(session_id="test_run", artifacts_dir=tmp_path / "artifacts"))
    assert results["status"] == "success"
    assert results["steps_completed"] == 1
    assert results["total_rows"] == 2
    assert results["environment"] == "local"
    assert driver.calls == [("test_step", {"test": True}, {})]


def test_the_other_guide(register: Register, tmp_path: Path) -> None:
    register("test.driver", TestDriver())
    context = ExecutionContext(
        session_id="test_123",
        session_dir=str(tmp_path),
        verbose=True,
        timeout=300,
        environment={"MYSQL_PASSWORD": "test"},
    )
    adapter = LocalAdapter()
    prepared = adapter.prepare(MANIFEST, context)
    assert prepared.configs == {"test_step": {"test": True}}
    assert prepared.run_id == "test_123"
    assert Path(prepared.artifacts_dir or "") == tmp_path / "artifacts"
    adapter.execute(prepared, context)
    assert adapter.collect(prepared, context)["status"] == "success"
    assert "step_complete" in [event["event"] for event in context.events]


def test_a_context_of_the_users_own(register: Register, tmp_path: Path) -> None:
    class MockExecutionContext:
        session_id = "mine"
        artifacts_dir = tmp_path / "artifacts"

        def __init__(self) -> None:
            self.told: list[str] = []

        def log_event(self, event: str, data: Any = None) -> None:
            self.told.append(event)

        def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
            self.told.append(metric)

    register("test.driver", TestDriver())
    context = MockExecutionContext()
    assert run(context)["steps_completed"] == 1
    assert {"step_start", "step_complete", "rows_read"} <= set(context.told)


def test_a_driver_registered_through_the_adapter_or_a_registry_of_ones_own(tmp_path: Path) -> None:
    adapter = LocalAdapter()
    adapter.driver_registry.register("test.driver", TestDriver())
    try:
        assert "test.driver" in DriverRegistry().list_drivers()
        assert run(ExecutionContext("s", tmp_path))["status"] == "success"
    finally:
        DriverRegistry.unregister("test.driver")


def test_the_factory_makes_it() -> None:
    assert "local" in AdapterFactory.available()
    assert isinstance(AdapterFactory.create("local"), LocalAdapter)


def test_prepare_runs_nothing_and_refuses_what_cannot_run(register: Register, tmp_path: Path) -> None:
    driver = TestDriver()
    register("test.driver", driver)
    context = ExecutionContext("s", tmp_path / "session")
    LocalAdapter().prepare(MANIFEST, context)
    assert driver.calls == []
    assert not (tmp_path / "session").exists(), "nothing is written either"
    doubled = {"version": "1.0.0", "steps": [*MANIFEST["steps"], *MANIFEST["steps"]]}  # type: ignore[misc]
    with pytest.raises((PlanError, Exception), match="test_step"):
        LocalAdapter().prepare(doubled, context)


def test_collect_before_execute_is_refused(register: Register, tmp_path: Path) -> None:
    register("test.driver", TestDriver())
    adapter, context = LocalAdapter(), ExecutionContext("s", tmp_path)
    prepared = adapter.prepare(MANIFEST, context)
    with pytest.raises(CollectError, match="not executed"):
        adapter.collect(prepared, context)

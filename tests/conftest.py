"""What all tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.driver import DriverRegistry, DriverSpec
from osiris.core.execution_adapter import ExecutionContext

pytest_plugins = ["pytester", "osiris.testing.pytest_plugin"]

Register = Callable[..., None]


@pytest.fixture
def register() -> Iterator[Register]:
    """Register drivers for one test: ``register("test.x", driver, role="writer", ...)``; fields of DriverSpec."""
    names: list[str] = []

    def add(name: str, driver: Any, **spec: Any) -> None:
        names.append(name)
        described = DriverSpec(name=name, summary="for a test", factory="", **spec) if spec else None
        DriverRegistry.register(name, driver, spec=described)

    yield add
    for name in names:
        DriverRegistry.unregister(name)


@pytest.fixture
def register_adapter() -> Iterator[Register]:
    """Register adapters for one test."""
    names: list[str] = []

    def add(name: str, adapter: Any) -> None:
        names.append(name)
        AdapterFactory.register(name, adapter)

    yield add
    for name in names:
        AdapterFactory.unregister(name)


@pytest.fixture
def context(tmp_path: Path) -> ExecutionContext:
    """A run in a folder of its own; relative paths begin in ``tmp_path``."""
    return ExecutionContext("test_run", tmp_path / "session", base_dir=tmp_path, project_dir=tmp_path)

"""The local adapter keeps the contract, in this process and in one of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from osiris.core.execution_adapter import ExecutionAdapter
from osiris.runtime.local_adapter import LocalAdapter
from osiris.testing import AdapterContract


class TestLocal(AdapterContract):
    @pytest.fixture
    def adapter_name(self) -> str:
        return "local"


class TestIsolated(AdapterContract):
    @pytest.fixture
    def adapter_name(self) -> str:
        return "local"

    @pytest.fixture
    def adapter(self) -> Callable[[], ExecutionAdapter]:
        return lambda: LocalAdapter(isolation="process")

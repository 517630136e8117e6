"""The adapter of a sample package that wraps the engine in this process keeps the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from osiris.core.execution_adapter import ExecutionAdapter
from osiris.testing import AdapterContract

PACKAGE = Path(__file__).resolve().parents[1] / "plugins" / "good"


class TestAcme(AdapterContract):
    @pytest.fixture
    def adapter_name(self) -> str:
        return "acme"

    @pytest.fixture
    def extra_events(self) -> tuple[str, ...]:
        return ("room_opened",)

    @pytest.fixture
    def adapter(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], ExecutionAdapter]:
        monkeypatch.syspath_prepend(str(PACKAGE))
        from acme.adapter import AcmeAdapter

        return AcmeAdapter

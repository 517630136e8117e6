"""A pipeline cannot tell that it runs elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
from elsewhere_osiris.adapter import ElsewhereAdapter

from osiris.core.errors import PrepareError, UsageError
from osiris.core.execution_adapter import ExecutionContext, PreparedRun
from osiris.testing import AdapterContract

PIPELINE = {
    "version": "1.0.0",
    "steps": [{"id": "orders", "driver": "filesystem.csv_extractor", "config": {"path": "orders.csv"}}],
}


class TestElsewhere(AdapterContract):
    @pytest.fixture
    def adapter_name(self) -> str:
        return "elsewhere"

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Callable[[], ElsewhereAdapter]:
        rooms = tmp_path / "rooms"
        rooms.mkdir()
        return lambda: ElsewhereAdapter(root=str(rooms))

    @pytest.fixture
    def extra_events(self) -> tuple[str, ...]:
        return ("files_brought_home",)


def test_nothing_is_left_there(tmp_path: Path) -> None:
    context = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path)
    (tmp_path / "rooms").mkdir()
    adapter = ElsewhereAdapter(root=str(tmp_path / "rooms"))
    adapter.prepare(PIPELINE, context)
    assert list((tmp_path / "rooms").iterdir()) != []
    adapter.close()
    assert list((tmp_path / "rooms").iterdir()) == []


def test_a_root_that_does_not_exist(tmp_path: Path) -> None:
    context = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path)
    with pytest.raises(PrepareError, match="there is no room") as caught:
        ElsewhereAdapter(root=str(tmp_path / "nowhere")).prepare(PIPELINE, context)
    assert caught.value.code == "elsewhere.no_room"


def test_execute_without_prepare(tmp_path: Path) -> None:
    context = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path)
    with pytest.raises(UsageError, match="nothing is prepared"):
        ElsewhereAdapter().execute(PreparedRun(), context)

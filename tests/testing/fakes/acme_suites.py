"""The suites with which the stranger tests drivers of this kind, whatever they are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from acme_drivers import stored

from osiris.testing import DriverContract, ExtractorContract, TransformContract, WriterContract


class AcmeSuite(DriverContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return f"acme.{type(self).__name__.removeprefix('Test').lower()}"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "place"
        folder.mkdir(exist_ok=True)
        return folder

    @pytest.fixture
    def connection(self, folder: Path) -> dict[str, str]:
        return {"folder": str(folder), "password": "open sesame"}

    @pytest.fixture
    def failing_connection(self, tmp_path: Path) -> dict[str, str]:
        return {"folder": str(tmp_path / "elsewhere"), "password": "open sesame"}

    @pytest.fixture
    def stream_rows(self) -> int:
        return 12_000

    @pytest.fixture
    def cancel_seconds(self) -> float:
        return 5.0


class ReaderSuite(AcmeSuite, ExtractorContract):
    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"table": "things"}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"table": "no_such_table"}

    @pytest.fixture
    def load(self, folder: Path) -> Callable[[pa.Table], None]:
        def put(table: pa.Table) -> None:
            with pa.OSFile(str(folder / "things.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as sink:
                sink.write_table(table, max_chunksize=10_000)

        return put


class PasserSuite(AcmeSuite, TransformContract):
    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"without": "no_such_column"}


class WriterSuite(AcmeSuite, WriterContract):
    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"table": "things"}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"table": "forbidden"}

    @pytest.fixture
    def modes(self) -> dict[str, dict[str, Any]]:
        return {mode: {"mode": mode} for mode in ("append", "replace", "upsert", "fail")}

    @pytest.fixture
    def read_back(self, folder: Path) -> Callable[[], pa.Table | None]:
        path = folder / "things.arrow"
        return lambda: stored(path) if path.exists() else None

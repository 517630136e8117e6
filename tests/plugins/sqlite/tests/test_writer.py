"""The writer keeps what every writer keeps, and refuses what SQLite would change."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlite_osiris.extractor import Extractor
from sqlite_osiris.writer import Writer

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.testing import RecordingStepContext, WriterContract

CONFIG = {"connection": "@sqlite.main", "table": "orders"}


class TestWriter(WriterContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "sqlite.writer"

    @pytest.fixture
    def connection(self) -> Mapping[str, Any]:
        return {"path": "shop.db"}

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {**CONFIG, "write_mode": "replace"}

    @pytest.fixture
    def modes(self) -> Mapping[str, Mapping[str, Any]]:
        upsert = {"write_mode": "upsert", "primary_key": ["id"]}
        return {"append": {"write_mode": "append"}, "replace": {"write_mode": "replace"}, "upsert": upsert}

    @pytest.fixture
    def failing_config(self, tmp_path: Path) -> dict[str, Any]:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
            database.execute("create table others (something text)")
        return {**CONFIG, "table": "others"}

    @pytest.fixture
    def failing_connection(self) -> Mapping[str, Any]:
        return {"path": "no_such_folder/shop.db"}

    @pytest.fixture
    def unsupported(self) -> frozenset[str]:
        return frozenset({"no_columns"})

    @pytest.fixture
    def lossless_types(self) -> Mapping[str, pa.DataType]:
        return {"instant": pa.timestamp("us", tz="UTC")}

    @pytest.fixture
    def read_back(self, tmp_path: Path) -> Callable[[], pa.Table | None]:
        def read() -> pa.Table | None:
            ctx = RecordingStepContext(tmp_path, connection={"path": "shop.db"})
            config = {"connection": "@sqlite.main", "table": "orders"}
            extractor = Extractor()
            try:
                return Dataset.of(extractor.run(step_id="read", config=config, inputs={}, ctx=ctx)["df"]).table()
            except DriverError:
                return None
            finally:
                extractor.close()

        return read


def write(ctx: RecordingStepContext, table: pa.Table, **options: Any) -> None:
    Writer().run(step_id="step", config={**CONFIG, **options}, inputs={"df": Dataset.of(table)}, ctx=ctx)


@pytest.fixture
def ctx(tmp_path: Path) -> RecordingStepContext:
    return RecordingStepContext(tmp_path, connection={"path": "shop.db", "timeout": 0})


@pytest.mark.parametrize(
    ("column", "code"),
    [
        (pa.array([float("nan")]), "sqlite.value"),
        (pa.array([2**64 - 1], pa.uint64()), "sqlite.type"),
        (pa.array([[1, 2]]), "sqlite.type"),
    ],
)
def test_what_sqlite_cannot_keep_is_refused(ctx: RecordingStepContext, column: pa.Array, code: str) -> None:
    with pytest.raises(DriverError, match="column 'odd'") as caught:
        write(ctx, pa.table({"id": [1], "odd": column}))
    assert caught.value.code == code


def test_a_table_of_other_columns_is_not_appended_to(ctx: RecordingStepContext) -> None:
    write(ctx, pa.table({"id": [1]}), commit_marker=False)
    for table, told in ((pa.table({"id": ["x"]}), "is of type int64"), (pa.table({"new": [1]}), "is not there")):
        with pytest.raises(DriverError, match=told) as caught:
            write(ctx, table)
        assert caught.value.code == "sqlite.columns_differ"


def test_a_second_key_is_an_error_of_the_rows(ctx: RecordingStepContext) -> None:
    with pytest.raises(DriverError) as caught:
        write(ctx, pa.table({"id": [1, 1]}), primary_key=["id"])
    assert caught.value.code == "sqlite.constraint"


def test_a_lock_is_worth_another_try(ctx: RecordingStepContext) -> None:
    with closing(sqlite3.connect(ctx.base_dir / "shop.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(DriverError) as caught:
            write(ctx, pa.table({"id": [1]}))
    assert (caught.value.code, caught.value.retryable) == ("sqlite.locked", True)


def test_without_the_marker_nothing_is_known(ctx: RecordingStepContext) -> None:
    write(ctx, pa.table({"id": [1]}), commit_marker=False)
    assert Writer().committed("step", CONFIG, ctx) is None
    with closing(sqlite3.connect(ctx.base_dir / "shop.db")) as database:
        assert database.execute("select name from sqlite_master where type = 'table'").fetchall() == [("orders",)]


def test_a_path_with_odd_characters(ctx: RecordingStepContext) -> None:
    ctx.connection = {"path": "50% off?#1 ü.db"}
    write(ctx, pa.table({'a "b" c': [1], "id": [1]}))
    assert (ctx.base_dir / "50% off?#1 ü.db").exists()
    assert Writer().check(CONFIG, ctx)["path"].endswith("ü.db")

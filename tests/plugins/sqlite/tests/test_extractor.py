"""The extractor keeps what every extractor keeps, and reads tables that it did not make."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlite_osiris.extractor import Extractor
from sqlite_osiris.values import declared_type, from_arrow

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.testing import ExtractorContract, RecordingStepContext

FOREVER = (
    "(with recursive c(x) as (select 1 union all select x + 1 from c limit 9000000000000) select count(*) from c) > 0"
)
CONFIG = {"connection": "@sqlite.main", "table": "orders"}


class TestExtractor(ExtractorContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "sqlite.extractor"

    @pytest.fixture
    def connection(self) -> Mapping[str, Any]:
        return {"path": "shop.db"}

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return CONFIG

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {**CONFIG, "table": "not_there"}

    @pytest.fixture
    def failing_connection(self) -> Mapping[str, Any]:
        return {"path": "no_such_folder/shop.db"}

    @pytest.fixture
    def slow_config(self) -> dict[str, Any]:
        return {**CONFIG, "where": FOREVER}

    @pytest.fixture
    def unsupported(self) -> frozenset[str]:
        return frozenset({"no_columns"})

    @pytest.fixture
    def lossless_types(self) -> Mapping[str, pa.DataType]:
        return {"instant": pa.timestamp("us", tz="UTC")}  # the same instants, without the place's name

    @pytest.fixture
    def load(self, tmp_path: Path) -> Callable[[pa.Table], object]:
        def make(table: pa.Table) -> None:
            with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
                database.execute("drop table if exists orders")
                columns = ", ".join(f'"{field.name}" {declared_type(field)}' for field in table.schema)
                database.execute(f"create table orders ({columns})")
                for batch in table.to_batches(max_chunksize=1000):
                    values = [from_arrow(column, "") for column in batch]
                    marks = ", ".join("?" * len(values))
                    database.executemany(f"insert into orders values ({marks})", zip(*values, strict=True))

        return make


@pytest.fixture
def ctx(tmp_path: Path) -> RecordingStepContext:
    (tmp_path / "shop.db").touch()  # an empty file is an empty database
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
        database.execute(
            "create table others (id INT, name VARCHAR(20), price NUMERIC, made DATETIME, raw, ok BOOLEAN)"
        )
        database.execute(
            "insert into others values (1, 'a', 9.5, '2024-02-29 12:00:00', x'00ff', 1), (2, null, 3, null, null, 0)"
        )
    return RecordingStepContext(tmp_path, connection={"path": "shop.db"})


def read(ctx: RecordingStepContext, **options: Any) -> pa.Table:
    config = {"connection": "@sqlite.main", "table": "others", **options}
    extractor = Extractor()
    try:
        return Dataset.of(extractor.run(step_id="read", config=config, inputs={}, ctx=ctx)["df"]).table()
    finally:
        extractor.close()


def test_tables_of_others_are_read_by_their_declared_types(ctx: RecordingStepContext) -> None:
    assert read(ctx).to_pylist() == [
        {"id": 1, "name": "a", "price": 9.5, "made": "2024-02-29 12:00:00", "raw": b"\x00\xff", "ok": True},
        {"id": 2, "name": None, "price": 3.0, "made": None, "raw": None, "ok": False},
    ]


def test_columns_and_conditions(ctx: RecordingStepContext) -> None:
    assert read(ctx, columns=["name", "id"], where="id = 1 -- the first\n").to_pylist() == [{"name": "a", "id": 1}]
    with pytest.raises(DriverError, match="has no column 'nmae'") as caught:
        read(ctx, columns=["nmae"])
    assert caught.value.code == "sqlite.no_column"


def test_a_value_that_is_not_of_its_column_is_refused(ctx: RecordingStepContext) -> None:
    with closing(sqlite3.connect(ctx.base_dir / "shop.db")) as database, database:
        database.execute("insert into others (id) values ('many')")
    with pytest.raises(DriverError, match="column 'id' holds a value that is no int64") as caught:
        read(ctx)
    assert caught.value.code == "sqlite.value"


def test_a_number_that_a_double_cannot_hold_is_refused(ctx: RecordingStepContext) -> None:
    with closing(sqlite3.connect(ctx.base_dir / "shop.db")) as database, database:
        database.execute("insert into others (price) values (9007199254740993)")
    with pytest.raises(DriverError, match="column 'price'"):
        read(ctx)


def test_what_is_no_database_is_told(ctx: RecordingStepContext) -> None:
    (ctx.base_dir / "shop.db").write_bytes(b"this is a text file, and long enough to be looked at" * 100)
    with pytest.raises(DriverError) as caught:
        read(ctx)
    assert caught.value.code == "sqlite.not_a_database"
    with pytest.raises(DriverError):
        Extractor().check({"connection": "@sqlite.main", "table": "others"}, ctx)

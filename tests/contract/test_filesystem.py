"""The drivers for files keep the contract, tested as a stranger would test drivers of their own."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from osiris.testing import DriverContract, ExtractorContract, WriterContract

TEXT = pa.string()
NO_ROWS = "JSON Lines has no place for columns without rows"


class OneFile(DriverContract):
    """A file of the test's own; relative paths begin beside it."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "place"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"path": "place"}


class FileExtractor(OneFile, ExtractorContract):
    @pytest.fixture
    def failing_config(self, config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "path": "no such file"}


class FileWriter(OneFile, WriterContract):
    @pytest.fixture
    def failing_config(self, config: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
        (tmp_path / "no folder").touch()
        return {**config, "path": "no folder/place"}

    @pytest.fixture
    def modes(self) -> dict[str, dict[str, Any]]:
        return {
            "append": {"write_mode": "append"},
            "replace": {"write_mode": "overwrite"},
            "fail": {"write_mode": "fail"},
        }


class TestParquetExtractor(FileExtractor):
    @pytest.fixture
    def driver_name(self) -> str:
        return "filesystem.parquet_extractor"

    @pytest.fixture
    def load(self, file: Path) -> Callable[[pa.Table], None]:
        return lambda table: pa.parquet.write_table(table, file, row_group_size=5_000)  # what is held is a group


class TestParquetWriter(FileWriter):
    @pytest.fixture
    def driver_name(self) -> str:
        return "filesystem.parquet_writer"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"path": "place", "row_group_size": 5_000}  # what is held is a group

    @pytest.fixture
    def read_back(self, file: Path) -> Callable[[], pa.Table | None]:
        return lambda: pa.parquet.ParquetFile(file).read() if file.exists() else None


class Csv(OneFile):
    """Every type has a text in which nothing is lost."""

    @pytest.fixture
    def lossless_types(self) -> dict[str, pa.DataType]:
        classes = ("integer", "floating", "decimal", "boolean", "timestamp", "instant")
        return dict.fromkeys(classes, TEXT)


class TestCsvExtractor(Csv, FileExtractor):
    @pytest.fixture
    def driver_name(self) -> str:
        return "filesystem.csv_extractor"

    @pytest.fixture
    def load(self, file: Path) -> Callable[[pa.Table], None]:
        def write(table: pa.Table) -> None:
            texts = [column.cast(TEXT) if column.type != TEXT else column for column in table.columns]
            with file.open("w", encoding="utf-8", newline="") as lines:
                lines.write(",".join(table.column_names) + "\n")
                for row in zip(*(column.to_pylist() for column in texts), strict=True):
                    lines.write(",".join("" if text is None else quoted(text) for text in row) + "\n")

        return write


def quoted(text: str) -> str:
    plain = re.fullmatch(r"[\w.:+ -]*\w", text)
    return text if plain and text.strip() == text else '"' + text.replace('"', '""') + '"'


class TestCsvWriter(Csv, FileWriter):
    @pytest.fixture
    def driver_name(self) -> str:
        return "filesystem.csv_writer"

    @pytest.fixture
    def read_back(self, file: Path) -> Callable[[], pa.Table | None]:
        def read() -> pa.Table | None:
            if not file.exists():
                return None
            names = next(csv.reader(io.StringIO(file.read_text(encoding="utf-8"))), [])
            if not names:
                return pa.table({})
            return pa.csv.read_csv(
                file,
                parse_options=pa.csv.ParseOptions(newlines_in_values=True),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, TEXT),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    null_values=[""],
                ),
            )

        return read


class JsonLines(OneFile):
    """Moments are texts."""

    @pytest.fixture
    def lossless_types(self) -> dict[str, pa.DataType]:
        return dict.fromkeys(("timestamp", "instant"), TEXT)


class TestJsonlExtractor(JsonLines, FileExtractor):
    @pytest.fixture
    def driver_name(self) -> str:
        return "filesystem.jsonl_extractor"

    @pytest.fixture
    def lossless_types(self) -> dict[str, pa.DataType]:
        # A column of nothing but nulls tells no type.
        return dict.fromkeys(("integer", "timestamp", "instant"), TEXT)

    @pytest.fixture
    def load(self, file: Path) -> Callable[[pa.Table], None]:
        def write(table: pa.Table) -> None:
            columns = [column.cast(TEXT) if pa.types.is_timestamp(column.type) else column for column in table.columns]
            with file.open("w", encoding="utf-8") as lines:
                for row in pa.table(columns, names=table.column_names).to_pylist():
                    text = json.dumps(row, default=lambda number: f"@{number}@")
                    lines.write(re.sub(r'"@([-.\d]+)@"', r"\1", text) + "\n")

        return write

    @pytest.mark.xfail(strict=True, reason=NO_ROWS)
    def test_empty_input(self, carries: Callable[[str], None]) -> None:
        super().test_empty_input(carries)


class TestJsonlWriter(JsonLines, FileWriter):
    @pytest.fixture
    def driver_name(self) -> str:
        return "filesystem.jsonl_writer"

    @pytest.fixture
    def read_back(self, file: Path) -> Callable[[], pa.Table | None]:
        def read() -> pa.Table | None:
            if not file.exists():
                return None
            lines = file.read_text(encoding="utf-8").split("\n")
            rows = [json.loads(line, parse_float=Decimal) for line in lines if line]
            table = pa.table({name: pa.array([row[name] for row in rows]) for name in (rows[0] if rows else ())})
            if "truth" not in table.column_names:
                return table
            floats = table.column("number").cast(pa.float64())  # a number of JSON is either
            return table.set_column(table.column_names.index("number"), "number", floats)

        return read

    @pytest.mark.xfail(strict=True, reason=NO_ROWS)
    def test_empty_input(self, carries: Callable[[str], None]) -> None:
        super().test_empty_input(carries)

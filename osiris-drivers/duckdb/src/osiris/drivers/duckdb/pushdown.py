"""Inputs that are still files: DuckDB reads them itself, and gives the same values or an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from osiris.core.dataset import Dataset, FileSource
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.duckdb.csv_view import select_csv
from osiris.drivers.duckdb.database import Session, quote_name, quote_texts

__all__ = ["PushedInput", "push_down"]


class _State(NamedTuple):
    """Of a file: another one where it was written to, or is another file."""

    device: int
    inode: int
    size: int
    changed: int


@dataclass(frozen=True)
class PushedInput:
    """A table that DuckDB reads from files.

    Attributes:
        dataset: What the step was given.
        source: Its files.
        rows: How many rows they have, where that is known without reading them.
        states: Of the files, before anybody looked at them.
        trusts: Whether they have to stay in these states until they are read.
    """

    dataset: Dataset
    source: FileSource
    rows: int | None
    states: tuple[_State, ...]
    trusts: bool

    def report(self, profile: Mapping[str, Any]) -> None:
        """Tell the dataset how much was read.

        Args:
            profile: Of the query that has just ended.

        Raises:
            DriverError: ``duckdb.file_changed``: what was certain of a file need not be true of what was read.
        """
        for path, state in zip(self.source.paths, self.states, strict=True):
            if self.trusts and not _is_in(path, state):
                raise DriverError(
                    f"{path} was changed while it was read",
                    hint="run again when nothing writes to it any more",
                    code="duckdb.file_changed",
                    retryable=True,
                )
        rows = self.rows
        if rows is None:
            rows = max(_rows_scanned(profile, self.source.paths[0]), default=0)
        self.dataset.report(rows, sum(state.size for state in self.states))


def push_down(session: Session, dataset: Dataset, name: str) -> PushedInput | None:
    """Make ``name`` a view of the dataset's files; None, and nothing made, where that could change a value."""
    source = dataset.source
    if source is None or not source.paths or any(set(path) & set("*?[{") for path in source.paths):
        return None
    rows, trusts = None, False
    try:
        states = tuple(map(_state, source.paths))
        if source.format == "parquet":
            select, rows = _select_parquet(session, source), _count_parquet(session, source)
        elif source.format == "csv":
            view = select_csv(source, session.raise_if_cancelled)
            if view is None:
                return None
            select, trusts = view.select, view.trusts
        else:
            return None
        wanted = _columns_of(session, source.schema)
        if _columns(session, select) != wanted:
            return None
    except (DriverError, OSError):
        return None  # whatever is wrong with the files, the step that owns them says it better
    session.execute(f"CREATE TEMP VIEW {quote_name(name)} AS {select}")
    return PushedInput(dataset, source, rows, states, trusts)


def _state(path: str) -> _State:
    facts = Path(path).stat()
    return _State(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _is_in(path: str, state: _State) -> bool:
    try:
        return _state(path) == state
    except OSError:
        return False


def _columns(session: Session, query: str) -> list[tuple[str, str]]:
    return [(name, str(kind)) for name, kind in session.columns(query)]


def _columns_of(session: Session, schema: pa.Schema) -> list[tuple[str, str]]:
    """What DuckDB would make of a stream of this schema."""
    session.register("osiris_columns", pa.RecordBatchReader.from_batches(schema, iter(())))
    try:
        return _columns(session, "FROM osiris_columns")
    finally:
        session.unregister("osiris_columns")


def _select_parquet(session: Session, source: FileSource) -> str:
    def reads(paths: tuple[str, ...]) -> str:
        # hive_partitioning would add columns that the stream has not.
        return f"FROM read_parquet({quote_texts(paths)}, hive_partitioning=false, union_by_name=false)"

    first = _columns(session, reads(source.paths[:1]))
    if any(_columns(session, reads((path,))) != first for path in source.paths[1:]):
        raise DriverError("the files differ in their columns: DuckDB would cast all to those of the first")
    return reads(source.paths)


def _count_parquet(session: Session, source: FileSource) -> int:
    ((rows,),) = session.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({quote_texts(source.paths)})")  # noqa: S608
    return int(rows)


def _rows_scanned(profile: Mapping[str, Any], path: str) -> Iterator[int]:
    names = str(profile.get("extra_info", {}).get("Filename(s)", ""))
    if profile.get("type") == "TABLE_SCAN" and (names == path or names.startswith(f"{path}, ")):
        yield int(profile["rows_scanned"])
    for child in (*profile.get("operator", ()), *profile.get("children", ())):
        yield from _rows_scanned(child, path)

"""A processor's inputs as tables: read from their files, streamed where the query reads them once, or copied first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.database import Session, quote_name
from osiris.drivers.duckdb.pushdown import PushedInput, push_down
from osiris.drivers.duckdb.statement import MANY, Uses

__all__ = ["Inputs", "exact_reader"]

_ALIASES = ("df", "input_df")


class Inputs:
    """What a step was given, and the tables that stand for it.

    A single input is also ``df`` and ``input_df``. Plain values become variables: ``getvariable('name')``.

    Raises:
        DriverError: ``duckdb.ambiguous_input``: two names that SQL cannot tell apart.
    """

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        _refuse_twins(inputs)
        self._values = {name: item for name, item in inputs.items() if not isinstance(item, Dataset)}
        self._tables = _group(inputs)
        self._pushed: list[PushedInput] = []
        self._streamed = 0

    @property
    def names(self) -> list[str]:
        """All tables that a query may read."""
        return [name for _, names in self._tables for name in names]

    @property
    def values(self) -> list[str]:
        """All variables that a query may read."""
        return list(self._values)

    def define(self, session: Session, uses: Uses, *, formats: frozenset[str]) -> None:
        """Make the tables and variables.

        Args:
            session: Where.
            uses: How often each name, case-folded, is read.
            formats: Of the files that DuckDB may read itself.

        Raises:
            DriverError: ``duckdb.input_not_used``, ``duckdb.input_type``.
        """
        totals = [sum(uses[name.casefold()] for name in names) for _, names in self._tables]
        self._refuse_unused(totals, uses)
        self._pushed, self._streamed = [], 0
        for (dataset, names), total in zip(self._tables, totals, strict=True):
            if total == 0:
                dataset.close()
                continue
            if not self._push_down(session, dataset, names[0], formats):
                self._streamed += not dataset.replayable
                _define_table(session, dataset, names[0], total)
            for alias in names[1:]:
                session.execute(f"CREATE TEMP VIEW {quote_name(alias)} AS FROM {quote_name(names[0])}")
        for name, value in self._values.items():
            session.execute(f"SET VARIABLE {quote_name(name)} = ?", [value])

    @property
    def pushed(self) -> bool:
        """Whether DuckDB reads some input's files itself."""
        return bool(self._pushed)

    @property
    def restartable(self) -> bool:
        """Whether everything could be read again: a stream that was begun could not."""
        return not self._streamed

    def report(self, session: Session) -> None:
        """Tell what DuckDB read from files, once the query has ended."""
        if self._pushed:
            profile = session.profile()
            for pushed in self._pushed:
                pushed.report(profile)

    def drain(self) -> None:
        """Read what DuckDB read from files as a stream, for the error that says file, line and value.

        Raises:
            OsirisError: That error, if there is one.
        """
        for pushed in self._pushed:
            for _ in pushed.dataset.batches():
                pass

    def close(self) -> None:
        """Nobody reads any further."""
        for dataset, _ in self._tables:
            dataset.close()

    def _push_down(self, session: Session, dataset: Dataset, name: str, formats: frozenset[str]) -> bool:
        source = dataset.source
        if source is None or source.format not in formats:
            return False
        if any(source.paths[:1] == other.source.paths[:1] for other in self._pushed):
            return False  # the profile tells scans apart by their first file
        pushed = push_down(session, dataset, name)
        if pushed is None:
            return False
        self._pushed.append(pushed)
        return True

    def _refuse_unused(self, totals: list[int], uses: Uses) -> None:
        unused = [names[0] for (_, names), total in zip(self._tables, totals, strict=True) if total == 0]
        if unused and any(totals) and _is_one_input(names[0] for _, names in self._tables):
            unused = []
        unused += [name for name in self._values if uses[name.casefold()] == 0]
        if unused:
            raise DriverError(
                f"the query does not use the input {', '.join(map(repr, unused))}",
                hint=f"its tables are called {', '.join(self.names)}; remove an input that is not needed",
                code="duckdb.input_not_used",
                inputs=unused,
            )


def _define_table(session: Session, dataset: Dataset, name: str, uses: int) -> None:
    reader = exact_reader(session, dataset, name)
    if uses < MANY:
        session.register(name, reader)
        return
    # A stream gives its rows once. DuckDB keeps the copy within memory_limit and spills the rest.
    session.register("osiris_stream", reader)
    session.execute(f"CREATE TEMP TABLE {quote_name(name)} AS FROM osiris_stream")
    session.unregister("osiris_stream")
    dataset.close()


def exact_reader(session: Session, dataset: Dataset, name: str) -> pa.RecordBatchReader:
    """The dataset as DuckDB takes it; types that it does not know are changed where that is exact.

    Raises:
        DriverError: ``duckdb.input_type``: DuckDB would lose digits.
    """
    schema = pa.schema([column.with_type(_taken_type(column.type, column, name)) for column in dataset.schema])
    batches = dataset.batches()
    if not schema.equals(dataset.schema):
        batches = _cast(batches, schema, name)
    return pa.RecordBatchReader.from_batches(schema, session.guard_input(batches))


def _taken_type(kind: pa.DataType, column: pa.Field, name: str) -> pa.DataType:
    """What DuckDB takes for a type, which is that of a column or within it."""
    if pa.types.is_decimal256(kind) and kind.precision <= 38:
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_decimal256(kind) or pa.types.is_interval(kind):
        raise _cannot_hold(column, name, f"is {column.type}, which DuckDB cannot hold exactly")
    if pa.types.is_dictionary(kind):
        taken = _taken_type(kind.value_type, column, name)
        return kind if taken == kind.value_type else taken
    members = [kind.field(index) for index in range(kind.num_fields)]
    taken_members = [member.with_type(_taken_type(member.type, column, name)) for member in members]
    return kind if taken_members == members else _rebuilt(kind, taken_members)


def _rebuilt(kind: pa.DataType, members: list[pa.Field]) -> pa.DataType:
    """A nested type with other members; a type of which Arrow casts none stays, for DuckDB to refuse."""
    if pa.types.is_struct(kind):
        return pa.struct(members)
    if pa.types.is_map(kind):
        key, item = members[0].type
        return pa.map_(key, item, keys_sorted=kind.keys_sorted)
    if pa.types.is_list(kind):
        return pa.list_(members[0])
    if pa.types.is_large_list(kind):
        return pa.large_list(members[0])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(members[0], kind.list_size)
    return kind


def _cast(batches: Iterator[pa.RecordBatch], schema: pa.Schema, name: str) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        columns = []
        for column, array in zip(schema, batch.columns, strict=True):
            try:
                columns.append(array.cast(column.type))  # safe: nanoseconds are not dropped
            except pa.ArrowInvalid as error:
                given = batch.schema.field(len(columns))
                problem = f"holds a value of {given.type} that DuckDB cannot hold exactly"
                raise _cannot_hold(given, name, problem) from error
        yield pa.record_batch(columns, schema)


def _cannot_hold(column: pa.Field, name: str, problem: str) -> DriverError:
    return DriverError(
        f"column {column.name!r} of input {name!r} {problem}",
        hint="cast it in the step before",
        code="duckdb.input_type",
        column=column.name,
        input=name,
    )


def _refuse_twins(names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.casefold(), name)
        if twin != name:
            raise DriverError(
                f"inputs {twin!r} and {name!r} are the same name in SQL",
                hint="give one of them another name",
                code="duckdb.ambiguous_input",
            )


def _group(inputs: Mapping[str, Any]) -> list[tuple[Dataset, list[str]]]:
    """The datasets, each with its names: one given under several names is read as one."""
    tables: dict[int, tuple[Dataset, list[str]]] = {}
    for name, item in inputs.items():
        if isinstance(item, Dataset):
            tables.setdefault(id(item), (item, []))[1].append(name)
    if len(tables) == 1:
        ((_, names),) = tables.values()
        taken = {name.casefold() for name in inputs}
        names.extend(alias for alias in _ALIASES if alias not in taken)
    return list(tables.values())


def _is_one_input(names: Iterable[str]) -> bool:
    """Whether these are names for one thing: OML gives a single need as ``df_<step>``, ``df`` and ``input_df``."""
    others = [name for name in names if name.casefold() not in _ALIASES]
    return len(others) <= 1 and all(name.casefold().startswith("df_") for name in others)

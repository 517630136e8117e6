"""A processor's inputs as tables: streamed where the query reads them once, else copied first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.database import Session, quote_name
from osiris.drivers.duckdb.statement import MANY, Uses

__all__ = ["Inputs", "exact_reader"]

_ALIASES = ("df", "input_df")


class Inputs:
    """What a step was given, and the tables that stand for it.

    A single input is also ``df`` and ``input_df``. Plain values become variables: ``getvariable('name')``.

    Raises:
        DriverError: ``duckdb.ambiguous_input``: two names that SQL cannot tell apart.
    """

    def __init__(self, session: Session, inputs: Mapping[str, Any]) -> None:
        self._session = session
        _refuse_twins(inputs)
        self._values = {name: item for name, item in inputs.items() if not isinstance(item, Dataset)}
        self._tables = _group(inputs)

    @property
    def names(self) -> list[str]:
        """All names that a query may use."""
        return [name for _, names in self._tables for name in names] + list(self._values)

    def define(self, uses: Uses) -> None:
        """Make the tables and variables.

        Args:
            uses: How often each name is read.

        Raises:
            DriverError: ``duckdb.input_not_used``, ``duckdb.input_type``.
        """
        totals = [sum(uses[name.casefold()] for name in names) for _, names in self._tables]
        self._refuse_unused(totals, uses)
        for (dataset, names), total in zip(self._tables, totals, strict=True):
            if total == 0:
                dataset.close()
                continue
            self._define_table(dataset, names[0], total)
            for alias in names[1:]:
                self._session.execute(f"CREATE TEMP VIEW {quote_name(alias)} AS FROM {quote_name(names[0])}")
        for name, value in self._values.items():
            self._session.execute(f"SET VARIABLE {quote_name(name)} = ?", [value])

    def close(self) -> None:
        """Nobody reads any further."""
        for dataset, _ in self._tables:
            dataset.close()

    def _define_table(self, dataset: Dataset, name: str, uses: int) -> None:
        reader = exact_reader(self._session, dataset, name)
        if uses < MANY:
            self._session.register(name, reader)
            return
        # A stream gives its rows once. DuckDB keeps the copy within memory_limit and spills the rest.
        self._session.register("osiris_stream", reader)
        self._session.execute(f"CREATE TEMP TABLE {quote_name(name)} AS FROM osiris_stream")
        self._session.unregister("osiris_stream")
        dataset.close()

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


def exact_reader(session: Session, dataset: Dataset, name: str) -> pa.RecordBatchReader:
    """The dataset as DuckDB takes it; types that it does not know are changed where that is exact.

    Raises:
        DriverError: ``duckdb.input_type``: DuckDB would lose digits.
    """
    schema = pa.schema([column.with_type(_taken_type(column, name)) for column in dataset.schema])
    batches = dataset.batches()
    if not schema.equals(dataset.schema):
        batches = _cast(batches, schema)
    return pa.RecordBatchReader.from_batches(schema, session.guard_input(batches))


def _taken_type(column: pa.Field, name: str) -> pa.DataType:
    kind = column.type
    if pa.types.is_decimal256(kind) and kind.precision <= 38:
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_decimal256(kind) or pa.types.is_interval(kind):
        raise DriverError(
            f"column {column.name!r} of input {name!r} is {kind}, which DuckDB cannot hold exactly",
            hint="cast it in the step before",
            code="duckdb.input_type",
            column=column.name,
            input=name,
        )
    return kind


def _cast(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.cast(schema)  # safe: raises where nanoseconds would be lost


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

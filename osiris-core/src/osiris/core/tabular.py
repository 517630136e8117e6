"""Anything tabular to a Dataset: which forms are taken, and what is refused because it would change values."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.errors import DatasetError
from osiris.core.python_values import to_array

__all__ = ["open_tabular"]


def open_tabular(data: Any, name: str = "df") -> Dataset:
    """See :meth:`osiris.core.dataset.Dataset.of`."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, pa.RecordBatchReader):
        return _from_reader(data)
    if (table := _as_table(data, name)) is not None:
        return Dataset.from_table(table)
    if hasattr(data, "__arrow_c_stream__"):
        return _from_reader(pa.RecordBatchReader.from_stream(data))
    if isinstance(data, Iterator):
        return _from_iterator(data, name)
    if isinstance(data, Iterable) and not isinstance(data, str | bytes):
        return _from_iterator(iter(data), name)
    raise DatasetError(
        f"{name} is a {type(data).__name__}, which is not tabular",
        hint="return a pandas DataFrame, an Arrow table or reader, a list of dicts, or an iterator of those",
        code="dataset.not_tabular",
    )


def _as_table(data: Any, name: str) -> pa.Table | None:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if _is_pandas(data):
        return _from_pandas(data, name)
    if isinstance(data, Mapping):
        return _converted(lambda: pa.table({key: _column(values) for key, values in data.items()}), name)
    if isinstance(data, list) and all(isinstance(row, Mapping) for row in data):
        return _from_rows(data, name)
    return None


def _is_pandas(data: Any) -> bool:
    # Whoever holds a DataFrame has imported pandas: it need not be imported to find out.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def _from_pandas(frame: Any, name: str) -> pa.Table:
    named = [level for level in frame.index.names if level is not None]
    if named:  # after groupby(...).sum() the keys are in the index: they are data
        frame = frame.reset_index(level=named)
    if not all(isinstance(column, str) for column in frame.columns):
        frame = frame.rename(columns=str)
    table = _converted(lambda: pa.Table.from_pandas(frame, preserve_index=False), name)
    return table.replace_schema_metadata(None)  # pandas' own notes would make equal schemas differ


def _from_rows(rows: list[Mapping[str, Any]], name: str) -> pa.Table:
    # Table.from_pylist looks at the first row's keys only and would drop a column that comes later.
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return _converted(lambda: pa.table({key: to_array([row.get(key) for row in rows]) for key in columns}), name)


def _column(values: Any) -> Any:
    return to_array(values) if isinstance(values, list) else values


def _converted(make: Any, name: str) -> pa.Table:
    try:
        table: pa.Table = make()
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(
            f"{name} has no exact Arrow form: {error}",
            hint="give every column one type (for pandas: df.astype or df.convert_dtypes())",
            code="dataset.no_exact_type",
        ) from error
    return table


def _from_reader(reader: pa.RecordBatchReader) -> Dataset:
    schema = _without_views(reader.schema)
    if schema is reader.schema:
        return Dataset(lambda: iter(reader), schema, close=reader.close)
    return Dataset(lambda: (_cast(batch, schema) for batch in reader), schema, close=reader.close)


def _without_views(schema: pa.Schema) -> pa.Schema:
    # string_view (polars, duckdb) is not understood by much of what reads Arrow today.
    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    if not any(column.type in plain for column in schema):
        return schema
    return pa.schema([column.with_type(plain.get(column.type, column.type)) for column in schema], schema.metadata)


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return batch if batch.schema.equals(schema) else batch.cast(schema)


def _from_iterator(items: Iterator[Any], name: str) -> Dataset:
    """A stream of batches; the first is pulled here, because only it tells the schema."""
    batches = _batches(items, name)
    first = next(batches, None)
    schema = pa.schema([]) if first is None else first.schema
    head = () if first is None else (first,)

    def checked() -> Iterator[pa.RecordBatch]:
        for batch in chain(head, batches):
            if not batch.schema.equals(schema):
                raise DatasetError(
                    f"{name} changes its columns on the way: {_difference(schema, batch.schema)}",
                    hint="give every batch the same columns with the same types",
                    code="dataset.schema_changed",
                )
            yield batch

    return Dataset(checked, schema, close=batches.close)


def _batches(items: Iterator[Any], name: str) -> Any:
    try:
        rows: list[Mapping[str, Any]] = []
        for item in items:
            if isinstance(item, Mapping) and not any(isinstance(value, list) for value in item.values()):
                rows.append(item)  # a generator of single rows
                if len(rows) == 10_000:
                    yield from _from_rows(rows, name).to_batches()
                    rows = []
                continue
            table = _as_table(item, name)
            if table is None:
                yield from open_tabular(item, name).batches()
            else:
                yield from table.to_batches() or [_empty(table.schema)]
        if rows:
            yield from _from_rows(rows, name).to_batches()
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], type=column.type) for column in schema], schema=schema)


def _difference(wanted: pa.Schema, found: pa.Schema) -> str:
    if wanted.names != found.names:
        return f"columns {wanted.names} became {found.names}"
    changed = [
        f"{a.name!r} was {a.type} and is {b.type}"
        for a, b in zip(wanted, found, strict=True)
        if a.type != b.type or a.nullable != b.nullable
    ]
    return ", ".join(changed) or "the schema's metadata"

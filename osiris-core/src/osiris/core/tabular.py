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

_ROWS_A_BATCH = 10_000
_VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
_OF_PANDAS = {
    "pandas.period": ("of a period only its number would be left", "{0}.dt.to_timestamp() or {0}.astype(str)"),
    "pandas.interval": ("of an interval only its two ends would be left", "{0}.astype(str), or a column for each end"),
}
"""Types of which Arrow keeps numbers that mean nothing alone: why they are refused, and what to give instead."""


def open_tabular(data: Any, name: str = "df") -> Dataset:
    """See :meth:`osiris.core.dataset.Dataset.of`."""
    if isinstance(data, Dataset):
        return data
    dataset = _opened(data, name)
    for field in dataset.schema:
        if isinstance(field.type, pa.BaseExtensionType) and field.type.extension_name in _OF_PANDAS:
            raise _strange(field.name, name, *_OF_PANDAS[field.type.extension_name])
    return dataset


def _opened(data: Any, name: str) -> Dataset:
    if isinstance(data, pa.RecordBatchReader):
        return _from_reader(data)
    if (table := _as_table(data, name)) is not None:
        return Dataset.from_table(table)
    if hasattr(data, "__arrow_c_stream__"):
        return _from_stream(data, name)
    if isinstance(data, Iterable) and not isinstance(data, str | bytes) and not hasattr(data, "__array__"):
        return _from_iterator(iter(data), name)
    raise _not_tabular(name, data)


def _not_tabular(name: str, data: Any, *, verb: str = "is a") -> DatasetError:
    return DatasetError(
        f"{name} {verb} {type(data).__name__}, which is not tabular",
        hint="return a pandas DataFrame, an Arrow table or reader, a list of dicts, or an iterator of those",
        code="dataset.not_tabular",
    )


def _as_table(data: Any, name: str) -> pa.Table | None:
    if isinstance(data, pa.Table):
        return _table_without_views(data)
    if isinstance(data, pa.RecordBatch):
        return _table_without_views(pa.Table.from_batches([data]))
    if _is_pandas(data):
        return _from_pandas(data, name)
    if isinstance(data, Mapping):
        return _from_columns([str(key) for key in data], list(data.values()), name)
    if isinstance(data, list) and all(isinstance(row, Mapping) for row in data):
        return _from_rows(data, name)
    return None


def _is_pandas(data: Any) -> bool:
    # Whoever holds a DataFrame has imported pandas: it need not be imported to find out.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def _from_pandas(frame: Any, name: str) -> pa.Table:
    frame = _with_named_index(frame, name)
    # Column by column, because pyarrow takes no frame with two columns of one name, and would not look closely at
    # Python objects; a frame's RangeIndex, and an index without a name, are no data.
    columns = [_series(frame.iloc[:, position]) for position in range(frame.shape[1])]
    return _from_columns([str(column) for column in frame.columns], columns, name)


def _with_named_index(frame: Any, name: str) -> Any:
    """After ``groupby(...).sum()`` the keys are in the index: they are data."""
    named = [level for level in frame.index.names if level is not None]
    for level in [level for level in named if level in frame.columns]:
        index = frame.index.get_level_values(level)
        if list(frame.columns).count(level) > 1 or not index.equals(sys.modules["pandas"].Index(frame[level])):
            raise DatasetError(
                f"{name} has an index and a column called {level!r}, with different values",
                hint="rename one of them, or drop the index: df.reset_index(drop=True)",
                code="dataset.index_clash",
            )
        named.remove(level)
    return frame.reset_index(level=named) if named else frame


def _series(series: Any) -> Any:
    if series.dtype != object:
        return series
    missing = series.isna()
    values = series.tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)] if missing.any() else values


def _from_rows(rows: list[Mapping[str, Any]], name: str, first: Iterable[str] = ()) -> pa.Table:
    # Table.from_pylist looks at the first row's keys only and would drop a column that comes later.
    keys = list(dict.fromkeys(chain(first, (key for row in rows for key in row))))
    return _from_columns([str(key) for key in keys], [[row.get(key) for row in rows] for key in keys], name)


def _from_columns(names: list[str], columns: list[Any], name: str) -> pa.Table:
    arrays: list[Any] = [
        _array(values, f"column {column!r} of {name}") for column, values in zip(names, columns, strict=True)
    ]
    if len({len(array) for array in arrays}) > 1:
        lengths = ", ".join(f"{column!r} {len(array)}" for column, array in zip(names, arrays, strict=True))
        raise DatasetError(
            f"{name} has columns of unequal length: {lengths}",
            hint="give every column as many values as the others",
            code="dataset.no_exact_type",
        )
    try:
        return pa.table(arrays, names=names)
    except (pa.ArrowException, ValueError) as error:
        raise _inexact(name, error) from error


def _array(values: Any, what: str) -> Any:
    if isinstance(values, str | bytes):  # pyarrow would make a column of its characters
        raise _inexact(what, f"it is a {type(values).__name__}, not a list of values")
    try:
        if isinstance(values, list | tuple):
            return to_array(values)
        return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise _inexact(what, error) from error


def _inexact(what: str, reason: object) -> DatasetError:
    return DatasetError(
        f"{what} has no exact Arrow form: {reason}",
        hint="give every column one type (for pandas: df.astype or df.convert_dtypes())",
        code="dataset.no_exact_type",
    )


def _strange(column: str, name: str, reason: str, instead: str) -> DatasetError:
    return DatasetError(
        f"column {column!r} of {name} has no exact Arrow form: {reason}",
        hint=f"give {instead.format(f'{name}[{column!r}]')}",
        code="dataset.no_exact_type",
    )


def _refuse_objects_of_polars(data: Any, name: str) -> None:
    """Polars tells Arrow where in memory its Python objects are, as if that were their value."""
    polars = sys.modules.get("polars")
    if polars is None or not isinstance(data, polars.DataFrame):
        return
    for column, kind in data.schema.items():
        if _holds_objects(kind, polars.Object):
            reason = "it holds Python objects that polars does not know"
            raise _strange(column, name, reason, "their texts, or values of a type of polars, in place of {0}")


def _holds_objects(kind: Any, objects: Any) -> bool:
    inside = [getattr(kind, "inner", None), *(field.dtype for field in getattr(kind, "fields", ()))]
    return kind == objects or any(_holds_objects(part, objects) for part in inside if part is not None)


def _from_stream(data: Any, name: str) -> Dataset:
    _refuse_objects_of_polars(data, name)
    try:
        reader = pa.RecordBatchReader.from_stream(data)
    except pa.ArrowInvalid as error:  # a single column, as polars' and pandas' Series are
        raise _not_tabular(name, data) from error
    return _from_reader(reader)


def _from_reader(reader: pa.RecordBatchReader) -> Dataset:
    plain = _without_views(reader.schema)
    if plain is None:
        return Dataset(lambda: iter(reader), reader.schema, close=reader.close)
    return Dataset(lambda: (batch.cast(plain) for batch in reader), plain, close=reader.close)


def _table_without_views(table: pa.Table) -> pa.Table:
    plain = _without_views(table.schema)
    return table if plain is None else table.cast(plain)


def _without_views(schema: pa.Schema) -> pa.Schema | None:
    # string_view (polars, duckdb) is not understood by much of what reads Arrow today.
    columns = [column.with_type(_without_view(column.type)) for column in schema]
    plain = pa.schema(columns, schema.metadata)
    return None if plain.equals(schema) else plain


def _without_view(kind: pa.DataType) -> pa.DataType:
    if kind in _VIEWS:
        return _VIEWS[kind]
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _without_view(kind.value_type), kind.ordered)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_view(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_without_view(kind.key_type), _without_view(kind.item_type), kind.keys_sorted)
    for is_list, list_of in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_list(kind):
            return list_of(kind.value_field.with_type(_without_view(kind.value_type)))
    return kind


def _from_iterator(items: Iterator[Any], name: str) -> Dataset:
    """A stream of batches; the first is pulled here, because only it tells the schema."""
    batches = _batches(items, name)
    first = next(batches, None)
    schema = pa.schema([]) if first is None else first.schema
    head = () if first is None else (first,)

    def fitted() -> Iterator[pa.RecordBatch]:
        for batch in chain(head, batches):
            yield _fit(batch, schema, name)

    return Dataset(fitted, schema, close=batches.close)


def _batches(items: Iterator[Any], name: str) -> Any:
    rows: list[Mapping[str, Any]] = []
    columns: list[str] = []

    def rows_so_far() -> list[pa.RecordBatch]:
        # A key that later rows have not means NULL, as it does within the first rows.
        table = _from_rows(rows, name, columns)
        columns[:] = columns or table.column_names
        rows.clear()
        batches: list[pa.RecordBatch] = table.to_batches()
        return batches

    try:
        for item in items:
            if isinstance(item, Mapping) and not _is_columns(item):
                rows.append(item)  # a generator of single rows
                if len(rows) == _ROWS_A_BATCH:
                    yield from rows_so_far()
                continue
            if rows:
                yield from rows_so_far()
            yield from _batches_of(item, name)
        if rows:
            yield from rows_so_far()
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _is_columns(item: Mapping[str, Any]) -> bool:
    """Whether a mapping is a batch of columns, not a row: all its values are lists or arrays."""
    return bool(item) and all(
        isinstance(value, list | tuple | pa.Array | pa.ChunkedArray) or getattr(value, "ndim", 0) == 1
        for value in item.values()
    )


def _batches_of(item: Any, name: str) -> Iterator[pa.RecordBatch]:
    table = _as_table(item, name)
    if table is not None:
        yield from table.to_batches() or [_empty(table.schema)]
    elif hasattr(item, "__arrow_c_stream__"):
        yield from _from_stream(item, name).batches()
    else:
        raise _not_tabular(name, item, verb="yields")


def _fit(batch: pa.RecordBatch, schema: pa.Schema, name: str) -> pa.RecordBatch:
    """The batch with this schema, where that is only a matter of order, of NULLs or of room; else an error."""
    if batch.schema.equals(schema):
        return batch
    unique = len(set(schema.names)) == len(schema.names) == batch.num_columns
    if unique and set(schema.names) == set(batch.schema.names):
        columns = [_widen(batch.column(field.name), field) for field in schema]
        if None not in columns:
            return pa.RecordBatch.from_arrays(columns, schema=schema)
    raise DatasetError(
        f"{name} changes its columns on the way: {_difference(schema, batch.schema)}",
        hint="give every batch the same columns with the same types",
        code="dataset.schema_changed",
    )


def _widen(column: pa.Array, field: pa.Field) -> pa.Array | None:
    """The column with the field's type, if that changes no value; None otherwise."""
    if column.null_count and not field.nullable:
        return None
    if column.type == field.type:
        return column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), field.type)
    number = pa.types.is_integer(column.type) and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type))
    if number or (pa.types.is_decimal(column.type) and pa.types.is_decimal(field.type)):
        try:
            return column.cast(field.type)
        except pa.ArrowInvalid:  # a value that does not fit
            return None
    return None


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

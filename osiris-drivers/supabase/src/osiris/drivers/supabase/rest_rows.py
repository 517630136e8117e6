"""Arrow rows as JSON texts, exact and without an object for each value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.errors import DriverError
from osiris.core.python_values import to_array
from osiris.drivers.supabase.rest_fitting import TOO_FINE, NoFormError, fit

__all__ = ["RowWriter"]

_DOCUMENTS = frozenset({"json", "jsonb"})
_NOTHING_KNOWN: Mapping[str, str] = MappingProxyType({})
_ROWS_AT_ONCE = 4096
_ESCAPED = '[\\x00-\\x1f"\\\\]'
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


class RowWriter:
    """Writes the rows of one stream; all with the same keys.

    Args:
        schema: Of the stream.
        key: Columns whose values identify a row; may be empty.
        types: PostgreSQL's types of the columns, as far as they are known. Texts for ``json`` and ``jsonb`` are JSON
            already, not strings in JSON.
    """

    def __init__(self, schema: pa.Schema, key: Sequence[str] = (), types: Mapping[str, str] = _NOTHING_KNOWN) -> None:
        self._names = schema.names
        self._key = [schema.names.index(name) for name in key]
        self._types = types
        self._between = [
            _scalar(("{" if at == 0 else ",") + json.dumps(name, ensure_ascii=False) + ":")
            for at, name in enumerate(schema.names)
        ]
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> Iterator[tuple[list[str], list[int], list[str]]]:
        """Some rows at a time: their texts, the bytes of each, and the texts of their keys (empty without one).

        Raises:
            DriverError: ``supabase.bad_value``: a value has no exact form; with column and row.
        """
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            part = batch.slice(start, _ROWS_AT_ONCE)
            texts = [self._texts(name, column) for name, column in zip(self._names, part.columns, strict=True)]
            pieces = [piece for pair in zip(self._between, texts, strict=True) for piece in pair]
            rows = pc.binary_join_element_wise(*pieces, _scalar("}"), _scalar(""))
            keys: list[str] = []
            if self._key:
                found = [texts[at] for at in self._key]
                keys = pc.binary_join_element_wise(*found, _scalar(",")).to_pylist()
            self._rows += part.num_rows
            yield rows.to_pylist(), pc.binary_length(rows).to_pylist(), keys

    def _texts(self, name: str, column: pa.Array) -> pa.Array:
        try:
            target = self._types.get(name)
            return _document_texts(column) if target in _DOCUMENTS else _texts(fit(column, target))
        except NoFormError as error:
            row = self._rows + error.position + 1
            raise DriverError(
                f"{name} of row {row:,} is {error.value!r}, {error.reason}",
                hint=error.hint,
                code="supabase.bad_value",
                column=name,
                row=row,
            ) from None


def _scalar(text: str) -> pa.Scalar:
    return to_array([text])[0]  # pa.scalar would import pandas


def _texts(column: pa.Array) -> pa.Array:
    """The JSON text of each value; ``null`` for NULL."""
    return pc.coalesce(_nullable_texts(column), _scalar("null"))


def _nullable_texts(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if pa.types.is_dictionary(kind):
        return _nullable_texts(column.dictionary_decode())
    for is_kind, write in _FORMS:
        if is_kind(kind):
            return write(column)
    raise NoFormError(0, str(kind), "a type that REST cannot carry", "cast the column in the step before")


def _numbers(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())


def _floats(column: pa.Array) -> pa.Array:
    texts = (column.cast(pa.float32()) if pa.types.is_float16(column.type) else column).cast(pa.string())
    if pc.all(pc.is_finite(column)).as_py() is False:
        return to_array([_NOT_FINITE.get(text, text) for text in texts.to_pylist()])
    return texts


def _strings(column: pa.Array) -> pa.Array:
    texts = column.cast(pa.string())
    if pc.any(pc.match_substring_regex(texts, _ESCAPED)).as_py():
        for character, escape in _ESCAPES:
            texts = pc.replace_substring(texts, character, escape)
        if pc.any(pc.match_substring_regex(texts, "[\\x00-\\x1f]")).as_py():
            texts = to_array([None if text is None else _escape_controls(text) for text in texts.to_pylist()])
    return _in_quotes(texts)


def _escape_controls(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" if character < " " else character for character in text)


def _in_quotes(texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(_scalar('"'), texts, _scalar('"'), _scalar(""))


def _timestamps(column: pa.Array) -> pa.Array:
    zone = None if column.type.tz is None else "UTC"
    return _in_quotes(_cast_exactly(column, pa.timestamp("us", zone)).cast(pa.string()))


def _times(column: pa.Array) -> pa.Array:
    return _in_quotes(_cast_exactly(column, pa.time64("us")).cast(pa.string()))


def _durations(column: pa.Array) -> pa.Array:
    numbers = _cast_exactly(column, pa.duration("us")).cast(pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise(_scalar('"'), numbers, _scalar(' microseconds"'), _scalar(""))


def _dates(column: pa.Array) -> pa.Array:
    return _in_quotes(_cast_exactly(column, pa.date32()).cast(pa.string()))


def _intervals(column: pa.Array) -> pa.Array:
    texts = []
    for position, value in enumerate(column.to_pylist()):
        if value is not None and value.nanoseconds % 1000:
            raise NoFormError(position, value, *TOO_FINE)
        microseconds = 0 if value is None else value.nanoseconds // 1000
        texts.append(None if value is None else f"{value.months} mons {value.days} days {microseconds} microseconds")
    return _in_quotes(to_array(texts) if texts else pa.nulls(0, pa.string()))


def _cast_exactly(column: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        for position in range(len(column)):
            try:
                column.slice(position, 1).cast(kind)
            except pa.ArrowInvalid as error:
                raise NoFormError(position, str(column[position]), *TOO_FINE) from error
        raise


def _bytes(column: pa.Array) -> pa.Array:
    values = column.to_pylist()
    texts = [None if value is None else f'"\\\\x{value.hex()}"' for value in values]
    return to_array(texts) if any(text is not None for text in texts) else pa.nulls(len(column), pa.string())


def _lists(column: pa.Array) -> pa.Array:
    found = []
    for at in range(len(column)):
        value = column[at]
        found.append(f"[{','.join(_texts(value.values).to_pylist())}]" if value.is_valid else None)
    return to_array(found) if any(text is not None for text in found) else pa.nulls(len(column), pa.string())


def _structs(column: pa.Array) -> pa.Array:
    if column.type.num_fields == 0:
        return to_array(["{}" if valid else None for valid in column.is_valid().to_pylist()])
    pieces = []
    for at, (field, child) in enumerate(zip(column.type, column.flatten(), strict=True)):
        pieces.append(_scalar(("{" if at == 0 else ",") + json.dumps(field.name, ensure_ascii=False) + ":"))
        pieces.append(_texts(child))
    texts = pc.binary_join_element_wise(*pieces, _scalar("}"), _scalar(""))
    return pc.if_else(column.is_valid(), texts, pa.nulls(len(column), pa.string()))


def _maps(column: pa.Array) -> pa.Array:
    found: list[str | None] = []
    for at in range(len(column)):
        value = column[at]
        if not value.is_valid:
            found.append(None)
            continue
        keys, items = value.values.field(0), value.values.field(1)
        names = [json.dumps(str(key), ensure_ascii=False) for key in keys.to_pylist()]
        pairs = zip(names, _texts(items).to_pylist(), strict=True)
        found.append("{" + ",".join(f"{name}:{item}" for name, item in pairs) + "}")
    return to_array(found) if any(text is not None for text in found) else pa.nulls(len(column), pa.string())


def _document_texts(column: pa.Array) -> pa.Array:
    """Texts that are JSON already go in as they are, once it is sure that they are one document each."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type) and pc.all(pc.is_finite(column)).as_py() is False:
        at = pc.is_finite(column).to_pylist().index(False)
        raise NoFormError(at, column[at].as_py(), "which JSON has no word for", "replace it in the step before")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return _texts(column)
    for position, text in enumerate(column.to_pylist()):
        if text is None:
            continue
        try:
            document = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise NoFormError(position, text[:100], "which is no JSON", "correct it in the step before") from None
        if document is None:
            reason = "which over REST would become NULL"
            raise NoFormError(position, text, reason, "give NULL where NULL is meant, or use transport postgres")
    return pc.coalesce(column.cast(pa.string()), _scalar("null"))


def _refuse_constant(word: str) -> Any:
    raise ValueError(word)


_FORMS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...] = (
    (pa.types.is_boolean, _numbers),
    (pa.types.is_integer, _numbers),
    (pa.types.is_decimal, _numbers),
    (pa.types.is_floating, _floats),
    (pa.types.is_string, _strings),
    (pa.types.is_large_string, _strings),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_date, _dates),
    (pa.types.is_time, _times),
    (pa.types.is_duration, _durations),
    (pa.types.is_interval, _intervals),
    (pa.types.is_binary, _bytes),
    (pa.types.is_large_binary, _bytes),
    (pa.types.is_fixed_size_binary, _bytes),
    (pa.types.is_map, _maps),
    (pa.types.is_list, _lists),
    (pa.types.is_large_list, _lists),
    (pa.types.is_fixed_size_list, _lists),
    (pa.types.is_struct, _structs),
)

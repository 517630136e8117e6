r"""Arrow columns as ``COPY ... FROM STDIN`` reads them: its text form, in which each row is one line.

Not CSV: there a line of ``\.`` inside a text would end the load before PostgreSQL 18, without a word.
"""

from __future__ import annotations

import json
from array import array as numbers
from binascii import hexlify
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.python_values import to_array
from osiris.drivers.supabase.postgres_fitting import MisfitError, fit
from osiris.drivers.supabase.postgres_types import PgType

__all__ = ["lines_of", "plain", "texts_of", "to_text"]

_TAB, _NEWLINE, _NOTHING, _COMMA, _OPEN, _CLOSE, _NULL, _QUOTE, _HEX, _MICROSECONDS, _UTC = (
    to_array(["\t", "\n", "", ",", "{", "}", "NULL", '"', "\\x", " microseconds", "+00"])
)  # fmt: skip
_ESCAPES = ((b"\\", "\\", "\\\\"), (b"\n", "\n", "\\n"), (b"\r", "\r", "\\r"), (b"\t", "\t", "\\t"))
_DOCUMENTS = frozenset({"json", "jsonb"})
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "citext"})


def lines_of(columns: Sequence[pa.Array]) -> bytes:
    """Rows of columns from :func:`to_text`, each ended by a line break."""
    last = pc.binary_join_element_wise(columns[-1], _NEWLINE, _NOTHING, null_handling="replace", null_replacement="\\N")
    lines = pc.binary_join_element_wise(*columns[:-1], last, _TAB, null_handling="replace", null_replacement="\\N")
    _, offsets, data = lines.buffers()
    ends = pa.Array.from_buffers(pa.int32(), len(lines) + 1, [None, offsets])
    return data.to_pybytes()[ends[0].as_py() : ends[-1].as_py()] if data is not None else b""


def to_text(array: pa.Array, target: PgType) -> pa.Array:
    """The values as texts, escaped for COPY.

    Raises:
        MisfitError: A value that the server would change, or a type that cannot become the target's.
    """
    return _escape(texts_of(array, target))


def texts_of(array: pa.Array, target: PgType) -> pa.Array:
    """The values as texts, which the server reads as the same values of the target's type.

    Raises:
        MisfitError: As of :func:`to_text`.
    """
    array = plain(array)
    kind = array.type
    if pa.types.is_nested(kind):
        if target.name in _DOCUMENTS:
            return to_array([None if value is None else _document(value) for value in array.to_pylist()])
        if target.member is not None and _is_list(kind):
            return _array_texts(array, target.member)
        raise _wrong_type(array, target)
    if pa.types.is_binary(kind):
        return _binary_texts(array, target)
    array = fit(array, target)
    if pa.types.is_timestamp(kind) and target.name in _TEXTS and kind.tz is not None:
        return pc.binary_join_element_wise(array.cast(pa.string()), _UTC, _NOTHING)
    if pa.types.is_duration(kind):
        return _duration_texts(array)
    if pa.types.is_interval(kind):
        return to_array([None if value is None else _interval(value) for value in array.to_pylist()])
    return array if pa.types.is_string(array.type) else array.cast(pa.string())


def plain(array: pa.Array) -> pa.Array:
    """The same values without dictionary, run lengths, view or extension around them, offsets of 32 bits."""
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if pa.types.is_null(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return array.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or kind == pa.binary_view():
        return array.cast(pa.binary())
    if pa.types.is_float16(kind):
        return array.cast(pa.float32())
    return array


def _escape(texts: pa.Array) -> pa.Array:
    data = texts.buffers()[2]
    raw = b"" if data is None else data.to_pybytes()
    for byte, plain, escaped in _ESCAPES:
        if byte in raw:
            texts = pc.replace_substring(texts, plain, escaped)
    return texts


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _array_texts(array: pa.Array, member: PgType) -> pa.Array:
    array = array.cast(pa.list_(array.type.value_type))
    lengths = [0 if length is None else length for length in pc.list_value_length(array).to_pylist()]
    ends = numbers("i", accumulate(lengths, initial=0))
    try:
        members = texts_of(array.flatten(), member)
    except MisfitError as error:
        row = next(at for at, end in enumerate(ends[1:]) if end > error.index)
        raise MisfitError(row, f"holds a member that {error.reason}") from None
    for plain in ("\\", '"'):
        members = pc.replace_substring(members, plain, "\\" + plain)
    quoted = pc.fill_null(pc.binary_join_element_wise(_QUOTE, members, _QUOTE, _NOTHING), _NULL)
    starts = pa.Array.from_buffers(pa.int32(), len(ends), [None, pa.py_buffer(ends)])
    joined = pc.binary_join(pa.ListArray.from_arrays(starts, quoted, mask=pc.is_null(array)), _COMMA)
    return pc.binary_join_element_wise(_OPEN, joined, _CLOSE, _NOTHING)


def _binary_texts(array: pa.Array, target: PgType) -> pa.Array:
    if target.name == "uuid":
        return _hexadecimal(array)
    if target.name != "bytea":
        raise _wrong_type(array, target)
    return pc.binary_join_element_wise(_HEX, _hexadecimal(array), _NOTHING)


def _hexadecimal(array: pa.Array) -> pa.Array:
    """All bytes at once: the digits lie one after the other, each text twice as long as its bytes."""
    whole = pa.concat_arrays([array]) if array.offset else array
    valid, offsets, data = whole.buffers()
    starts = pa.Array.from_buffers(pa.int32(), len(whole) + 1, [None, offsets])
    doubled = pc.add_checked(starts, starts)
    raw = b"" if data is None else data.to_pybytes()[: starts[-1].as_py()]
    return pa.Array.from_buffers(pa.string(), len(whole), [valid, doubled.buffers()[1], pa.py_buffer(hexlify(raw))])


def _duration_texts(array: pa.Array) -> pa.Array:
    try:
        micro = array.cast(pa.duration("us"))
    except pa.ArrowException:
        raise MisfitError(0, "or one after it has nanoseconds, which PostgreSQL does not keep") from None
    return pc.binary_join_element_wise(micro.cast(pa.int64()).cast(pa.string()), _MICROSECONDS, _NOTHING)


def _interval(value: Any) -> str:
    months, days, nanoseconds = value
    if nanoseconds % 1000:
        raise MisfitError(0, "or one after it has nanoseconds, which PostgreSQL does not keep")
    return f"{months} months {days} days {nanoseconds // 1000} microseconds"


def _document(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_document_value)


def _document_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    isoformat = getattr(value, "isoformat", None)
    return str(value) if isoformat is None else isoformat()


def _wrong_type(array: pa.Array, target: PgType) -> MisfitError:
    first = next((at for at, missing in enumerate(pc.is_null(array).to_pylist()) if not missing), 0)
    return MisfitError(first, f"is {array.type}, which cannot become {target.name}")

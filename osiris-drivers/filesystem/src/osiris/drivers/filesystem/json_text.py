"""Arrow values to JSON text, column by column, every number exact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import accumulate
from json.encoder import encode_basestring
from typing import Any, Literal

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.arrow_arrays import stored
from osiris.drivers.filesystem.value_text import BinaryForm, form_of, is_bytes, scalar_text

__all__ = ["JsonForm", "json_tokens"]


@dataclass(frozen=True)
class JsonForm:
    """What JSON has no form for, and how to write it.

    Attributes:
        non_finite: ``NaN`` and infinities: refused, ``null``, or the strings ``"nan"``, ``"inf"``, ``"-inf"``.
        decimals: As numbers with all their digits, or as strings (for readers that would make them floats).
        binary: Bytes are strings of base64 or of hexadecimal digits.
    """

    non_finite: Literal["error", "null", "string"] = "error"
    decimals: Literal["number", "string"] = "number"
    binary: BinaryForm = "base64"


def json_tokens(array: pa.Array, form: JsonForm, column: str = "", *, raw: bool = False) -> list[str]:
    """The JSON text of every value; ``null`` for NULL.

    Maps with text keys are objects, others lists of ``[key, value]``. Dates, times and timestamps are ISO
    strings with a ``T``.

    Args:
        array: Of any type.
        form: What to do where JSON has no form.
        column: Its name, for errors.
        raw: The texts are JSON already.

    Raises:
        DriverError: A value has no JSON form and none was chosen, or a type is an extension that is not known.
    """
    kind = array.type
    if raw:
        return _or_null(array.to_pylist())
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.json":
            return _or_null(array.storage.to_pylist())
        return json_tokens(stored(array, column), form, column)
    if pa.types.is_dictionary(kind):
        return json_tokens(array.dictionary_decode(), form, column)
    if pa.types.is_run_end_encoded(kind):
        return json_tokens(pc.run_end_decode(array), form, column)
    if pa.types.is_struct(kind):
        return _struct_tokens(array, form, column)
    if pa.types.is_map(kind):
        return _map_tokens(array, form, column)
    if pa.types.is_nested(kind):
        return _list_tokens(array, form, column)
    return _scalar_tokens(array, form, column)


def _scalar_tokens(array: pa.Array, form: JsonForm, column: str) -> list[str]:
    kind = array.type
    if pa.types.is_null(kind):
        return ["null"] * len(array)
    if pa.types.is_floating(kind):
        return _float_tokens(array, form, column)
    texts = scalar_text(array, binary=form.binary, column=column).to_pylist()
    if (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or (pa.types.is_decimal(kind) and form.decimals == "number")
    ):
        return _or_null(texts)
    if pa.types.is_timestamp(kind):
        return ["null" if text is None else f'"{text.replace(" ", "T")}"' for text in texts]
    if is_bytes(kind) or pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return ["null" if text is None else f'"{text}"' for text in texts]
    return ["null" if text is None else encode_basestring(text) for text in texts]


def _or_null(texts: list[Any]) -> list[str]:
    return ["null" if text is None else text for text in texts]


def _float_tokens(array: pa.Array, form: JsonForm, column: str) -> list[str]:
    texts = _or_null(scalar_text(array, column=column).to_pylist())
    if pc.all(pc.is_finite(array)).as_py() in (True, None):
        return texts
    if form.non_finite == "error":
        bad = pc.filter(array, pc.invert(pc.is_finite(array)))[0]
        raise DriverError(
            f"column {column!r} holds {bad}, which JSON cannot say",
            hint="set `non_finite: null` or `non_finite: string`, or replace the value before",
            code="filesystem.no_json",
            column=column,
        )
    written = (lambda text: "null") if form.non_finite == "null" else json.dumps
    return [written(text) if text in ("nan", "inf", "-inf") else text for text in texts]


def _struct_tokens(array: pa.StructArray, form: JsonForm, column: str) -> list[str]:
    names = [encode_basestring(array.type.field(index).name) + ":" for index in range(array.type.num_fields)]
    children = [
        json_tokens(child, form, column, raw=form_of(array.type.field(index)) == "json")
        for index, child in enumerate(array.flatten())
    ]
    nulls = pc.is_null(array).to_pylist()
    if not children:
        return ["null" if null else "{}" for null in nulls]
    return [
        "null" if null else "{" + ",".join(map(str.__add__, names, values)) + "}"
        for null, values in zip(nulls, zip(*children, strict=True), strict=True)
    ]


def _list_tokens(array: pa.Array, form: JsonForm, column: str) -> list[str]:
    if pa.types.is_union(array.type):
        raise DriverError(
            f"column {column!r} is a {array.type}, which has no text",
            hint="cast the column to text, or choose one of its members, before writing it",
            code="filesystem.no_text",
            column=column,
        )
    tokens = json_tokens(array.flatten(), form, column, raw=form_of(array.type.value_field) == "json")
    return [
        "null" if span is None else "[" + ",".join(tokens[span]) + "]"
        for span in _spans(pc.list_value_length(array).to_pylist())
    ]


def _spans(lengths: list[int | None]) -> Iterator[slice | None]:
    ends = accumulate(length or 0 for length in lengths)
    for length, end in zip(lengths, ends, strict=True):
        yield None if length is None else slice(end - length, end)


def _map_tokens(array: pa.MapArray, form: JsonForm, column: str) -> list[str]:
    keys, values = json_tokens(array.keys, form, column), json_tokens(array.items, form, column)
    as_object = pa.types.is_string(array.type.key_type) or pa.types.is_large_string(array.type.key_type)
    offsets, nulls = array.offsets.to_pylist(), pc.is_null(array).to_pylist()
    found = []
    for null, start, end in zip(nulls, offsets, offsets[1:], strict=False):
        pairs = zip(keys[start:end], values[start:end], strict=True)
        if null:
            found.append("null")
        elif as_object:
            found.append("{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}")
        else:
            found.append("[" + ",".join(f"[{key},{value}]" for key, value in pairs) + "]")
    return found

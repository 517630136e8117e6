"""Arrow arrays from Python values by way of their buffers.

``pa.array(list)``, even with a type, imports pandas where that is installed: 0.7 seconds for a run that has
no use for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.filesystem.arrow_functions import cast

__all__ = ["bits", "bytes_array", "constant", "stored", "text_array"]

_STORED_AS_THEY_ARE = {
    *("arrow.json", "arrow.uuid", "arrow.bool8", "arrow.opaque"),
    *("arrow.fixed_shape_tensor", "arrow.variable_shape_tensor"),
    *("geoarrow.wkb", "geoarrow.wkt"),
}


def text_array(values: Sequence[str | None]) -> pa.Array:
    """A ``string`` array (``large_string`` beyond 2 GB)."""
    return _array([None if value is None else value.encode() for value in values], pa.string(), pa.large_string())


def bytes_array(values: Sequence[bytes | None]) -> pa.Array:
    """A ``binary`` array (``large_binary`` beyond 2 GB)."""
    return _array(values, pa.binary(), pa.large_binary())


def _array(values: Sequence[bytes | None], kind: pa.DataType, large: pa.DataType) -> pa.Array:
    data = b"".join(value for value in values if value is not None)
    valid = (value is not None for value in values)
    is_small = len(data) < 2**31
    offsets = array("i" if is_small else "q", [0])
    offsets.extend(accumulate(0 if value is None else len(value) for value in values))
    return pa.Array.from_buffers(
        kind if is_small else large,
        len(values),
        [_packed(bytes(valid)) if None in values else None, pa.py_buffer(offsets), pa.py_buffer(data)],
    )


def stored(array: pa.Array, column: str) -> pa.Array:
    """What an array of an extension type is stored as, where that is its values.

    Raises:
        DriverError: It is not known to be: what pandas.period stores, for one, are numbers without their unit.
    """
    kind = array.type
    if kind.extension_name not in _STORED_AS_THEY_ARE:
        raise DriverError(
            f"column {column!r} is of the type {kind.extension_name} ({kind}), stored as {kind.storage_type}: "
            "what its values are as text is not known",
            hint=f"cast the column to text, or to {kind.storage_type} if that is what is wanted, before writing it",
            code="filesystem.no_text",
            column=column,
            type=kind.extension_name,
        )
    return array.storage


def bits(flags: Iterable[bool]) -> pa.Buffer:
    """A bitmap, as Arrow has it for validity and for booleans."""
    return _packed(bytes(flags))


def _packed(flags: bytes) -> pa.Buffer:
    packed = cast(pa.Array.from_buffers(pa.uint8(), len(flags), [None, pa.py_buffer(flags)]), pa.bool_())
    return packed.buffers()[1]


@cache
def constant(text: str, kind: pa.DataType | None = None) -> pa.Scalar:
    """The scalar that ``text`` is of the type; ``pa.scalar`` has the same flaw as ``pa.array``."""
    made = text_array([text])
    return (made if kind is None else cast(made, kind))[0]

"""Which values of a column need quotes in CSV, and the same column with quotes.

The characters that count in CSV stand in quoted values as bytes that UTF-8 never has: pyarrow's writer, which joins
the columns, would refuse them. :attr:`Quoting.reveal` puts them back in what it has written.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv as pa_csv

from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.arrow_arrays import constant, text_array
from osiris.drivers.filesystem.byte_blocks import contains, translate

__all__ = ["Needing", "Quoting"]

_QUOTE, _DELIMITER, _LF, _CR = b"\xf8", b"\xf9", b"\xfa", b"\xfb"
_MOST = 2**31 - 1
"""Bytes that an array with offsets of 32 bits can hold."""


@dataclass(frozen=True)
class Needing:
    """Values that need quotes.

    Attributes:
        mask: Which, as booleans without NULL; NULL values need none.
        is_all: Whether all do that are not NULL.
    """

    mask: pa.Array
    is_all: bool


class Quoting:
    """Works for one delimiter and one text for NULL.

    Args:
        delimiter: One ASCII character.
        null_value: What stands for NULL, so that a value that reads the same needs quotes.
    """

    def __init__(self, delimiter: str, null_value: str) -> None:
        special, stand_ins = b'"' + delimiter.encode() + b"\n\r", _QUOTE + _DELIMITER + _LF + _CR
        self._special, self._null = special.decode(), null_value
        self._hide = bytes.maketrans(special, stand_ins)
        self.reveal = bytes.maketrans(stand_ins, special)
        """A table to translate by what pyarrow has written of quoted columns."""
        self._options = pa_csv.WriteOptions(
            include_header=False, quoting_style="needed", null_string="", eol="", batch_size=4096
        )

    def is_special(self, text: str) -> bool:
        """Whether there is a character in it that counts."""
        return any(character in text for character in self._special)

    def needs(self, text: pa.Array) -> Needing | None:
        """The values of a ``string`` or ``large_string`` that would be misread without quotes; None for none."""
        content = _content(text)
        valid, most = pc.is_valid(text), len(text) - text.null_count
        mask = pc.and_kleene(pc.equal(text, constant(self._null, text.type)), valid)
        found = _count(mask)
        for character in self._special:
            if found < most and contains(content, character):
                mask = pc.or_(mask, pc.and_kleene(pc.match_substring(text, character), valid))
                found = _count(mask)
        return Needing(mask, found == most) if found else None

    def quote(self, text: pa.Array, needing: Needing) -> pa.Array:
        """The column with quotes, to be revealed, around the values that need them."""
        quoted = self.quote_all(text)
        return quoted if needing.is_all else pc.if_else(needing.mask, quoted, pc.cast(text, quoted.type))

    def quote_all(self, text: pa.Array) -> pa.Array:
        """The column with quotes, to be revealed, around all values.

        By pyarrow, which writes them one after the other with nothing between.
        """
        if 2 * text.nbytes + 2 * len(text) > _MOST:
            text = pc.cast(text, pa.large_string())
        number = pa.int64() if pa.types.is_large_string(text.type) else pa.int32()
        room = pa.allocate_buffer(2 * text.nbytes + 2 * len(text))  # as if there were quotes only
        with pa.FixedSizeBufferWriter(room) as sink:
            pa_csv.write_csv(pa.RecordBatch.from_arrays([text], [""]), sink, self._options)
            size = sink.tell()
        translate(memoryview(room).cast("B")[:size], self._hide)
        sizes = pc.add(pc.binary_length(text), constant("2", number))
        if contains(_content(text), '"'):
            sizes = pc.add(sizes, pc.cast(pc.count_substring(text, '"'), number))
        valid = pc.is_valid(text).buffers()[1] if text.null_count else None
        if text.null_count:
            sizes = pc.coalesce(sizes, constant("0", number))
        edges = pa.concat_arrays([pc.cast(text_array(["0"]), number), pc.cumulative_sum(sizes)])
        # Called text without looking at it: pyarrow's writer takes it as it is.
        return pa.Array.from_buffers(text.type, len(text), [valid, edges.buffers()[1], room.slice(0, size)])


def _content(text: pa.Array) -> memoryview:
    """The bytes of all values, and of no others where the array is a slice."""
    _, offsets, content = text.buffers()
    if content is None or not len(text):
        return memoryview(b"")
    edges = memoryview(offsets).cast("B").cast("q" if pa.types.is_large_string(text.type) else "i")
    return memoryview(content).cast("B")[edges[text.offset] : edges[text.offset + len(text)]]


def _count(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)

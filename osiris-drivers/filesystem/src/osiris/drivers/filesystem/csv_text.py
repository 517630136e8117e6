"""Values to text and back without loss: the one form in which Osiris writes each Arrow type to CSV.

===================  ==========================================================
integer              ``-5``
double               shortest that reads back the same, as Python: ``0.1``, ``3.0``, ``1e+16``, ``nan``, ``inf``
decimal(p, s)        all ``s`` digits after the point: ``10.10``; never an exponent
boolean              ``true``, ``false``
date                 ``2024-01-31``
timestamp            ``2024-01-31 00:00:00``, with ``.123456`` where there is a fraction of a second
timestamp with zone  the same and the zone's offset: ``2024-01-31 12:00:00+01:00``
time                 ``12:30:00``, with a fraction where there is one
duration             seconds: ``90061.5``
binary               hexadecimal digits, or base64
list, struct, map    JSON
===================  ==========================================================

A column whose text in a file had another form that is as exact says so in its field's metadata
(:data:`~osiris.drivers.filesystem.value_text.FORM`), and gets that form back.
"""

from __future__ import annotations

import pyarrow as pa

from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.arrow_arrays import stored, text_array
from osiris.drivers.filesystem.json_text import JsonForm, json_tokens
from osiris.drivers.filesystem.value_text import BinaryForm, scalar_text

__all__ = ["to_text"]

_NESTED = JsonForm(non_finite="string", binary="base64")


def to_text(array: pa.Array, *, form: str = "", binary: BinaryForm = "hex", column: str = "") -> pa.Array:
    """The text of every value, as ``string`` (or ``large_string``); NULL stays NULL.

    Args:
        array: Of any type.
        form: See :data:`~osiris.drivers.filesystem.value_text.FORM`.
        binary: How to write bytes that are not inside of lists or structs.
        column: Its name, for errors.

    Raises:
        DriverError: A value has no text (a date outside of the years -32767 to 32767, a time
            outside of a day), or the column is of an extension type that is not known.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return to_text(stored(array, column), form=form, binary=binary, column=column)
    if pa.types.is_dictionary(kind):
        return to_text(array.dictionary_decode(), form=form, binary=binary, column=column)
    if pa.types.is_run_end_encoded(kind):
        return to_text(pc.run_end_decode(array), form=form, binary=binary, column=column)
    if pa.types.is_nested(kind):
        nulls = pc.is_null(array).to_pylist()
        tokens = json_tokens(array, _NESTED, column)
        return text_array([None if null else token for null, token in zip(nulls, tokens, strict=True)])
    return scalar_text(array, form=form, binary=binary, column=column)

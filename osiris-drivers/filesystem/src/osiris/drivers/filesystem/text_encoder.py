"""UTF-8 blocks to blocks in another encoding, never with a character replaced."""

from __future__ import annotations

import codecs

from osiris.core.errors import DriverError

__all__ = ["TextEncoder"]

_MARKS = {
    "utf-16": ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF16_LE, "utf-16-le")),
    "utf-32": ((codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF32_LE, "utf-32-le")),
}


class TextEncoder:
    """Encodes a text block by block.

    Args:
        encoding: As Python knows it.
        existing: The first bytes of a file that is appended to (``b""`` for a new one): its byte-order mark counts,
            and no second one is written.
    """

    def __init__(self, encoding: str, existing: bytes = b"") -> None:
        name = codecs.lookup(encoding).name
        self._encoding = encoding
        self._begun = False
        self._mark = codecs.BOM_UTF8 if name == "utf-8-sig" and not existing else b""
        if existing and name in _MARKS:
            name = next((order for mark, order in _MARKS[name] if existing.startswith(mark)), f"{name}-le")
        self._encoder = None if name in ("utf-8", "utf-8-sig") else codecs.getincrementalencoder(name)("strict")

    def encode(self, block: bytes | memoryview) -> bytes | memoryview:
        """The block, which is whole UTF-8 characters, in the encoding.

        Raises:
            DriverError: It has no such character.
        """
        if self._encoder is not None:
            self._begun = True
            return self._encoded(str(block, "utf-8"))
        if self._mark:
            block, self._mark = self._mark + bytes(block), b""
        return block

    def finish(self) -> bytes:
        """What is still to be written when the text is complete."""
        return self._encoded("", final=True) if self._encoder is not None and self._begun else b""

    def _encoded(self, text: str, *, final: bool = False) -> bytes:
        assert self._encoder is not None
        try:
            return self._encoder.encode(text, final)
        except UnicodeEncodeError as error:
            character = error.object[error.start]
            raise DriverError(
                f"the encoding {self._encoding} has no character {character!r} (U+{ord(character):04X})",
                hint="write `encoding: utf-8`, or replace the character before",
                code="filesystem.not_encodable",
                encoding=self._encoding,
                character=character,
            ) from error

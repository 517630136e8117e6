"""Where each row lies among the bytes that a server sends: many rows at a time, none looked into."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from osiris.core.quick_dataclass import dataclass
from osiris.drivers.mysql.errors import explain

__all__ = ["SPARE", "Rows", "read_rows"]

SPARE = 16
"""Bytes behind the last row that may be read, though they mean nothing."""

_BLOCK = 2 << 20
_LONGEST = 0xFFFFFF
"""The size of a packet that goes on in the next one."""

_END, _ERROR = 0xFE, 0xFF

Receive = Callable[[memoryview], int]


@dataclass(frozen=True)
class Rows:
    """Some rows: ``starts`` says where in ``content`` each begins. Valid until the next are read.

    Attributes:
        content: uint8; at least :data:`SPARE` bytes longer than its last row.
        starts: int64, ascending.
    """

    content: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]


def read_rows(receive: Receive, block: int = _BLOCK) -> Iterator[Rows]:
    """The rows of one result in the binary protocol, to its end.

    Args:
        receive: Puts what has arrived into the given room, and says how many bytes; raises where there will be no more.
        block: Bytes to collect; a row that is longer comes alone.

    Raises:
        DriverError: What the server said instead of going on.
    """
    buffer = bytearray(block + SPARE)
    room, content = memoryview(buffer), np.frombuffer(buffer, np.uint8)
    # A size is read as one number: of four views over the same bytes, each begins one byte later.
    sizes = [room[shift : shift + (len(buffer) - shift) // 4 * 4].cast("I") for shift in range(4)]
    starts: list[int] = []
    have = at = 0
    while True:
        have += receive(room[have:block])
        at = _scan(sizes, at, have, starts)
        ended = at == have and bool(starts) and _is_end(buffer, starts[-1], have)
        if ended:
            _refuse_error(bytes(room[starts.pop() + 4 : have]))
        if starts and (ended or have == block):
            yield Rows(content, np.array(starts, np.int64) + 4)
            starts.clear()
        if ended:
            return
        if have == block:
            if at == 0:
                yield _read_long_row(receive, bytes(room[:block]))
                have = 0
            else:
                room[: have - at] = room[at:have]
                have -= at
            at = 0


def _scan(sizes: list[memoryview], at: int, have: int, starts: list[int]) -> int:
    """Note where each packet begins that is there as a whole; gives where the first other one does."""
    note, last = starts.append, have - 4
    while at <= last:
        note(at)
        at += 4 + (sizes[at & 3][at >> 2] & _LONGEST)
    return starts.pop() if at > have else at


def _is_end(buffer: bytearray, start: int, have: int) -> bool:
    # A row begins with 0; the end of the rows is a short packet that begins with 254, an error with 255.
    return buffer[start + 4] == _ERROR or (buffer[start + 4] == _END and have - start - 4 < 9)


def _refuse_error(packet: bytes) -> None:
    if packet[0] != _ERROR:
        return
    (number,) = struct.unpack_from("<H", packet, 1)
    text = packet[9:] if packet[3:4] == b"#" else packet[3:]
    raise explain(number, text.decode("utf-8", "replace"), lost_is_retryable=True)


def _read_long_row(receive: Receive, head: bytes) -> Rows:
    """One row that is longer than a block, perhaps in several packets, of which ``head`` has come already."""
    row = bytearray()
    arrived = bytearray(head)
    while True:
        size = int.from_bytes(_exactly(receive, arrived, 4)[:3], "little")
        row += _exactly(receive, arrived, size)
        if size < _LONGEST:
            break
    row += bytes(SPARE)
    return Rows(np.frombuffer(row, np.uint8), np.zeros(1, np.int64))


def _exactly(receive: Receive, arrived: bytearray, size: int) -> bytearray:
    """The next ``size`` bytes: first of those that have arrived, which are taken away, then received."""
    taken = arrived[:size]
    del arrived[:size]
    have = len(taken)
    taken.extend(bytes(size - have))
    with memoryview(taken) as room:
        while have < size:
            have += receive(room[have:])
    return taken

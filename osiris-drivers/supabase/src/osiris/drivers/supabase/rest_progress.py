"""What a step has sent and what was answered, on disk: so that a later attempt does nothing twice.

A line before each request and one after its answer. It outlives the process, not a power cut.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal

from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.rest_batches import Batch

__all__ = ["Progress"]

State = Literal["new", "sent", "done", "other"]


@dataclass
class _Range:
    end: int
    digest: str
    done: bool = False


class Progress:
    """The notes of one step in one session. Threads may share it.

    Args:
        folder: The step's ``state_dir``.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "rest-progress.jsonl"
        self._lock = threading.Lock()
        self._ranges: dict[int, _Range] = {}
        self.finished: int | None = None
        """The rows of the whole step, where it came to its end."""
        cut_short = self._file.exists() and self._load()
        self.is_new = not self._ranges
        self._out = self._file.open("a", encoding="utf-8")
        if cut_short:
            self._out.write("\n")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._out.close()

    def places(self, batch: Batch) -> list[int]:
        """Where an earlier attempt cut these rows, in order."""
        ends = {known.end for known in self._ranges.values()}
        return sorted(place for place in ends | self._ranges.keys() if batch.start < place < batch.end)

    def state(self, batch: Batch) -> State:
        """``new``: never sent; ``sent``: perhaps executed; ``done``; ``other``: other rows stood here."""
        known = self._ranges.get(batch.start)
        if known is None:
            return "new"
        if known.end != batch.end or known.digest != batch.digest:
            return "other"
        return "done" if known.done else "sent"

    def send(self, batch: Batch) -> None:
        """Note that a batch is about to be sent."""
        with self._lock:
            self._ranges[batch.start] = _Range(batch.end, batch.digest)
            self._write({"sent": [batch.start, batch.end, batch.digest]})

    def confirm(self, batch: Batch) -> None:
        """Note that a batch is in the table."""
        with self._lock:
            self._ranges[batch.start].done = True
            self._write({"done": batch.start})

    def withdraw(self, batch: Batch) -> None:
        """Note that a batch was refused: it is not in the table."""
        with self._lock:
            del self._ranges[batch.start]
            self._write({"refused": batch.start})

    def finish(self, rows: int) -> None:
        """Note that all is done."""
        with self._lock:
            self.finished = rows
            self._write({"finished": rows})

    @property
    def rows(self) -> int:
        """How many rows are known to be in the table."""
        with self._lock:
            return sum(known.end - start for start, known in self._ranges.items() if known.done)

    def _write(self, note: dict[str, object]) -> None:
        self._out.write(json.dumps(note) + "\n")
        self._out.flush()

    def _load(self) -> bool:
        """Read what was noted; whether the last line was cut short by the end of a process."""
        text = self._file.read_text(encoding="utf-8")
        for line in text.splitlines():
            with suppress(ValueError):  # such a line
                self._apply(json.loads(line))
        return bool(text) and not text.endswith("\n")

    def _apply(self, note: dict[str, object]) -> None:
        match note:
            case {"sent": [int(start), int(end), str(digest)]}:
                self._ranges[start] = _Range(end, digest)
            case {"done": int(start)} if start in self._ranges:
                self._ranges[start].done = True
            case {"refused": int(start)}:
                self._ranges.pop(start, None)
            case {"finished": int(rows)}:
                self.finished = rows

"""Datasets that wait for their users: in memory up to a budget, then on disk, released after the last one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.errors import DatasetError, ExecutionError
from osiris.core.privacy import make_private_folder
from osiris.core.quick_dataclass import dataclass

__all__ = ["DatasetStore"]

_RESERVE = 32 * 1024 * 1024
"""Bytes that are left free on the disk: events and results still have to be written."""

_LOOK_EVERY = 16 * 1024 * 1024
"""Bytes after which the disk is looked at again."""


@dataclass(eq=False)
class _Kept:
    value: Any
    uses: int
    size: int = 0
    file: Path | None = None
    stays: bool = False
    """Whether the file outlives its last user."""


class DatasetStore:
    """What flows between stages. Thread-safe; no lock is held while data is read or written.

    Args:
        spool_dir: Where datasets beyond the budget go; made when first needed.
        budget: Bytes that all datasets together may take in memory.
        disk_limit: Bytes that they may take on disk; None: as much as there is room, less a reserve.
    """

    def __init__(self, spool_dir: Path, budget: int, disk_limit: int | None = None) -> None:
        self._dir = spool_dir
        self._budget = budget
        self._disk_limit = disk_limit
        self._on_disk = 0
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._in_memory = 0
        self._files = 0
        self._lock = threading.Lock()

    @property
    def disk_bytes(self) -> int:
        """What the datasets that are on disk now take there."""
        with self._lock:
            files = [kept.file for kept in self._kept.values() if kept.file is not None]
        size = 0
        for file in files:
            with suppress(OSError):  # released meanwhile
                size += file.stat().st_size
        return size

    def put(self, step_id: str, value: Any, *, output: str = "df", uses: int = 1) -> None:
        """Keep an output until it was released ``uses`` times. A Dataset is read to its end here.

        Raises:
            ExecutionError: The disk is full (code ``store.spool_failed``).
            BaseException: What reading the dataset raised; nothing is kept then.
        """
        kept = self._keep(value, uses) if isinstance(value, Dataset) else _Kept(value, uses)
        with self._lock:
            self._kept[step_id, output] = kept

    def keep(self, step_id: str, dataset: Dataset, file: Path, *, output: str = "df", uses: int = 1) -> int:
        """As :meth:`put`, but into ``file``, which outlives its last user; gives the rows. It is whole or not there.

        Raises:
            ExecutionError: The disk is full (code ``store.spool_failed``).
            BaseException: What reading the dataset raised; nothing is kept then.
        """
        draft = file.with_name(f".{file.name}.draft")
        try:
            rows = self._fill(_SpoolFile(draft, dataset.schema), dataset.batches())
        finally:
            dataset.close()
        draft.replace(file)
        self.restore(step_id, file, rows, output=output, uses=uses)
        return rows

    def restore(self, step_id: str, file: Path, rows: int, *, output: str = "df", uses: int = 1) -> None:
        """Take over what :meth:`keep` wrote, perhaps in an earlier process."""
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            schema = reader.schema
        with self._lock:
            self._kept[step_id, output] = _Kept(_spooled(file, schema, rows), uses, file=file, stays=True)

    def get(self, step_id: str, *, output: str = "df") -> Any:
        """What was put: a Dataset that can be read any number of times, or a plain value.

        Raises:
            DatasetError: It was never put, or released by its last user.
        """
        with self._lock:
            kept = self._kept.get((step_id, output))
        if kept is None:
            raise DatasetError(f"output {output!r} of step {step_id!r} is not here", code="store.missing")
        return kept.value

    def whole(self, step_id: str, *, output: str = "df") -> pa.Table:
        """A dataset that was put, as one table; from disk it is mapped into memory, not read.

        Raises:
            DatasetError: It was never put, or released by its last user.
        """
        dataset: Dataset = self.get(step_id, output=output)
        with self._lock:
            kept = self._kept.get((step_id, output))
            file = None if kept is None else kept.file
        if file is None:
            return dataset.table()
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            return reader.read_all()

    def release(self, step_id: str, *, output: str = "df") -> None:
        """One user less; the last one's release frees memory and file. Unknown outputs are ignored."""
        with self._lock:
            kept = self._kept.get((step_id, output))
            if kept is None:
                return
            kept.uses -= 1
            if kept.uses > 0:
                return
            del self._kept[step_id, output]
            self._in_memory -= kept.size
        _drop(kept)

    def spill(self) -> None:
        """Memory is short: keep nothing in it from now on, and move what is there to disk.

        Raises:
            ExecutionError: There is no room on disk either.
        """
        with self._lock:
            self._budget = 0
            held = [(kept, kept.value) for kept in self._kept.values() if kept.size]
        for kept, dataset in held:
            file, rows = self._spool(dataset.schema, dataset.batches())
            with self._lock:
                wanted = kept in self._kept.values()
                if wanted:
                    self._in_memory -= kept.size
                    kept.size, kept.file, kept.value = 0, file, _spooled(file, dataset.schema, rows)
            if not wanted:  # its last user was done meanwhile
                file.unlink(missing_ok=True)

    def discard(self, step_id: str) -> None:
        """Free all outputs of a step, whoever wanted them: it failed, and may give them again."""
        with self._lock:
            gone = [self._kept.pop(key) for key in list(self._kept) if key[0] == step_id]
            self._in_memory -= sum(kept.size for kept in gone)
        for kept in gone:
            _drop(kept)

    def clear(self) -> None:
        """Free everything."""
        with self._lock:
            everything, self._kept, self._in_memory = list(self._kept.values()), {}, 0
        for kept in everything:
            _drop(kept)

    def _keep(self, dataset: Dataset, uses: int) -> _Kept:
        held: list[pa.RecordBatch] = []
        size = 0
        batches = dataset.batches()
        try:
            for batch in batches:
                if not self._reserve(batch.nbytes):
                    self._give_back(size)
                    size = 0  # or a disk that fails now would give it back once more
                    file, rows = self._spool(dataset.schema, chain(held, [batch], batches))
                    return _Kept(_spooled(file, dataset.schema, rows), uses, file=file)
                size += batch.nbytes
                held.append(batch)
        except BaseException:
            self._give_back(size)
            raise
        finally:
            dataset.close()
        table = pa.Table.from_batches(held, schema=dataset.schema)
        return _Kept(Dataset.from_table(table), uses, size)

    def _reserve(self, size: int) -> bool:
        with self._lock:
            if self._in_memory + size > self._budget:
                return False
            self._in_memory += size
            return True

    def _give_back(self, size: int) -> None:
        with self._lock:
            self._in_memory -= size

    def _spool(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> tuple[Path, int]:
        with self._lock:
            self._files += 1
            file = self._dir / f"spool-{self._files}.arrows"
        return file, self._fill(_SpoolFile(file, schema), batches)

    def _fill(self, target: _SpoolFile, batches: Iterator[pa.RecordBatch]) -> int:
        rows = 0
        try:
            for batch in batches:
                self._take_disk(batch.nbytes, target.path.parent)
                target.write(batch)
                rows += batch.num_rows
            target.close()
        except BaseException:
            target.discard()
            raise
        return rows

    def _take_disk(self, size: int, folder: Path) -> None:
        # Counted up only: what is released makes room in fact, which the reserve below sees.
        with self._lock:
            before, self._on_disk = self._on_disk, self._on_disk + size
        if self._disk_limit is not None and before + size > self._disk_limit:
            raise ExecutionError(
                f"intermediate data would take more than {self._disk_limit:,} bytes on disk",
                hint="raise limits.disk, or give fewer steps the same output",
                code="store.disk_limit",
                limit=self._disk_limit,
            )
        if before // _LOOK_EVERY != (before + size) // _LOOK_EVERY or before == 0:
            free = shutil.disk_usage(folder).free
            if free < size + _RESERVE:
                raise ExecutionError(
                    f"the disk is nearly full: {free:,} bytes are left where {folder} is",
                    hint="free space there, or choose another place with --session-dir",
                    code="store.disk_full",
                    free=free,
                )


class _SpoolFile:
    """An Arrow stream on disk; every failure to write is the same clear error.

    The stream form, not the file form: that one cannot hold dictionaries that change between batches.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        with self._disk_errors():
            # Private, because it holds the user's data.
            make_private_folder(path.parent)
            path.touch(mode=0o600)
            self._file = pa.OSFile(str(path), "wb")
            self._writer = pa.ipc.new_stream(self._file, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        with self._disk_errors():
            self._writer.write_batch(batch)

    def close(self) -> None:
        with self._disk_errors():
            self._writer.close()
            self._file.close()

    def discard(self) -> None:
        with suppress(ExecutionError):  # closing writes the end mark, which fails again on a full disk
            self.close()
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ExecutionError(
                f"cannot keep intermediate data on disk: {error.strerror or error}",
                hint=f"free space where {self.path.parent} is, or raise the memory budget",
                code="store.spool_failed",
            ) from error


def _spooled(file: Path, schema: pa.Schema, rows: int) -> Dataset:
    def read() -> Iterator[pa.RecordBatch]:
        # Read, not mapped: a stream of mapped batches leaves the whole file in the resident set.
        with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader

    return Dataset(read, schema, replayable=True, num_rows=rows)


def _drop(kept: _Kept) -> None:
    kept.value = None
    if kept.file is not None and not kept.stays:
        kept.file.unlink(missing_ok=True)

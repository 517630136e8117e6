"""The dataset store: budget, spooling, release."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset
from osiris.core.engine import DatasetStore
from osiris.core.errors import DatasetError

BATCH = pa.record_batch({"n": pa.array(range(1000), type=pa.int64())})
MANY = 50


def stream(batches: int = MANY) -> Dataset:
    return Dataset.from_batches(BATCH.schema, (BATCH for _ in range(batches)))


def test_within_the_budget_nothing_touches_the_disk(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "spool", budget=MANY * BATCH.nbytes)
    store.put("a", stream())
    assert store.get("a").num_rows == MANY * 1000
    assert not (tmp_path / "spool").exists()


def test_beyond_the_budget_goes_to_disk_whole_and_in_order(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "spool", budget=3 * BATCH.nbytes)
    store.put("a", stream(), uses=2)
    kept = store.get("a")
    assert [f.suffix for f in (tmp_path / "spool").iterdir()] == [".arrows"]
    assert kept.num_rows == MANY * 1000
    wanted = pa.Table.from_batches([BATCH] * MANY)
    assert kept.table().equals(wanted)
    assert store.get("a").table().equals(wanted), "it can be read again"
    store.release("a")
    assert store.get("a").num_rows == MANY * 1000, "one user is left"
    store.release("a")
    assert list((tmp_path / "spool").iterdir()) == []


def test_spool_files_are_private(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "spool", budget=0)
    store.put("a", stream(2))
    (file,) = (tmp_path / "spool").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


def test_memory_is_given_back_by_release(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "spool", budget=MANY * BATCH.nbytes)
    for step in range(5):
        store.put(str(step), stream())
        store.release(str(step))
    assert not (tmp_path / "spool").exists(), "each of them found the whole budget free"


def test_a_stream_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        for _ in range(10):
            yield BATCH
        raise ValueError("the source broke")

    store = DatasetStore(tmp_path / "spool", budget=2 * BATCH.nbytes)
    with pytest.raises(ValueError, match="the source broke"):
        store.put("a", Dataset.from_batches(BATCH.schema, failing()))
    assert list((tmp_path / "spool").iterdir()) == []
    with pytest.raises(DatasetError):
        store.get("a")
    store.put("b", stream(2))
    assert len(list((tmp_path / "spool").iterdir())) == 0, "the failed one's memory was given back"
    store.put("c", stream(1))
    assert len(list((tmp_path / "spool").iterdir())) == 1, "but only once: the budget is what it was"


def test_dictionaries_that_change_between_batches_survive_the_disk(tmp_path: Path) -> None:
    batches = [
        pa.record_batch({"c": pa.array([word, None, word], pa.string()).dictionary_encode()})
        for word in ("x", "y", "z")
    ]
    store = DatasetStore(tmp_path / "spool", budget=0)
    store.put("a", Dataset.from_batches(batches[0].schema, iter(batches)))
    column = store.get("a").table().column("c").cast(pa.string())
    assert column.to_pylist() == ["x", None, "x", "y", None, "y", "z", None, "z"]


def test_clear_frees_everything(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "spool", budget=0)
    store.put("a", stream(2))
    store.put("b", 5)
    store.clear()
    assert list((tmp_path / "spool").iterdir()) == []
    with pytest.raises(DatasetError):
        store.get("b")


def test_plain_values_are_kept_as_they_are(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path, budget=0)
    store.put("a", 5, output="rows")
    assert store.get("a", output="rows") == 5


def test_threads_share_the_budget(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "spool", budget=MANY * BATCH.nbytes)
    threads = [threading.Thread(target=store.put, args=(str(n), stream())) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.get(str(n)).num_rows == MANY * 1000 for n in range(8))
    assert len(list((tmp_path / "spool").iterdir())) >= 7


_FULL_DISK = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from osiris.core.dataset import Dataset
from osiris.core.engine import DatasetStore
from osiris.core.errors import ExecutionError
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
batch = pa.record_batch({"n": pa.array(range(100_000), type=pa.int64())})
store = DatasetStore(Path(sys.argv[1]), budget=0)
try:
    store.put("a", Dataset.from_batches(batch.schema, iter([batch, batch])))
except ExecutionError as error:
    print(error.code, bool(error.hint), sorted(p.name for p in Path(sys.argv[1]).iterdir()))
"""


def test_a_full_disk_is_a_clear_error_and_leaves_no_file(tmp_path: Path) -> None:
    # A file size limit fails writes as a full disk does (EFBIG for ENOSPC), without needing a disk to fill.
    assert errno.EFBIG
    assert resource.RLIMIT_FSIZE
    told = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path / "spool")], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "store.spool_failed True []", told.stderr

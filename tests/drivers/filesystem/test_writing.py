"""What all writers promise: a file appears whole or not at all, and what was there is not lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from osiris.core.errors import RunCancelledError

TABLE = pa.table({"a": pa.array([1, None], pa.int64()), "b": ["x", "y,z"]})
KINDS = ["csv", "parquet", "jsonl"]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_what_is_written_comes_back(step, kind):
    step.write(kind, TABLE, f"new/folder/out.{kind}")
    assert step.read(kind, f"new/folder/out.{kind}").table().to_pydict() == TABLE.to_pydict()


def test_what_was_written_is_told(step, kind):
    path = step.write(kind, TABLE, f"out.{kind}")
    size = path.stat().st_size
    assert step.outputs == [(str(path), {"rows": 2, "bytes": size, "format": kind})]
    assert step.metrics == [("bytes_written", size)]


def test_no_rows_give_a_file_all_the_same(step, kind):
    path = step.write(kind, TABLE.slice(0, 0), f"out.{kind}")
    assert path.exists()
    if kind != "jsonl":  # a JSON Lines file without lines says nothing of columns
        assert step.read(kind, path.name).table().to_pydict() == {"a": [], "b": []}


def test_choosing_columns(step, raises, kind):
    step.write(kind, TABLE, f"out.{kind}", columns=["b", "a"])
    assert step.read(kind, f"out.{kind}").schema.names == ["b", "a"]
    error = raises("filesystem.unknown_column", step.write, kind, TABLE, f"new.{kind}", columns=["bb"])
    assert "did you mean 'b'?" in error.hint


@pytest.mark.parametrize("mode", ["overwrite", "append"])
@pytest.mark.parametrize("error", [ValueError("upstream"), OSError(28, "upstream disk"), KeyboardInterrupt()])
def test_a_stream_that_breaks_leaves_what_was_there(step, failing, kind, mode, error):
    old = step.write(kind, TABLE, f"out.{kind}").read_bytes()
    with pytest.raises(type(error)) as caught:
        step.write(kind, failing(TABLE, error), f"out.{kind}", write_mode=mode)
    assert caught.value is error
    assert step.files() == [f"out.{kind}"]
    assert (step.base_dir / f"out.{kind}").read_bytes() == old


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("text", ["csv", "jsonl"])
def test_a_broken_stream_into_a_compressed_file(step, failing, text, suffix):
    with pytest.raises(ValueError, match="upstream"):
        step.write(text, failing(TABLE, ValueError("upstream")), f"out.{text}{suffix}")
    assert step.files() == []


def test_cancelling(step, kind):
    step.cancellation.request()
    with pytest.raises(RunCancelledError):
        step.write(kind, TABLE, f"out.{kind}")
    assert step.files() == []


def test_mode_fail(step, raises, failing, kind):
    old = step.write(kind, TABLE, f"out.{kind}", write_mode="fail").read_bytes()
    never_read = failing(TABLE.slice(0, 0), AssertionError("the input was read"))
    raises("filesystem.exists", step.write, kind, never_read, f"out.{kind}", write_mode="fail")
    assert (step.base_dir / f"out.{kind}").read_bytes() == old


def test_mode_fail_where_the_file_comes_up_meanwhile(step, raises, kind):
    path = step.base_dir / f"out.{kind}"

    def batches():
        path.write_text("somebody else's")
        yield from TABLE.to_batches()

    stream = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    raises("filesystem.exists", step.write, kind, stream, path.name, write_mode="fail")
    assert path.read_text() == "somebody else's"
    assert step.files() == [path.name]


def test_appending(step, kind):
    name = f"out.{kind}"
    step.write(kind, TABLE, name, write_mode="append")
    step.write(kind, TABLE, name, write_mode="append")
    twice = {name: values * 2 for name, values in TABLE.to_pydict().items()}
    assert step.read(kind, name).table().to_pydict() == twice


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("text", ["csv", "jsonl"])
def test_appending_to_compressed_files(step, text, suffix):
    for _ in range(3):
        step.write(text, TABLE, f"out.{text}{suffix}", write_mode="append")
    assert step.read(text, f"out.{text}{suffix}").table().num_rows == 6


def test_appending_to_a_file_that_changes_meanwhile(step, raises, kind):
    path = step.write(kind, TABLE, f"out.{kind}")

    def batches():
        path.write_text("somebody else's longer file")
        yield from TABLE.to_batches()

    stream = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    error = raises("filesystem.changed_meanwhile", step.write, kind, stream, path.name, write_mode="append")
    assert error.retryable
    assert path.read_text() == "somebody else's longer file"


def test_appending_other_columns(step, raises, kind):
    old = step.write(kind, TABLE, f"out.{kind}").read_bytes()
    if kind == "jsonl":
        return  # every line says its own keys
    code = {"csv": "filesystem.csv_header_mismatch", "parquet": "filesystem.parquet_schema_mismatch"}[kind]
    for other in (TABLE.select(["a"]), TABLE.select(["b", "a"]), TABLE.rename_columns(["a", "c"])):
        raises(code, step.write, kind, other, f"out.{kind}", write_mode="append")
    assert (step.base_dir / f"out.{kind}").read_bytes() == old


def test_appending_to_csv_without_a_last_line_end(step):
    step.file("out.csv", "a,b\n1,x")
    assert step.write("csv", TABLE, "out.csv", write_mode="append").read_text() == 'a,b\n1,x\n1,x\n,"y,z"\n'


def test_appending_to_csv_without_header(step, raises):
    step.file("out.csv", "1,x\n")
    raises(
        "filesystem.csv_header_mismatch",
        step.write,
        "csv",
        TABLE.select(["a"]),
        "out.csv",
        header=False,
        write_mode="append",
    )
    text = step.write("csv", TABLE, "out.csv", header=False, write_mode="append").read_text()
    assert text == '1,x\n1,x\n,"y,z"\n'


def test_appending_to_an_empty_csv_writes_the_header(step):
    step.file("out.csv", "")
    assert step.write("csv", TABLE, "out.csv", write_mode="append").read_text() == 'a,b\n1,x\n,"y,z"\n'


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1250"])
def test_appending_in_an_encoding_writes_one_mark(step, encoding):
    table = pa.table({"a": ["ž"], "b": ["é"]})
    step.write("csv", table, "out.csv", encoding=encoding)
    path = step.write("csv", table, "out.csv", encoding=encoding, write_mode="append")
    assert path.read_bytes().decode(encoding) == "a,b\nž,é\nž,é\n"


def test_appending_keeps_the_byte_order_that_is_there(step):
    step.file("out.csv", "\ufeffa,b\nž,é\n".encode("utf-16-be"))
    path = step.write("csv", pa.table({"a": ["x"], "b": ["y"]}), "out.csv", encoding="utf-16", write_mode="append")
    assert path.read_bytes().decode("utf-16") == "a,b\nž,é\nx,y\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'a,b\n1,"x\n3,4\n', "filesystem.csv_open_quote"),
        (b'a,b\n1\n1,5"",2\n3,"4', "filesystem.csv_open_quote"),
        (b"a,b\n1,\xe9\n", "filesystem.encoding"),
    ],
)
def test_appending_to_what_could_not_be_read_afterwards(step, raises, content, code):
    step.file("out.csv", content)
    raises(code, step.write, "csv", TABLE, "out.csv", write_mode="append")
    assert (step.base_dir / "out.csv").read_bytes() == content


def test_appending_to_a_file_with_quotes_and_rows_of_other_lengths(step):
    step.file("out.csv", 'a,b\n1\n"x\ny",2\n')
    written = step.write("csv", TABLE, "out.csv", write_mode="append").read_text()
    assert written == 'a,b\n1\n"x\ny",2\n1,x\n,"y,z"\n'


@pytest.mark.parametrize("encoding", ["iso2022_jp", "hz", "utf-7", "utf-16", "shift_jis"])
def test_an_encoding_with_states_is_written_to_its_end(step, encoding):
    text = "日" if encoding != "hz" else "中"
    table = pa.table({"a": [text], "b": [text]})
    for kind, expected in (("csv", f"a,b\n{text},{text}\n"), ("jsonl", f'{{"a":"{text}","b":"{text}"}}\n')):
        assert step.write(kind, table, "out", encoding=encoding).read_bytes().decode(encoding) == expected


def test_a_character_that_the_encoding_lacks(step, raises):
    error = raises("filesystem.not_encodable", step.write, "csv", pa.table({"a": ["日"]}), "out.csv", encoding="cp1250")
    assert "U+65E5" in error.message
    assert step.files() == []


def test_permissions_are_kept_and_new_files_follow_the_umask(step, kind):
    path = step.write(kind, TABLE, f"out.{kind}")
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o640)
    step.write(kind, TABLE, f"out.{kind}")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(step, kind):
    real = step.file(f"real/out.{kind}", "old")
    link = step.base_dir / f"link.{kind}"
    link.symlink_to(real)
    step.write(kind, TABLE, link.name)
    assert link.is_symlink()
    assert step.read(kind, f"real/out.{kind}").table().num_rows == 2
    assert step.files() == [link.name, f"real/out.{kind}"]


def test_a_folder_or_device_in_the_way(step, raises, kind):
    (step.base_dir / "folder").mkdir()
    raises("filesystem.is_directory", step.write, kind, TABLE, "folder")
    raises("filesystem.not_a_file", step.write, kind, TABLE, "/dev/null")
    step.file("file", "x")
    raises("filesystem.not_a_directory", step.write, kind, TABLE, f"file/out.{kind}")
    raises("filesystem.no_folder", step.write, kind, TABLE, f"missing/out.{kind}", create_dirs=False)
    raises("filesystem.name_too_long", step.write, kind, TABLE, "x" * 300)
    assert step.files() == ["file"]


def test_names_that_are_as_long_as_a_name_can_be(step, kind):
    name = "ž" * 127
    step.write(kind, TABLE, name, write_mode="overwrite")
    assert step.files() == [name]


def test_memory_urls(step, raises, kind):
    url = f"memory://writing/{kind}/out.{kind}"
    step.write(kind, TABLE, url)
    step.write(kind, TABLE, url, write_mode="append")
    assert step.read(kind, url).table().num_rows == 4
    raises("filesystem.exists", step.write, kind, TABLE, url, write_mode="fail")
    assert [location for location, _ in step.outputs] == [url, url]


def test_a_broken_stream_leaves_nothing_behind_a_url(step, failing, kind):
    import fsspec

    with pytest.raises(ValueError, match="upstream"):
        step.write(kind, failing(TABLE, ValueError("upstream")), f"memory://broken-{kind}/out.{kind}")
    assert fsspec.filesystem("memory").find(f"/broken-{kind}") == []


# -- in a process of their own: what cannot be undone in this one -------------------------------------

PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
import pyarrow as pa
from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from importlib import import_module

folder, kind, how, state = sys.argv[1:]

class Step:
    step_id, session_id, connection = "s", "run", None
    state_dir = Path(state)
    def raise_if_cancelled(self): pass
    def log_metric(self, *args, **tags): pass
    def add_output(self, *args, **facts): pass
    def resolve_path(self, path): return Path(folder) / path

schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
texts = [os.urandom(8).hex() for _ in range(10_000)]
batch = pa.RecordBatch.from_pydict({"a": list(range(10_000)), "b": texts}, schema=schema)

def batches():
    for number in range(100):
        if how == "kill" and number == 50:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch

if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
module = import_module(f"osiris.drivers.filesystem.{kind}_writer")
writer = getattr(module, kind.capitalize() + "Writer")()
config = {"path": f"out.{kind}"}
if kind == "parquet":
    config["row_group_size"] = 10_000
if how == "nobody" and os.geteuid() == 0:
    # Only now, with everything imported: the installation may be closed to others.
    writer.run("s", {"path": "memory://x"}, {"df": Dataset.from_batches(schema, [batch])}, Step())
    os.setgid(65534)
    os.setuid(65534)
try:
    writer.run("s", config, {"df": Dataset(batches, schema)}, Step())
except DriverError as error:
    print(error.code, error.hint)
"""


def run_apart(folder: Path, kind: str, how: str) -> subprocess.CompletedProcess[str]:
    state = tempfile.mkdtemp(prefix="osiris-state-")
    Path(state).chmod(0o777)  # also whom a test turns into may write there
    command = [sys.executable, "-c", PROGRAM, str(folder), kind, how, state]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(state)


def test_a_full_disk(step, kind):
    old = step.file(f"out.{kind}", "old")
    done = run_apart(step.base_dir, kind, "full")
    assert done.stdout.startswith("filesystem.no_space "), done.stderr
    assert not done.stderr
    assert old.read_text() == "old"
    assert step.files() == [f"out.{kind}"]


def test_a_killed_process_leaves_the_old_file_and_a_name_that_says_whose_it_is(step, kind):
    old = step.file(f"out.{kind}", "old")
    done = run_apart(step.base_dir, kind, "kill")
    assert done.returncode == -signal.SIGKILL
    assert old.read_text() == "old"
    (left,) = set(step.files()) - {f"out.{kind}"}
    assert left.startswith(f".out.{kind}.run-s-")
    assert left.endswith(".tmp")


@pytest.mark.parametrize("what", ["folder", "file", "new folder"])
def test_no_permission_to_write(what, kind):
    folder = Path(tempfile.mkdtemp(prefix="osiris-"))  # pytest's own folders are closed to other users
    target = folder / f"out.{kind}"
    target.write_text("old")
    target.chmod(0o444)
    folder.chmod(0o777 if what == "file" else 0o555)
    try:
        done = run_apart(folder / "new" if what == "new folder" else folder, kind, "nobody")
        assert done.stdout.startswith("filesystem.permission_denied "), done.stderr
        assert target.read_text() == "old"
        assert list(folder.iterdir()) == [target]
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_pipe_by_its_name_in_dev(tmp_path):
    script = """
import sys
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.atomic_file import AtomicFile
from osiris.drivers.filesystem.locations import Location
try:
    AtomicFile(Location("/dev/stdout", "/dev/stdout"), "overwrite", ".tmp")
except DriverError as error:
    print(error.code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "filesystem.not_a_file"

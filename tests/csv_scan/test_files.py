"""Whole files, in parts, by several threads."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from osiris.csv_scan import Column, Findings, scan_csv, why_not_compiled
from osiris.csv_scan import files as files_module
from osiris.csv_scan.library import Scanner

PART = 8 * 1024 * 1024
COLUMNS = [Column.integer(), Column.text()]
FINE = Findings(exact=(True, True), quotes=False)


def write(path: Path, *lines: bytes) -> list[str]:
    path.write_bytes(b"".join(lines))
    return [str(path)]


def test_it_is_compiled_where_the_tests_run() -> None:
    assert why_not_compiled() is None


def test_small_files(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert scan_csv(write(path, b"i,s\n1,x\n2,\n"), COLUMNS) == FINE
    assert scan_csv(write(path, b"i,s\n1,x\n2,y"), COLUMNS) == FINE, "without a newline at the end"
    assert scan_csv(write(path, b"i,s\n"), COLUMNS) == FINE
    assert scan_csv(write(path, b"i,s"), COLUMNS) is None
    assert scan_csv(write(path, b""), COLUMNS) == FINE
    assert scan_csv(write(path, b'"i",s\n1,x\n'), COLUMNS) == Findings(exact=(True, True), quotes=True)
    assert scan_csv(write(path, b'i,s\n1,"x"\n'), COLUMNS) == Findings(exact=(True, True), quotes=True)
    assert scan_csv(write(path, b"i,s\n01,x"), COLUMNS) == Findings(exact=(False, True), quotes=False)
    assert scan_csv(write(path, b"1,x\n02,x\n"), COLUMNS, header=False) == Findings(exact=(False, True), quotes=False)
    assert scan_csv(write(path, b"01,x\n2,x\n"), COLUMNS) == FINE
    assert scan_csv(write(path, b"1;x\nNA;y\n"), COLUMNS, header=False, delimiter=";", null_values=["NA"]) == FINE
    assert scan_csv([], COLUMNS) == FINE
    assert scan_csv(write(path, b"1,x\n"), []) is None


def test_several_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.csv", b"i,s\n1,x\n"), write(tmp_path / "2.csv", b"i,s\n2,02\n")
    assert scan_csv(one + two, COLUMNS) == FINE
    assert scan_csv(one + two, COLUMNS[::-1]) == Findings(exact=(True, False), quotes=False)
    other_ends = write(tmp_path / "3.csv", b"i,s\r\n2,02\r\n")
    assert scan_csv(other_ends, COLUMNS) == FINE
    assert scan_csv(one + other_ends, COLUMNS) is None
    with pytest.raises(FileNotFoundError):
        scan_csv([*one, str(tmp_path / "4.csv")], COLUMNS)


@pytest.mark.parametrize("seed", range(4))
def test_every_record_is_looked_at_once_wherever_parts_begin(tmp_path: Path, seed: int) -> None:
    """A wrong value anywhere is found, beside the edges of parts above all, and no record is torn."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    lines = [b"i,s\n"]
    size = 0
    while size < 2 * PART + 300_000:
        lines.append(b"%d,%s\n" % (rng.randrange(10**6), b"x" * rng.choice([0, 3, 60, 900, 20_000])))
        size += len(lines[-1])
    (path,) = write(tmp_path / "t.csv", *lines)
    assert scan_csv([path], COLUMNS) == FINE
    starts, at = {}, 0
    for index, line in enumerate(lines):
        starts[at] = index
        at += len(line)
    near = [index for at, index in starts.items() if index and min(at % PART, -at % PART) < 30_000]
    for index in {1, len(lines) - 1, *rng.sample(near, 12)}:
        changed = lines.copy()
        changed[index] = b"x" + changed[index][1:]  # as long as before
        write(tmp_path / "t.csv", *changed)
        assert scan_csv([path], COLUMNS) == Findings(exact=(False, True), quotes=False), index


@pytest.mark.parametrize("shift", range(-3, 4))
def test_a_record_that_begins_or_ends_with_a_part(tmp_path: Path, shift: int) -> None:
    head = b"i,s\n"
    before = PART + shift - len(head)
    filler = b"1,%s\n" % (b"y" * 60)
    lines = filler * (before // len(filler) - 1)
    lines += b"1,%s\n" % (b"y" * (before - len(lines) - 3))
    assert len(head + lines) == PART + shift
    (path,) = write(tmp_path / "t.csv", head, lines, b"07,x\n", filler)
    assert scan_csv([path], COLUMNS) == Findings(exact=(False, True), quotes=False)
    write(tmp_path / "t.csv", head, lines, b"7,x\n")
    assert scan_csv([path], COLUMNS) == FINE
    write(tmp_path / "t.csv", head, lines, b"7,x")
    assert scan_csv([path], COLUMNS) == FINE
    write(tmp_path / "t.csv", head, lines)
    assert scan_csv([path], COLUMNS) == FINE


def test_a_very_long_record_is_not_for_it(tmp_path: Path) -> None:
    block = 512 * 1024
    short = b"1,x\n" * 100
    for length, answer in ((block // 2, FINE), (3 * block, None)):
        paths = write(tmp_path / "t.csv", b"i,s\n", short, b"2," + b"y" * length + b"\n", short)
        assert scan_csv(paths, COLUMNS) == answer
        paths = write(tmp_path / "t.csv", b"i,s\n", short, b"2," + b"y" * length)
        assert scan_csv(paths, COLUMNS) == answer
    assert scan_csv(write(tmp_path / "t.csv", b"i," + b"s" * block + b"\n", short), COLUMNS) is None


def test_a_file_that_has_become_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write(tmp_path / "t.csv", b"i,s\n", b"1,x\n" * (PART // 2))

    def cut() -> None:
        os.truncate(path, 1000)

    assert scan_csv([path], COLUMNS, before_each_part=cut) is None


def test_whoever_is_asked_before_each_part_can_end_it(tmp_path: Path) -> None:
    paths = write(tmp_path / "t.csv", b"i,s\n", b"1,x\n" * PART)

    def enough() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_csv(paths, COLUMNS, before_each_part=enough)


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""},
        {"delimiter": "||"},
        {"delimiter": "é"},
        {"quote": "''"},
        {"quote": "é"},
        {"null_values": ["x"] * 256},
        {"null_values": ["é" * 128]},
    ],
)
def test_what_it_cannot_look_for(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"delimiter|NULL"):
        scan_csv(write(tmp_path / "t.csv", b"i,s\n"), COLUMNS, **options)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory there was")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from osiris.csv_scan import Column, scan_csv\n"
        "assert scan_csv(sys.argv[1:], [Column.integer(), Column.text()]) is not None\n"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])\n"
    )
    peaks = []
    for parts in (1, 12):
        (path,) = write(tmp_path / "t.csv", b"i,s\n", b"12345,%s\n" % (b"x" * 93) * (parts * PART // 100))
        done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 20, peaks


def test_without_a_library_nothing_is_certain(tmp_path: Path) -> None:
    """As it is where there was no compiler; and where the library is of another machine."""
    copy = tmp_path / "osiris" / "csv_scan"
    copy.mkdir(parents=True)
    for module in Path(files_module.__file__).parent.glob("*.py"):
        (copy / module.name).write_bytes(module.read_bytes())
    (tmp_path / "t.csv").write_bytes(b"i,s\n1,x\n")
    script = (
        "from osiris.csv_scan import Column, scan_csv, why_not_compiled\n"
        "print(scan_csv(['t.csv'], [Column.integer(), Column.text()]), '|', why_not_compiled())\n"
    )

    def told() -> str:
        command = [sys.executable, "-S", "-c", script]  # -S: without what is installed
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert told() == "None | there was no C compiler where it was built\n"
    (copy / "scan.so").write_bytes(b"\x7fELF of some other kind")
    assert told().startswith("None | ")
    assert "scan.so" in told()


def test_a_scanner_needs_its_library(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"missing\.so"):
        Scanner(COLUMNS, delimiter=",", quote='"', null_values=[""], path=tmp_path / "missing.so")

"""What the operating system says of a process, against what psutil says of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from osiris.core.process import resident_bytes, started_at


def test_the_start_is_the_one_that_psutil_tells():
    assert started_at(os.getpid()) == pytest.approx(psutil.Process().create_time(), abs=1.5)
    assert started_at(os.getppid()) == pytest.approx(psutil.Process(os.getppid()).create_time(), abs=1.5)


def test_the_start_lies_between_before_and_after():
    before = time.time()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        told = started_at(child.pid)
        assert told is not None
        assert before - 2 < told < time.time() + 2
        assert started_at(child.pid) == told


@pytest.mark.skipif(sys.platform != "linux", reason="names of programs are in /proc only on Linux")
def test_a_program_whose_name_has_parentheses_and_blanks(tmp_path):
    program = tmp_path / "a) S 1 (b"
    program.symlink_to(sys.executable)
    with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE, executable=str(program)) as child:
        assert started_at(child.pid) == pytest.approx(time.time(), abs=10)


def test_a_process_that_ended_has_no_start_even_while_it_is_still_listed():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
    assert started_at(child.pid) is None
    child.wait()
    assert started_at(child.pid) is None


@pytest.mark.parametrize("pid", [-1, 0, 2**40])
def test_numbers_of_no_process(pid):
    assert started_at(pid) is None


def test_memory_grows_by_what_is_held():
    before = resident_bytes()
    held = bytearray(b"x" * 64_000_000)
    assert resident_bytes() - before > 0.8 * len(held)
    assert resident_bytes() == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)

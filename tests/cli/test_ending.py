"""How the command's process ends: at once, but with everything that somebody may see."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEGIN = "import atexit, sys, threading\nfrom osiris.cli.ending import await_threads, end_process\n"


def ended(code: str, *arguments: str) -> tuple[int, list[str], str]:
    reading, writing = os.pipe()  # as shells and CI leave them open for their children
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        pass_fds=[writing],
    )
    os.close(reading)
    os.close(writing)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_it_ends_with_the_code_and_takes_nothing_apart():
    code = """
class Thing:
    def __del__(self): print("taken apart")
kept = Thing()
end_process(5)
print("went on")
"""
    assert ended(code) == (5, [], "")


def test_what_waits_for_the_end_is_done(tmp_path):
    # The file is what a user's function may leave behind: open, in a module that nobody clears.
    code = """
atexit.register(print, "registered")
left_open = open(sys.argv[1], "w")
left_open.write("the rest")
print("said", end="")
closed = open(sys.argv[1] + ".closed", "w"); closed.close()
end_process(0)
"""
    assert ended(code, str(tmp_path / "file")) == (0, ["saidregistered"], "")
    assert (tmp_path / "file").read_text() == "the rest"


def test_what_a_replaced_stream_holds_is_written():
    code = """
import io
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
print("said")
end_process(0)
"""
    assert ended(code) == (0, ["said"], "")


def test_no_object_is_looked_at_where_no_file_is_open(tmp_path):
    code = """
import gc
looked = gc.get_objects
gc.get_objects = lambda: (print("looked"), looked())[1]
if sys.argv[1:]: left_open = open(sys.argv[1], "w")
end_process(0)
"""
    assert ended(code) == (0, [], "")
    assert ended(code, str(tmp_path / "file")) == (0, ["looked"], "")


def test_other_threads_are_waited_for():
    code = """
def work(): threading.main_thread().join(); print("worked")
await_threads()
threading.Thread(target=work).start()
end_process(5)
sys.exit(6)
"""
    assert ended(code) == (6, ["worked"], "")


@pytest.mark.parametrize("awaited", ["", "await_threads()"])
def test_threads_of_before_are_not_waited_for(awaited):
    code = f"""
threading.Thread(target=threading.Event().wait).start()
{awaited}
end_process(5)
"""
    assert ended(code) == (5, [], "")


@pytest.mark.parametrize("watch", ["sys.setprofile", "sys.settrace"])
def test_a_process_that_is_watched_ends_as_usual(watch):
    assert ended(f"{watch}(lambda *seen: None)\nend_process(5)\nsys.exit(6)")[0] == 6

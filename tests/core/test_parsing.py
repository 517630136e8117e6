"""What makes syntax trees makes one at a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from osiris.core.parsing import parse_python, read_requirement

# Each thread that begins to make a tree waits there for the other one, which must not come.
MEETING = """
import sys
import threading
from osiris.core.parsing import parse_python, read_requirement

read_requirement("a; extra == 'b'")  # what is imported the first time
meeting, together = threading.Barrier(2), []

def hook(event, arguments):
    if event == "compile":
        try:
            meeting.wait(0.3)
            together.append(event)
        except threading.BrokenBarrierError:
            pass

def requirement():
    assert read_requirement("a>=1; extra == 'b'").name == "a"

def module():
    assert parse_python(b"import a").body[0].names[0].name == "a"

threads = [threading.Thread(target=target) for target in (TARGETS)]
sys.addaudithook(hook)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(len(together))
"""


@pytest.mark.parametrize(
    "targets", ["requirement, requirement", "requirement, module", "module, module"], ids=lambda text: text
)
def test_two_threads_never_make_trees_at_the_same_time(targets: str) -> None:
    script = MEETING.replace("TARGETS", targets)
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_the_hook_of_that_test_sees_two_that_are_not_kept_apart() -> None:
    script = MEETING.replace("TARGETS", "lambda: compile('1', '', 'eval'), lambda: compile('1', '', 'eval')")
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 2


def test_a_text_that_is_no_requirement() -> None:
    assert read_requirement("osiris core >= 1") is None


def test_a_file_that_is_not_python() -> None:
    with pytest.raises(SyntaxError):
        parse_python(b"def")

"""Starting up: what ``osiris --help`` and completion import, and that plugins cannot spoil them."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "click",
    "duckdb",
    "markdown_it",
    "numpy",
    "pandas",
    "polars",
    "psutil",
    "pyarrow",
    "pydantic",
    "pygments",
    "rich",
    "yaml",
}

TELL_MODULES = """
import sys
from osiris.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("MODULES", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
print("OURS", *sorted(name for name in sys.modules if name.startswith("osiris.")), file=sys.stderr)
"""


def imported(lab, *arguments: str, **env: str) -> tuple[set[str], set[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", TELL_MODULES, *arguments],
        cwd=lab.folder,
        env={**lab.env, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    told = {line.split()[0]: set(line.split()[1:]) for line in done.stderr.splitlines() if line[:4] in ("MODU", "OURS")}
    return told["MODULES"], told["OURS"], done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["runs", "--help"]])
def test_help_imports_nothing_heavy(lab, arguments):
    modules, ours, out = imported(lab, *arguments)
    assert not HEAVY & modules
    assert not {name for name in ours if name.startswith(("osiris.drivers", "osiris.runtime"))}
    assert out


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil tells the memory that a run takes")
def test_a_small_run_imports_nothing_that_it_does_not_need(lab):
    lab.pipeline({"id": "make", "driver": "lab.numbers", "config": {"count": 3}})
    modules, _, _ = imported(lab, "run", "--quiet")
    assert {"pyarrow", "pydantic", "yaml"} <= modules  # it did run
    assert not {"click", "duckdb", "html", "markdown_it", "packaging", "pandas", "polars", "psutil", "rich"} & modules


@pytest.mark.parametrize(
    ("module", "call", "tuned"), [("__main__", "main()", True), ("main", "main(['--version'])", False)]
)
def test_only_a_process_of_its_own_is_tuned(lab, module, call, tuned):
    code = f"""
import atexit, gc, sys
from osiris.cli.{module} import main
sys.argv, usual = ["osiris", "--version"], gc.get_threshold()
atexit.register(lambda: print(gc.get_threshold()[0] > usual[0], gc.get_threshold()[1:] == usual[1:]))
{call}
"""
    done = subprocess.run([sys.executable, "-c", code], env=lab.env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == [f"{tuned} True"]


LEFT_OPEN = """
import gc, sys
from osiris.cli.ending import end_process
from osiris.cli.garbage import look_while_running, look_while_starting
look_while_starting()
left = open("left", "w")
left.write("whole")
look_while_running()
assert gc.get_freeze_count() > 1000
end_process(7)
"""


def test_what_was_there_before_the_run_is_not_looked_at_again_but_written_to_its_end(lab):
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], cwd=lab.folder, env=lab.env, check=False)
    assert done.returncode == 7
    assert (lab.folder / "left").read_text() == "whole"


@pytest.mark.parametrize("given", [None, "8"])
def test_the_threads_of_algebra_do_not_wait_at_full_load(lab, given):
    code = """
import os
from osiris.cli.main import main
main(["run", "--quiet"])
print(os.environ["OPENBLAS_THREAD_TIMEOUT"])
"""
    lab.pipeline({"id": "make", "driver": "lab.numbers", "config": {"count": 3}})
    env = {name: text for name, text in lab.env.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    if given is not None:
        env["OPENBLAS_THREAD_TIMEOUT"] = given
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=lab.folder, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [given or "20"]


def test_version_looks_at_no_plugin(lab):
    _, ours, out = imported(lab, "--version")
    assert out.startswith("osiris 1.")
    assert not {name for name in ours if name.startswith("osiris.core.plugins")}


@pytest.mark.parametrize(
    ("words", "offered"),
    [("osiris ru", {"run", "runs"}), ("osiris run --par", {"--param", "--parallel"}), ("osiris gr", {"greet"})],
)
def test_completion_offers_and_imports_nothing_heavy(lab, words, offered):
    modules, _, out = imported(
        lab, _OSIRIS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    assert set(out.split()) == offered
    assert not HEAVY & modules


def test_completion_of_values(lab):
    out = imported(lab, _OSIRIS_COMPLETE="complete_bash", COMP_WORDS="osiris run --adapter l", COMP_CWORD="3")[2]
    assert out.split() == ["local"]


def test_completion_script(lab):
    # A shell that is the parent: that is how the command knows for which one.
    line = f"{sys.executable} -m osiris.cli --show-completion; exit $?"
    done = subprocess.run(["bash", "-c", line], env=lab.env, capture_output=True, text=True, check=True)
    assert "_OSIRIS_COMPLETE=complete_bash" in done.stdout


def test_commands_of_plugins(lab):
    listed, greeted, gone = lab("--help"), lab("greet", "--name", "Ada"), lab("gone")
    assert "greet" in listed.out
    assert "Say hello." in listed.out
    assert "Not this one." not in listed.out
    assert (greeted.code, greeted.out) == (0, "hello Ada\n")
    assert gone.code == 4
    assert "command 'gone' cannot be loaded from lab.nowhere:app" in gone.err


def test_no_arguments_shows_help(lab):
    ended = lab()
    assert ended.code == 0
    assert ended.out.startswith("Usage: osiris")


def test_help_on_a_terminal_has_no_line_wider_than_it(lab):
    code, shown = lab.on_terminal("run", "--help", columns=60).finish()
    assert code == 0
    assert max(len(line) for line in shown.split("\r\n")) <= 60


@pytest.mark.parametrize("arguments", [["--help"], ["greet"], ["drivers", "show", "lab.numbers"], ["run"]])
def test_damaged_metadata_of_another_package_breaks_nothing(lab, arguments):
    lab.pipeline({"id": "a", "driver": "lab.numbers", "config": {"count": 1}})
    info = lab.folder / "site" / "damaged-1.dist-info"
    lab.write("site/damaged-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: damaged\nVersion: 1\n")
    lab.write("site/damaged-1.dist-info/entry_points.txt", "[osiris.plugins]\nthis is no entry point\n")
    ended = lab(*arguments, PYTHONPATH=f"{lab.env['PYTHONPATH']}:{info.parent}")
    assert ended.code == 0, ended.err
    if arguments[0] in ("--help", "greet"):
        assert ended.out == (lab(*arguments)).out
        assert f"warning: the metadata of damaged in {info} cannot be read" in ended.err
        assert len(ended.err.splitlines()) == 1

"""The command as users meet it: a real process, with and without a terminal, and a small installed plugin."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import sysconfig
import termios
import textwrap
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "osiris.cli"]
PATIENCE = 120.0

PLUGIN = """
from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers():
    def spec(name, cls, role="extractor", **more):
        more.setdefault("max_inputs", 0 if role == "extractor" else 1)
        return DriverSpec(name=f"lab.{name}", summary=f"{name} for tests", factory=f"lab.work:{cls}", role=role, **more)

    return [
        spec("numbers", "Numbers", config_model="lab.work:NumbersConfig"),
        spec("tree", "Numbers", config_model="lab.work:Tree"),
        spec("wait", "Wait"),
        spec("fail", "Fail"),
        spec("stubborn", "Stubborn"),
        spec("shout", "Shout"),
        spec("login", "Login", connection_family="lab"),
        spec("sink", "Sink", role="writer", input_form="arrow", min_inputs=1, outputs=()),
    ]


@hookimpl
def osiris_cli_commands():
    return {
        "greet": ("Say hello.", "lab.greet:app"),
        "crash": ("Raise what nobody expects.", "lab.greet:crashing"),
        "gone": ("Cannot be imported.", "lab.nowhere:app"),
        "run": ("Not this one.", "lab.greet:app"),
    }
"""

WORK = '''
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver
from osiris.core.errors import DriverError


class NumbersConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = Field(description="How many numbers.", ge=0)
    step: int = Field(default=1, description="From one to the next.")


class Tree(BaseModel):
    label: str
    below: "list[Tree]" = []


class Numbers(Driver):
    def run(self, step_id, config, inputs, ctx):
        step = config.get("step", 1)
        values = np.arange(config["count"], dtype=np.int64) * step
        # Not pa.array(): it imports pandas where that is installed, which takes longer than all else here.
        column = pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values.tobytes())])
        return {"df": pa.table({"n": column})}


class Wait(Driver):
    """Says that it runs, by a file, and returns when it is told to stop."""

    def run(self, step_id, config, inputs, ctx):
        stop = threading.Event()
        with ctx.on_cancel(stop.set):
            ctx.resolve_path("started").touch()
            stop.wait(60)
        ctx.raise_if_cancelled()
        return {}


class Stubborn(Driver):
    """Never stops by itself."""

    def run(self, step_id, config, inputs, ctx):
        ctx.resolve_path("started").touch()
        while True:
            time.sleep(0.05)


class Fail(Driver):
    def run(self, step_id, config, inputs, ctx):
        if config.get("bug"):
            raise ValueError(config["bug"])
        raise DriverError("the disk of the lab is on fire", hint="call the porter", code="lab.fire")


class Shout(Driver):
    def run(self, step_id, config, inputs, ctx):
        print("a driver prints this")
        sys.stdout.flush()
        import os
        os.write(1, b"and a library this\\n")
        if "word" in config:
            print("word", config["word"])
            print("word", config["word"], file=sys.stderr)
            warnings.warn(f"word {config['word']}")
        return {}


class Login(Driver):
    def run(self, step_id, config, inputs, ctx):
        ctx.log_event("login", {"with": ctx.connection["password"]})
        raise DriverError(f"access denied for password {ctx.connection['password']}", code="lab.denied")

    def check(self, config, ctx):
        if ctx.connection.get("host") == "down":
            raise DriverError(f"no answer from down, password {ctx.connection['password']}", hint="start it")
        print("login with", ctx.connection["password"])
        if ctx.connection.get("host") == "odd":
            return 5
        if ctx.connection.get("host") == "out":
            sys.exit(0)
        return {"version": "1.2"}


class Sink(Driver):
    def run(self, step_id, config, inputs, ctx):
        table = inputs["df"]
        path = ctx.resolve_path(config.get("path", "out.txt"))
        path.write_text(str(table.num_rows))
        ctx.add_output(config.get("url", str(path)), rows=table.num_rows, bytes=path.stat().st_size)
        return {}
'''

GREET = '''
import typer

app = typer.Typer()


@app.command()
def greet(name: str = "you"):
    """Say hello."""
    typer.echo(f"hello {name}")


crashing = typer.Typer()


@crashing.command()
def crash(as_json: bool = typer.Option(False, "--json")):
    raise RuntimeError("the floor is lava")
'''

METADATA = """\
Metadata-Version: 2.1
Name: osiris-lab
Version: 1.0
Requires-Dist: osiris-core>=1.0,<2
"""

ENTRY_POINTS = """\
[osiris.drivers]
lab = lab.plugin

[osiris.plugins]
lab = lab.plugin
"""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """stdout as exactly one JSON document."""
        return json.loads(self.out)


@dataclass
class Lab:
    """A folder to be in, an environment, and the command."""

    folder: Path
    env: dict[str, str]

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def pipeline(self, *steps: Mapping[str, Any], name: str = "pipeline.yaml", **more: Any) -> Path:
        """A pipeline file; JSON is YAML too."""
        return self.write(name, json.dumps({"version": "1.0.0", "name": "test", "steps": list(steps), **more}))

    def __call__(self, *arguments: str, **env: str) -> Ended:
        return self._run(arguments, env, None)

    def as_nobody(self, *arguments: str) -> Ended:
        """The command without root's right to read and write everywhere, whoever runs the tests."""
        return self._run(arguments, {}, _drop_rights)

    def after(self, preparation: str, *arguments: str) -> Ended:
        """The command in a shell that did something before: changed folder, closed a stream."""
        shell = ["sh", "-c", f'{preparation}; exec "$@"', "sh"]
        return self._run(arguments, {}, None, shell)

    def _run(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        preparation: Callable[[], None] | None,
        shell: Sequence[str] = (),
    ) -> Ended:
        done = subprocess.run(
            [*shell, *COMMAND, *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            preexec_fn=preparation,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, still going."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_hear_signals,
        )

    def on_terminal(self, *arguments: str, columns: int = 60, rows: int = 20, **env: str) -> TerminalRun:
        """The command on a terminal of that size."""
        return TerminalRun(arguments, self, {"TERM": "xterm-256color", **env}, columns, rows)

    def wait_for(self, name: str) -> None:
        """Wait until a file is there: the sign that a step of the lab gives."""
        until = time.monotonic() + PATIENCE
        while not (self.folder / name).exists():
            assert time.monotonic() < until, f"{name} never appeared"
            time.sleep(0.01)


class TerminalRun:
    """A process on a pseudo-terminal; what it shows is read by :meth:`read_until` and :meth:`finish`."""

    def __init__(self, arguments: Sequence[str], lab: Lab, env: Mapping[str, str], columns: int, rows: int) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=lab.folder,
            env={**lab.env, **env},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_hear_signals,
        )
        os.close(slave)
        self._shown = bytearray()

    def interrupt(self) -> None:
        """What the terminal sends on Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def read_until(self, text: str) -> None:
        """Wait until ``text`` was shown."""
        while text not in self._shown.decode(errors="replace"):
            assert self._read(), f"{text!r} was never shown"

    def finish(self) -> tuple[int, str]:
        """Exit code and everything that was shown."""
        while self._read():
            pass
        os.close(self._master)
        return self.process.wait(PATIENCE), self._shown.decode(errors="replace")

    def _read(self) -> bool:
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # Linux says EIO when the last process has closed the terminal
            return False
        self._shown += piece
        return bool(piece)


def _drop_rights() -> None:
    if os.geteuid() == 0:
        drop_from_bounding_set, libc = 24, ctypes.CDLL(None)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: gone with the next exec
            assert libc.prctl(drop_from_bounding_set, capability, 0, 0, 0) == 0


def _hear_signals() -> None:
    # A test run in a shell's background ignores SIGINT, and children would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def plugin_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip would have filled it with the distribution osiris-lab."""
    root = tmp_path_factory.mktemp("site")
    files = {
        "lab/__init__.py": "",
        "lab/plugin.py": PLUGIN,
        "lab/work.py": WORK,
        "lab/greet.py": GREET,
        "osiris_lab-1.0.dist-info/METADATA": METADATA,
        "osiris_lab-1.0.dist-info/entry_points.txt": ENTRY_POINTS,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def lab(tmp_path: Path, plugin_path: Path) -> Lab:
    """The command in a folder of its own, with the distribution osiris-lab installed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OSIRIS", "_OSIRIS"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM"):
        kept.pop(name, None)
    return Lab(tmp_path, {**kept, "PYTHONPATH": str(plugin_path), "LC_ALL": "C.UTF-8"})


SAMPLES = Path(__file__).resolve().parents[1] / "plugins"
SITES = {"good": ["good"], "bad": ["broken", "future", "misspelt"], "twin": ["twin"]}


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that hold third parties' packages as their wheels install them."""
    from hatchling.builders.wheel import WheelBuilder

    wheels = tmp_path_factory.mktemp("wheels")
    found = {}
    for name, samples in SITES.items():
        found[name] = tmp_path_factory.mktemp(name)
        for sample in samples:
            with zipfile.ZipFile(next(WheelBuilder(str(SAMPLES / sample)).build(directory=str(wheels)))) as wheel:
                wheel.extractall(found[name])
    return found


@dataclass(frozen=True)
class Installed:
    """A package, built as a wheel and installed into an environment of its own that sees what is installed here."""

    package: Path
    wheel: Path
    python: Path

    def __call__(self, *arguments: str, cwd: Path | None = None) -> str:
        """What the environment's Python writes; fails where it fails."""
        return _output([str(self.python), *arguments], cwd or self.package)


def _output(command: Sequence[str], folder: Path) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OSIRIS", "PYTEST"))}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=10 * PATIENCE)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Installed]:
    """Build and install the package in a folder, without a network, beside nothing but what is here already."""

    def install_one(package: Path) -> Installed:
        folder = tmp_path_factory.mktemp("environment")
        here, python = sys.executable, folder / "bin" / "python"
        _output([here, "-m", "venv", "--without-pip", str(folder)], folder)
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n")
        _output([here, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")], package)
        (wheel,) = (folder / "dist").glob("*.whl")
        pip = [here, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet"]
        _output([*pip, "--no-index", "--no-deps", str(wheel)], folder)
        return Installed(package, wheel, python)

    return install_one

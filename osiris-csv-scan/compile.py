"""Compiles ``native/scan.c`` while the wheel is built.

With the machine's own C compiler (``CC``, or the first of ``cc``, ``gcc`` and ``clang``); where there is none, with the
one that the package ziglang brings. ``CSV_SCAN_PLATFORM`` names another platform to compile for, of those in
pyproject.toml. A wheel without the library still installs and says that it has none.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = ["-std=c11", "-O3", "-g0", "-Wall", "-Wextra", "-Wconversion", "-shared", "-fPIC", "-fvisibility=hidden"]
SOURCE = "native/scan.c"
LIBRARY = "osiris/csv_scan/scan.so"

ZIGLANG = (
    "ziglang>=0.13; (sys_platform == 'linux' or sys_platform == 'darwin') "
    "and (platform_machine == 'x86_64' or platform_machine == 'aarch64' or platform_machine == 'arm64')"
)


class CompileHook(BuildHookInterface):
    """Puts the library into the wheel, or beside the sources of an editable installation."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """A compiler, where there is none."""
        return [] if _platform() is None and _compiler() else [ZIGLANG]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile.

        Raises:
            RuntimeError: It cannot be compiled for the platform that was asked for.
        """
        if self.target_name != "wheel":
            return
        wanted = _platform()
        self._folder = Path(tempfile.mkdtemp())
        library = self._folder / "scan.so"
        problem = self._compile(wanted, library)
        if problem is not None:
            if wanted is not None:
                raise RuntimeError(problem)
            self.app.display_warning(f"{self.metadata.name} is built without its library: {problem}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{wanted or sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        if version == "editable":
            shutil.copy(library, Path(self.root, "src", LIBRARY))
        else:
            build_data["force_include"][str(library)] = LIBRARY

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take away what was compiled."""
        if self.target_name == "wheel":
            shutil.rmtree(self._folder, ignore_errors=True)

    def _compile(self, wanted: str | None, library: Path) -> str | None:
        """Gives what is wrong."""
        platforms = self.config["platforms"]
        if wanted is not None and wanted not in platforms:
            return f"CSV_SCAN_PLATFORM is {wanted!r}; there are {', '.join(platforms)}"
        compiler = None if wanted else _compiler()
        if compiler is None:
            if find_spec("ziglang") is None:
                return "there is no C compiler"
            compiler = [
                sys.executable,
                "-m",
                "ziglang",
                "cc",
                "-s",
                *(["-target", platforms[wanted]] if wanted else []),
            ]
        command = [*compiler, *FLAGS, SOURCE, "-o", str(library)]
        try:
            done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)  # noqa: S603
        except OSError as error:
            return str(error)
        return None if done.returncode == 0 else f"{shlex.join(command)}\n{done.stderr}"


def _platform() -> str | None:
    return os.environ.get("CSV_SCAN_PLATFORM") or None


def _compiler() -> list[str] | None:
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return [found] if found else None

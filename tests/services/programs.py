"""The server programs that tests bring up, and a C compiler: where they are, and how they get here.

``python tests/services/programs.py`` installs what is missing where it can (Debian, as root); ``nox -s tests``
does so first. Where it cannot, the tests that need a server are skipped with the reason, except in CI: a missing
server is a failure there, unless it is one of :data:`EXTRA` and cannot be installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGES = {
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "initdb": "postgresql",
    "pg_ctl": "postgresql",
    "openssl": "openssl",
    "pgbouncer": "pgbouncer",
    "cc": "build-essential",
}
"""Program to the Debian package that brings it."""
EXTRA = frozenset({"pgbouncer"})
"""Programs that few tests need: where they cannot be installed, those are skipped in CI too."""


class ProgramMissingError(Exception):
    """A server program is not here."""


def find(program: str) -> Path:
    """Where a server program is.

    Raises:
        ProgramMissingError: It is not installed; says what would bring it.
    """
    places = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin"]
    places += sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    found = shutil.which(program, path=os.pathsep.join(places))
    if found is None:
        raise ProgramMissingError(f"{program} is not installed: apt-get install {PACKAGES[program]}")
    return Path(found)


def need(program: str) -> Path:
    """Where a server program is; skips the test that wants it where it is not, and fails it in CI."""
    try:
        return find(program)
    except ProgramMissingError as error:
        if os.environ.get("CI") and (program not in EXTRA or _can_install(PACKAGES[program])):
            pytest.fail(str(error))
        pytest.skip(str(error))


def missing() -> list[str]:
    """The Debian packages that are not here, sorted."""
    absent = set()
    for program, package in PACKAGES.items():
        try:
            find(program)
        except ProgramMissingError:
            absent.add(package)
    return sorted(absent)


def install() -> None:
    """Install what is missing where this is Debian and we are root; else say what to do, and go on."""
    packages = missing()
    if not packages:
        return
    if not _is_debian_root():
        print(f"these tests will be skipped without: apt-get install {' '.join(packages)}", file=sys.stderr)
        return
    extra = sorted({PACKAGES[program] for program in EXTRA} & set(packages))
    needed = [package for package in packages if package not in extra]
    _apt_get("update", check=bool(needed))
    if needed:
        _apt_get("install", *needed)
    for package in extra:
        if _apt_get("install", package, check=False) != 0:
            print(f"{package} cannot be installed here: the tests that need it will be skipped", file=sys.stderr)


def _is_debian_root() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


@cache
def _can_install(package: str) -> bool:
    """Whether :func:`install` would have brought it: the package itself has to come here."""
    return _is_debian_root() and _apt_get("install", "--download-only", package, check=False) == 0


def _apt_get(command: str, *arguments: str, check: bool = True) -> int:
    # No server of the package's own is started: the tests start theirs, with private folders and ports.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    options = ["-y", "--no-install-recommends"] if command == "install" else []
    done = subprocess.run(["apt-get", command, "-qq", *options, *arguments], check=check, env=quiet)
    return done.returncode


def install_postgrest() -> None:
    """Fetch PostgREST, which Debian does not have; else say what to do, and go on."""
    from postgrest_server import PostgrestMissingError, fetch

    try:
        fetch()
    except PostgrestMissingError as error:
        print(f"the tests of Supabase's REST will be skipped: {error}", file=sys.stderr)


if __name__ == "__main__":
    install()
    install_postgrest()

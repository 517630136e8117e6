"""The server programs that tests bring up: where they are, and how they get here.

``python tests/services/programs.py`` installs what is missing where it can (Debian, as root); ``nox -s tests``
does so first. Where it cannot, the tests that need a server are skipped with the reason, except in CI: a missing
server is a failure there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = {
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "initdb": "postgresql",
    "pg_ctl": "postgresql",
    "openssl": "openssl",
}
"""Program to the Debian package that brings it."""


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
        if os.environ.get("CI"):
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
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"these tests will be skipped without: apt-get install {' '.join(packages)}", file=sys.stderr)
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    # No server of the package's own is started: the tests start theirs, with private folders and ports.
    quiet["RUNLEVEL"] = "1"
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], check=True, env=quiet)


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

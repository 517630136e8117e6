"""What is shipped: every wheel and every sdist, opened."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

COMPILED = {"osiris-csv-scan": {"osiris/csv_scan/scan.so"}}


@pytest.fixture(scope="module")
def built(tmp_path_factory, distributions):
    """Wheel and sdist of each distribution, by name."""
    found = {}
    for distribution in distributions:
        dist = tmp_path_factory.mktemp(distribution.name)
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-d", str(dist)],
            cwd=distribution.folder,
            check=True,
            capture_output=True,
        )
        (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
        found[distribution.name] = wheel, sdist
    return found


def names_in(path: Path) -> list[str]:
    if path.suffix == ".whl":
        return zipfile.ZipFile(path).namelist()
    with tarfile.open(path) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


def test_a_wheel_holds_the_sources_and_nothing_else(built, distribution):
    wheel, _ = built[distribution.name]
    src = distribution.folder / "src"
    wanted = {
        path.relative_to(src).as_posix()
        for path in src.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"  # of an editable installation
    } | COMPILED.get(distribution.name, set())
    packed = {name for name in names_in(wheel) if ".dist-info/" not in name}
    assert packed == wanted
    assert wheel.stem.endswith("-py3-none-any") == (distribution.name not in COMPILED)
    assert any(name.endswith("py.typed") for name in packed)
    assert packed.isdisjoint({"osiris/__init__.py", "osiris/drivers/__init__.py", "osiris/runtime/__init__.py"})


def test_a_wheel_without_its_library_where_nothing_compiles(distributions, tmp_path):
    """It installs all the same, anywhere, and the warning says why."""
    (scan,) = [one for one in distributions if one.name in COMPILED]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=scan.folder, env={**os.environ, "CC": "false"}, capture_output=True, text=True)
    assert done.returncode == 0
    assert "osiris-csv-scan is built without its library: false -std=c11" in done.stderr + done.stdout
    (wheel,) = tmp_path.glob("*-py3-none-any.whl")
    assert not any(name.endswith(".so") for name in names_in(wheel))
    env = {**os.environ, "CC": "false", "CSV_SCAN_PLATFORM": "amiga"}
    done = subprocess.run(command, cwd=scan.folder, env=env, capture_output=True, text=True)
    assert done.returncode != 0, "a platform that was asked for is another matter"
    assert "CSV_SCAN_PLATFORM is 'amiga'; there are manylinux_2_17_x86_64" in done.stderr


def test_a_wheel_carries_license_and_metadata(built, distribution):
    wheel, _ = built[distribution.name]
    with zipfile.ZipFile(wheel) as archive:
        (license_file,) = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert b"Apache License" in archive.read(license_file)
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(archive.read(metadata))
    assert told["Name"] == distribution.name
    assert told["Version"] == distribution.project["version"]
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_payload().startswith(f"# {distribution.name}")


def test_no_two_wheels_hold_one_file(built):
    owners: dict[str, str] = {}
    for name, (wheel, _) in built.items():
        for path in names_in(wheel):
            assert path not in owners, f"{path} is in {name} and in {owners[path]}"
            owners[path] = name


def test_an_sdist_is_enough_to_build_from(built, distribution):
    _, sdist = built[distribution.name]
    names = set(names_in(sdist))
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= names
    assert not any(name.endswith(".so") for name in names)


def test_wheels_know_nothing_of_the_machine_they_were_built_on(built, distribution, root):
    wheel, _ = built[distribution.name]
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert str(root).encode() not in archive.read(name), name

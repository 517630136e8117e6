"""The samples that others learn from, built, installed and tested as their authors would."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.install, pytest.mark.slow]

SAMPLES = Path(__file__).resolve().parents[1] / "plugins"


@pytest.fixture(scope="module")
def sqlite(install, tmp_path_factory):
    """The driver family over SQLite; in a copy, so that its tests leave nothing in the checkout."""
    copy = tmp_path_factory.mktemp("sample") / "sqlite"
    shutil.copytree(SAMPLES / "sqlite", copy, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", "dist"))
    return install(copy)


def test_its_own_tests_pass(sqlite):
    told = sqlite("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    passed = re.search(r"(\d+) passed", told)
    assert int(passed[1]) >= 90, told


def test_the_check_finds_nothing(sqlite):
    findings = json.loads(sqlite("-m", "osiris.cli", "plugins", "check", "sqlite-osiris", "--json"))["findings"]
    assert {finding["state"] for finding in findings} == {"ok"}, findings


def test_its_types_are_strict(sqlite, tmp_path):
    sqlite("-m", "mypy", "--cache-dir", str(tmp_path))


def test_its_page_names_its_files():
    page = (SAMPLES / "sqlite" / "README.md").read_text()
    package = SAMPLES / "sqlite" / "src" / "sqlite_osiris"
    named = set(re.findall(r"^\| `(\w+\.py)` \|", page, re.MULTILINE))
    assert named <= {file.name for file in package.iterdir()}
    assert {"plugin.py", "config.py", "extractor.py", "writer.py"} <= named

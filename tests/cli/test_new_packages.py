"""What ``osiris new`` makes is built, installed, checked, tested and run, as its author would do it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pyarrow as pa
import pytest

pytestmark = [pytest.mark.install, pytest.mark.slow]


@pytest.fixture(scope="module", params=["driver", "adapter"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def author(tmp_path_factory, kind, install):
    """Somebody who made a package and installed it."""
    folder = tmp_path_factory.mktemp(kind)
    name = "shop" if kind == "driver" else "cave"
    subprocess.run([sys.executable, "-m", "osiris.cli", "new", kind, name], cwd=folder, check=True, capture_output=True)
    return install(folder / f"{name}-osiris")


def test_the_plugin_is_right(author, kind):
    findings = json.loads(author("-m", "osiris.cli", "plugins", "check", author.package.name, "--json"))["findings"]
    assert {finding["state"] for finding in findings} == {"ok"}, findings
    (shown,) = json.loads(author("-m", "osiris.cli", "plugins", "show", author.package.name, "--json"))["plugins"]
    assert (shown["group"], shown["state"], shown["installed"]) == (f"osiris.{kind}s", "ok", "wheel")


def test_its_types_are_strict(author, tmp_path):
    author("-m", "mypy", "--cache-dir", str(tmp_path))


def test_its_own_tests_pass(author, kind):
    told = author("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert " passed" in told
    assert "failed" not in told


def test_a_pipeline_runs_with_it(author, kind, tmp_path):
    command = ["-m", "osiris.cli", "run", "pipeline.yaml", "--json"]
    if kind == "driver":
        table = pa.table({"id": [1, 2, 9007199254740993], "name": ["ä", None, ""]})
        (tmp_path / "tables").mkdir()
        with pa.ipc.new_file(str(tmp_path / "tables" / "orders.arrow"), table.schema) as file:
            file.write_table(table)
        blocks = (author.package / "README.md").read_text().split("```yaml\n")[1:]
        for block in blocks:  # as the page says
            name, _, text = block.partition("```")[0].partition("\n")
            (tmp_path / name.removeprefix("# ")).write_text(text)
    else:
        author("-m", "osiris.cli", "init", str(tmp_path))
        command += ["--adapter", "cave", "--adapter-option", "room=two"]
    result = json.loads(author(*command, cwd=tmp_path))
    assert result["status"] == "success"
    if kind == "driver":
        assert result["total_rows"] == 3
        copied = (tmp_path / "tables" / "copied.arrow").read_bytes()
        assert pa.ipc.open_file(copied).read_all().equals(table)
    else:
        assert result["environment"] == "cave:two"
        assert (tmp_path / "out" / "big_spenders.csv").exists()


def test_the_wheel_holds_the_package_and_nothing_else(author):
    names = zipfile.ZipFile(author.wheel).namelist()
    package = author.package.name.replace("-", "_")
    assert f"{package}/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {package, f"{package}-0.1.0.dist-info"}

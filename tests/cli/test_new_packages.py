"""What ``osiris new`` makes is built, installed, checked, tested and run, as its author would do it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pyarrow as pa
import pytest

pytestmark = [pytest.mark.install, pytest.mark.slow]

PATIENCE = 600.0


class Author:
    """Somebody with a package, and an environment of their own that sees what is installed here."""

    def __init__(self, folder: Path, kind: str, name: str) -> None:
        self.folder = folder
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("OSIRIS", "PYTEST"))}
        self.python = Path(sys.executable)
        self.does("-m", "osiris.cli", "new", kind, name)
        self.package = folder / f"{name}-osiris"
        self.does("-m", "venv", "--without-pip", str(folder / "venv"))
        self.build()
        self.python = folder / "venv" / "bin" / "python"

    def build(self) -> None:
        """A wheel, installed; with what is here and nothing from elsewhere."""
        self.does("-m", "hatchling", "build", "-t", "wheel", "-d", str(self.folder / "dist"), cwd=self.package)
        (self.wheel,) = (self.folder / "dist").glob("*.whl")
        environment = self.folder / "venv"
        here = sysconfig.get_paths()["purelib"]
        (site,) = environment.glob("lib/python*/site-packages")
        (site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
        pip = ["-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet", "--no-index"]
        self.does(*pip, "--no-deps", "--disable-pip-version-check", str(self.wheel))

    def does(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=cwd or self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module", params=["driver", "adapter"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def author(tmp_path_factory, kind):
    return Author(tmp_path_factory.mktemp(kind), kind, "shop" if kind == "driver" else "cave")


def test_the_plugin_is_right(author, kind):
    findings = json.loads(author.does("-m", "osiris.cli", "plugins", "check", author.package.name, "--json"))[
        "findings"
    ]
    assert {finding["state"] for finding in findings} == {"ok"}, findings
    (shown,) = json.loads(author.does("-m", "osiris.cli", "plugins", "show", author.package.name, "--json"))["plugins"]
    assert (shown["group"], shown["state"], shown["installed"]) == (f"osiris.{kind}s", "ok", "wheel")


def test_its_types_are_strict(author):
    author.does("-m", "mypy", "--cache-dir", str(author.folder / "mypy"), cwd=author.package)


def test_its_own_tests_pass(author, kind):
    told = author.does("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", cwd=author.package)
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
        author.does("-m", "osiris.cli", "init", str(tmp_path))
        command += ["--adapter", "cave", "--adapter-option", "room=two"]
    result = json.loads(author.does(*command, cwd=tmp_path))
    assert result["status"] == "success"
    if kind == "driver":
        assert result["total_rows"] == 3
        copied = (tmp_path / "tables" / "copied.arrow").read_bytes()
        assert pa.ipc.open_file(copied).read_all().equals(table)
    else:
        assert result["environment"] == "cave:two"
        assert (tmp_path / "out" / "big_spenders.csv").exists()


def test_the_wheel_holds_the_package_and_nothing_else(author):
    import zipfile

    names = zipfile.ZipFile(author.wheel).namelist()
    package = author.package.name.replace("-", "_")
    assert f"{package}/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {package, f"{package}-0.1.0.dist-info"}

"""``osiris new``: names, refusals, and files that appear all at once or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from osiris.cli.scaffold import PackageName, package_files, write_package
from osiris.core import __version__
from osiris.core.errors import UsageError
from osiris.core.plugins.fence import check_fence
from osiris.core.plugins.known import ADAPTERS, DRIVER_FAMILIES

KINDS = ["driver", "adapter"]


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_made_and_the_next_steps_told(lab, kind):
    told = lab("new", kind, "My-Shop")
    assert told.code == 0, told.err
    made = lab.folder / "my-shop-osiris"
    assert {"pyproject.toml", "README.md", "LICENSE", ".gitignore", ".github/workflows/tests.yml"} <= set(tree(made))
    assert {f"src/my_shop_osiris/{name}" for name in ("plugin.py", "config.py", "py.typed")} <= set(tree(made))
    assert "cd my-shop-osiris\n" in told.out
    assert "pip install --editable '.[test]'\n" in told.out
    assert told.err == ""
    assert sorted(path.name for path in lab.folder.iterdir()) == ["my-shop-osiris"]  # and nothing else


@pytest.mark.parametrize("kind", KINDS)
def test_json_tells_what_was_made(lab, kind):
    told = lab("new", kind, "shop", "--directory", "deep/er", "--json")
    document = told.json()
    assert (told.code, document["status"], document["kind"]) == (0, "success", kind)
    assert (document["name"], document["distribution"], document["package"]) == ("shop", "shop-osiris", "shop_osiris")
    assert document["directory"] == str(lab.folder / "deep" / "er")
    assert document["files"] == tree(lab.folder / "deep" / "er")
    assert document["next"][0] == "cd deep/er"
    assert document["warnings"] == []


@pytest.mark.parametrize("text", ["my-shop", "My_Shop", "my.shop", "my shop", "osiris-my-shop", "my-shop-osiris"])
def test_spellings_of_one_name(text):
    name = PackageName.parse(text)
    assert (name.name, name.distribution, name.package) == ("my_shop", "my-shop-osiris", "my_shop_osiris")
    assert PackageName.parse(f"osiris-driver-{name.name}") == PackageName.parse(f"osiris-adapter-{name.name}") == name


@pytest.mark.parametrize("text", ["", "-", "1shop", "sh/op", "../shop", "shöp", "shop!", "a\nb", "x" * 25, "{{name}}"])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(UsageError) as caught:
        PackageName.parse(text)
    assert caught.value.code == "usage.name"
    assert repr(text) in caught.value.message


@pytest.mark.parametrize("text", [*DRIVER_FAMILIES, *ADAPTERS, "osiris-driver-mysql", "class", "osiris", "Test"])
def test_names_that_are_taken_are_refused(text):
    with pytest.raises(UsageError) as caught:
        PackageName.parse(text)
    assert caught.value.code == "usage.name_reserved"


def test_a_refusal_is_two_lines_and_makes_nothing(lab):
    told = lab("new", "driver", "mysql")
    assert (told.code, told.out) == (2, "")
    assert told.err.splitlines() == [
        "error: 'mysql' is the name of what osiris-driver-mysql brings",
        "hint: choose a name that says what it reads, writes or runs on",
    ]
    assert list(lab.folder.iterdir()) == []


def test_a_name_that_an_installed_package_has_is_told(lab):
    told = lab("new", "driver", "lab")
    assert told.code == 0
    assert "osiris-lab 1.0 is installed and offers 'lab' too" in told.err
    assert (lab.folder / "lab-osiris" / "pyproject.toml").exists()


def test_nothing_is_overwritten(lab):
    lab.write("shop-osiris/notes.txt", "mine")
    told = lab("new", "driver", "shop", "--json")
    assert (told.code, told.json()["error"]["code"]) == (2, "usage.exists")
    assert tree(lab.folder) == ["shop-osiris/notes.txt"]
    lab.write("file", "mine")
    assert lab("new", "driver", "shop", "--directory", "file").code == 2
    assert lab("new", "driver", "shop", "--directory", "file/below", "--json").json()["error"]["code"] == (
        "usage.not_a_folder"
    )
    assert tree(lab.folder) == ["file", "shop-osiris/notes.txt"]


def test_into_the_folder_that_one_is_in(lab):
    (lab.folder / ".git").mkdir()  # a repository that was just begun
    told = lab("new", "adapter", "cave", "-d", ".")
    assert told.code == 0, told.err
    assert (lab.folder / "pyproject.toml").exists()
    assert "\n  cd " not in told.out
    assert sorted(path.name for path in lab.folder.iterdir()) == [
        ".git",
        ".github",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src",
        "tests",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(lab):
    lab.folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        told = lab("new", "driver", "shop")
    finally:
        lab.folder.chmod(stat.S_IRWXU)
    assert (told.code, told.out) == (5, "")


@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_in_the_middle_leaves_nothing(tmp_path, exists):
    folder = tmp_path / "package"
    if exists:
        folder.mkdir()
    files = {"a.txt": "a", "b/c.txt": "c", "a.txt/d.txt": "a file cannot be a folder"}
    with pytest.raises(OSError, match=r"a\.txt"):
        write_package(folder, files)
    assert list(tmp_path.rglob("*")) == ([folder] if exists else [])


def test_a_failure_of_a_move_takes_the_others_back(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    real, calls = Path.rename, []

    def rename(path, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(target))
        return real(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(OSError, match="No space left"):
            write_package(folder, {"a": "", "b": "", "c": ""})
    assert list(tmp_path.rglob("*")) == [folder]


@pytest.mark.parametrize("kind", KINDS)
def test_every_word_of_the_templates_is_filled_in(kind):
    files = package_files(kind, PackageName.parse("shop"))
    for path, text in files.items():
        assert "{{" not in text.replace("${{", ""), path
        assert text.endswith("\n") or not text, path
        assert "package" not in Path(path).parts
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == "shop-osiris"
    assert project["entry-points"] == {f"osiris.{kind}s": {"shop": "shop_osiris.plugin"}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_core_is_bounded_by_this_one(kind):
    from osiris.core.plugins import PluginEntry

    project = tomllib.loads(package_files(kind, PackageName.parse("shop"))["pyproject.toml"])["project"]
    entry = PluginEntry(
        group="osiris.drivers",
        name="shop",
        distribution="shop-osiris",
        version="0.1.0",
        value="shop_osiris.plugin",
        requires=tuple(project["dependencies"]),
    )
    assert check_fence(entry, __version__) is None
    assert any(line.startswith("osiris-core>=") and ",<" in line for line in project["dependencies"])


@pytest.mark.parametrize("name", ["a", "a" * 24, "z9_y8"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_is_clean(tmp_path, kind, name):
    write_package(tmp_path / "made", package_files(kind, PackageName.parse(name)))
    for command in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache"],
            cwd=tmp_path / "made",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout

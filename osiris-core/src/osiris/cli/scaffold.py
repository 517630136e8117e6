"""A package of an author's own, from the templates beside this file: its names, its texts, its files."""

from __future__ import annotations

import keyword
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from osiris.core import __version__
from osiris.core.errors import UsageError
from osiris.core.plugins.known import ADAPTERS, DRIVER_FAMILIES
from osiris.core.quick_dataclass import dataclass

__all__ = ["Kind", "PackageName", "package_files", "write_package"]

Kind = Literal["driver", "adapter"]

_SUFFIX = ".tmpl"
_LONGEST = 24  # a line of the templates with a longer one would be too long for most style checkers
_AFFIXES = re.compile(r"^(?:osiris_)(?:(?:driver|adapter)_)?|_osiris$")
_SAYS_NOTHING = {"adapter", "adapters", "core", "driver", "drivers", "osiris", "plugin", "plugins", "test", "tests"}


@dataclass(frozen=True)
class PackageName:
    """What a package is called in the places where it has a name.

    ``NAME-osiris`` and not ``osiris-NAME``: the names that begin with ``osiris-`` are this project's own, and
    ``OSIRIS_PLUGINS_ALLOW='osiris-*'`` means them. The module is not ``NAME``, as that is often the client's.

    Attributes:
        name: The driver family, or what ``--adapter`` takes: ``my_shop``.
        distribution: What to ``pip install``: ``my-shop-osiris``.
        package: What to import: ``my_shop_osiris``.
    """

    name: str

    @property
    def distribution(self) -> str:
        """What to ``pip install``."""
        return f"{self.name.replace('_', '-')}-osiris"

    @property
    def package(self) -> str:
        """What to import."""
        return f"{self.name}_osiris"

    @classmethod
    def parse(cls, text: str) -> PackageName:
        """What somebody typed, in the one spelling that counts: ``My-Shop`` and ``my-shop-osiris`` are ``my_shop``.

        Raises:
            UsageError: It is no name, or it is taken by Osiris or by Python.
        """
        name = _AFFIXES.sub("", re.sub(r"[-_. ]+", "_", text.strip().lower()))
        if not re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", name) or len(name) > _LONGEST:
            raise UsageError(
                f"{text!r} cannot be the name of a package",
                hint=f"begin with a letter, go on with letters, digits and dashes, at most {_LONGEST} in all",
                code="usage.name",
                name=text,
            )
        owner = DRIVER_FAMILIES.get(name) or ADAPTERS.get(name)
        if owner is not None:
            raise _taken(text, f"{name!r} is the name of what {owner} brings")
        if keyword.iskeyword(name) or name in _SAYS_NOTHING:
            what = "is a word of Python" if keyword.iskeyword(name) else "does not say what it is for"
            raise _taken(text, f"{name!r} {what}")
        return cls(name)


def _taken(text: str, message: str) -> UsageError:
    hint = "choose a name that says what it reads, writes or runs on"
    return UsageError(message, hint=hint, code="usage.name_reserved", name=text)


def package_files(kind: Kind, name: PackageName) -> dict[str, str]:
    """Every file of a new package: its path, and its text."""
    major, minor, *_ = __version__.split(".")
    words = {
        "name": name.name,
        "distribution": name.distribution,
        "package": name.package,
        "core": f">={major}.{minor},<{int(major) + 1}",
    }
    found: dict[str, str] = {}
    for folder in ("both", kind):
        for path, text in _templates(resources.files("osiris.cli") / "templates" / folder, ""):
            found[_place(path, name)] = _filled(text, words)
    return dict(sorted(found.items()))


def _templates(folder: Traversable, below: str) -> Iterator[tuple[str, str]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _templates(item, f"{below}{item.name}/")
        elif item.name.endswith(_SUFFIX):
            yield below + item.name.removesuffix(_SUFFIX), item.read_text(encoding="utf-8")


def _place(path: str, name: PackageName) -> str:
    parts = [name.package if part == "package" else part for part in path.split("/")]
    return "/".join("." + part.removeprefix("dot_") if part.startswith("dot_") else part for part in parts)


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace("{{" + word + "}}", value)
    return text


def write_package(folder: Path, files: Mapping[str, str]) -> None:
    """Make ``folder`` with these files, all or none; nothing that exists is changed.

    Raises:
        UsageError: The folder is not empty (a ``.git`` may be there), or cannot be made.
    """
    _refuse_occupied(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            f"{os.fspath(folder)!r} cannot be made: {error.filename!r} is a file, not a folder",
            hint="choose another one with --directory",
            code="usage.not_a_folder",
        ) from error
    draft = folder.parent / f".{folder.resolve().name}.{secrets.token_hex(4)}.new"
    try:
        for path, text in files.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, encoding="utf-8", newline="\n")
        _move(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _refuse_occupied(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        occupied = "is a link that leads nowhere"
    elif not folder.exists():
        return
    elif not folder.is_dir():
        occupied = "is a file"
    elif {item.name for item in folder.iterdir()} - {".git"}:
        occupied = "is not empty"
    else:
        return
    raise UsageError(
        f"{os.fspath(folder)!r} {occupied}", hint="choose another folder with --directory", code="usage.exists"
    )


def _move(draft: Path, folder: Path) -> None:
    """Give the draft its name; into a folder that is there already, its items one by one, all or none."""
    if not folder.exists():
        draft.rename(folder)
        return
    moved: list[Path] = []
    try:
        for item in sorted(draft.iterdir()):
            item.rename(folder / item.name)
            moved.append(folder / item.name)
    except OSError:
        for path in moved:
            with suppress(OSError):
                path.rename(draft / path.name)
        raise

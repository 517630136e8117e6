"""What the distributions of a plan stand on: which of them travel as wheels, which are installed by pip there."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from osiris.core.errors import PrepareError
from osiris.core.parsing import read_requirement
from osiris.core.quick_dataclass import dataclass
from osiris.remote.e2b.wheels import Wheel, installed, is_pure, pack_wheel

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["Needs", "find_needs", "python_version", "sandbox_markers"]


@dataclass(frozen=True)
class Needs:
    """What has to be there.

    Attributes:
        wheels: The plan's own distributions, packed.
        pins: Requirements by name, as pip takes them: ``pyarrow==26.0``.
        allowed: By name, which versions will do where they are there already.
    """

    wheels: tuple[Wheel, ...]
    pins: Mapping[str, str]
    allowed: Mapping[str, SpecifierSet] = field(repr=False)

    def missing(self, there: Mapping[str, str]) -> list[str]:
        """The requirements that a place does not meet.

        Args:
            there: Versions by canonical name.
        """
        return [pin for name, pin in sorted(self.pins.items()) if not _fits(there.get(name), self.allowed[name])]


def python_version() -> str:
    """Major and minor of this Python: those of the sandbox must be the same."""
    return ".".join(platform.python_version_tuple()[:2])


def sandbox_markers() -> dict[str, str]:
    """The environment of markers in a sandbox: Linux, this version of Python."""
    return {
        "implementation_name": "cpython",
        "implementation_version": platform.python_version(),
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "platform_python_implementation": "CPython",
        "python_full_version": platform.python_version(),
        "python_version": python_version(),
        "sys_platform": "linux",
    }


def find_needs(distributions: Iterable[str], extra: Iterable[str] = ()) -> Needs:
    """What these distributions need in a sandbox.

    Args:
        distributions: Those of the plan. Those of Python alone travel; others are installed by pip.
        extra: Requirements beside theirs, as drivers state them.

    Raises:
        PrepareError: One is not installed here, or cannot be packed; one of ``extra`` is no requirement.
    """
    own = {str(canonicalize_name(name)): name for name in distributions}
    travelling: dict[str, Wheel] = {}
    pins: dict[str, str] = {}
    allowed: dict[str, SpecifierSet] = {}
    todo = [_stated(text) for text in (*own.values(), *extra)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted = todo.pop()
        name = str(canonicalize_name(wanted.name))
        if (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        found = installed(name)
        if found is None:
            if name in own:
                raise _absent(own[name])
            pins[name] = f"{wanted.name}{wanted.specifier}"  # of no use on this system, but there it may be
            allowed[name] = wanted.specifier
            continue
        todo += _requirements(found, wanted.extras)
        if name in travelling:
            continue
        if (name in own or _is_ours(found)) and is_pure(found):
            travelling[name] = pack_wheel(found)
        else:
            pins[name] = f"{found.metadata['Name']}=={found.version}"
            allowed[name] = allowed.get(name, SpecifierSet()) & wanted.specifier
    return Needs(tuple(travelling[name] for name in sorted(travelling)), pins, allowed)


def _stated(text: str) -> Requirement:
    requirement = read_requirement(text)
    if requirement is None:
        raise PrepareError(
            f"a driver of this pipeline states {text!r} among its needs, which is no requirement",
            hint="osiris plugins check says which; its authors should write it as pip takes it",
            code="e2b.cannot_pack",
            need=text,
        )
    return requirement


def _is_ours(distribution: metadata.Distribution) -> bool:
    """Whether pip would not find this very version anywhere: it is installed from a folder or a file."""
    return distribution.read_text("direct_url.json") is not None


def _requirements(distribution: metadata.Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        requirement = read_requirement(text)
        if requirement is None:  # what pip itself could not read did not matter here either
            continue
        markers = [{**sandbox_markers(), "extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(values) for values in markers):
            yield requirement


def _fits(version: str | None, allowed: SpecifierSet) -> bool:
    if version is None:
        return False
    try:
        return allowed.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _absent(name: str) -> PrepareError:
    return PrepareError(
        f"{name} is not installed here as a package, so that it cannot be sent to the sandbox",
        hint=f"pip install {name}",
        code="e2b.cannot_pack",
        distribution=name,
    )

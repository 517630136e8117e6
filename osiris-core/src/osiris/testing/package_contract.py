"""The suite for a distribution that brings drivers, adapters or other plugins."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import pytest
from packaging.requirements import Requirement

from osiris.core.driver import DriverSpec
from osiris.core.execution_adapter import AdapterSpec
from osiris.testing.contract import Contract, must_override
from osiris.testing.fresh_process import modules_after_import

__all__ = ["PackageContract"]

_GROUPS = ("osiris.adapters", "osiris.drivers", "osiris.plugins")
_NAMESPACES = ("osiris", "osiris/drivers", "osiris/remote", "osiris/runtime")


class _Named(Protocol):
    """What the specs of drivers and adapters have in common."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...


class PackageContract(Contract):
    """What a distribution with plugins for Osiris keeps, so that it can be found, described and installed.

    Override :meth:`distribution`.
    """

    # what an author overrides

    @pytest.fixture
    def distribution(self) -> str:
        """The distribution's name, as in ``pip install``."""
        must_override("distribution", "the name to pip install")

    @pytest.fixture
    def plugin_may_import(self) -> frozenset[str]:
        """Top-level modules beyond the standard library and ``osiris.core`` that a plugin module may import: none."""
        return frozenset()

    # what the rules use

    @pytest.fixture
    def installed(self, distribution: str) -> metadata.Distribution:
        """The distribution's metadata."""
        try:
            return metadata.distribution(distribution)
        except metadata.PackageNotFoundError:
            pytest.fail(f"no distribution {distribution!r} is installed: pip install --editable it", pytrace=False)

    @pytest.fixture
    def entry_points(self, installed: metadata.Distribution) -> list[metadata.EntryPoint]:
        """Its entry points for Osiris."""
        return [point for point in installed.entry_points if point.group in _GROUPS]

    @pytest.fixture
    def driver_specs(self, entry_points: list[metadata.EntryPoint]) -> list[tuple[str, DriverSpec]]:
        """Its drivers, each with the name of the entry point that offers it."""
        return [(point.name, spec) for point in entry_points for spec in _answers(point, "osiris.drivers")]

    @pytest.fixture
    def adapter_specs(self, entry_points: list[metadata.EntryPoint]) -> list[tuple[str, AdapterSpec]]:
        """Its adapters, each with the name of the entry point that offers it."""
        return [(point.name, spec) for point in entry_points for spec in _answers(point, "osiris.adapters")]

    # the rules

    def test_has_the_name_it_says(self, distribution: str, installed: metadata.Distribution) -> None:
        """The distribution is installed under the name that users install.

        Set ``name`` in pyproject.toml to it, and install the package into the environment of the tests.
        """
        assert _normal(installed.metadata["Name"]) == _normal(distribution)

    def test_entry_points_resolve(self, entry_points: list[metadata.EntryPoint]) -> None:
        """There is an entry point in a group of Osiris, and each names a module that can be imported.

        State ``[project.entry-points."osiris.drivers"]`` (or ``osiris.adapters``, ``osiris.plugins``) in
        pyproject.toml with the dotted name of plugin.py, and install again: entry points are read from metadata.
        """
        assert entry_points, f"no entry point in any of {', '.join(_GROUPS)}"
        for point in entry_points:
            assert ":" not in point.value, f"{point.name} = {point.value!r} names an object: name the module"
            try:
                point.load()
            except Exception as error:  # whatever the author's module does
                pytest.fail(f"{point.name} = {point.value!r}: {type(error).__name__}: {error}", pytrace=False)

    def test_plugin_module_is_light(
        self, entry_points: list[metadata.EntryPoint], plugin_may_import: frozenset[str]
    ) -> None:
        """Importing plugin.py imports the standard library and the contract, nothing else.

        Move other imports into the modules that need them, or below ``if TYPE_CHECKING:``; in specs, name
        classes and models as ``"package.module:Name"``. Every ``osiris`` command pays for what plugin.py imports.
        """
        for module in {point.module for point in entry_points if _imports(point.module)}:
            own = module.partition(".")[0]
            heavy = modules_after_import(module) - {own, *plugin_may_import}
            assert not heavy, f"importing {module} imports {', '.join(sorted(heavy))}"

    def test_entry_points_offer_what_they_name(
        self,
        entry_points: list[metadata.EntryPoint],
        driver_specs: list[tuple[str, DriverSpec]],
        adapter_specs: list[tuple[str, AdapterSpec]],
    ) -> None:
        """Each driver's name begins with its family, each adapter has its entry point's name.

        Call drivers ``family.role`` where ``family`` is the entry point's name; return a spec for each from
        ``osiris_drivers`` or ``osiris_adapters``, marked ``@hookimpl``.
        """
        offered: dict[str, Iterable[tuple[str, _Named]]] = {
            "osiris.drivers": driver_specs,
            "osiris.adapters": adapter_specs,
        }
        for point in entry_points:
            if point.group in offered:
                names = [spec.name for owner, spec in offered[point.group] if owner == point.name]
                assert names, f"{point.value} offers nothing for {point.name!r}"
                for name in names:
                    family = name.partition(".")[0] if point.group == "osiris.drivers" else name
                    assert family == point.name, f"{name!r} is offered by entry point {point.name!r}"
        for _, driver in driver_specs:
            assert re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", driver.name), f"{driver.name!r} is not family.role"

    def test_import_strings_resolve(
        self, driver_specs: list[tuple[str, DriverSpec]], adapter_specs: list[tuple[str, AdapterSpec]]
    ) -> None:
        """Every import string of a spec leads to what it says: a class that runs, a pydantic model.

        Correct the string (``package.module:Name``), or what the module defines.
        """
        from pydantic import BaseModel

        for _, spec in driver_specs:
            assert hasattr(_found(spec.name, spec.factory), "run"), f"{spec.factory} has no run()"
            for model in (spec.config_model, spec.connection_model):
                assert model is None or issubclass(_found(spec.name, model), BaseModel), f"{model} is no pydantic model"
        for _, adapter in adapter_specs:
            made = _found(adapter.name, adapter.factory)
            assert all(hasattr(made, phase) for phase in ("prepare", "execute", "collect")), adapter.factory
            model = adapter.options_model
            assert model is None or issubclass(_found(adapter.name, model), BaseModel), f"{model} is no pydantic model"

    def test_everything_has_a_summary(
        self, driver_specs: list[tuple[str, DriverSpec]], adapter_specs: list[tuple[str, AdapterSpec]]
    ) -> None:
        """Every driver and adapter has a summary of one line.

        Give the spec a ``summary``: what it does, in a line that ``osiris drivers list`` can show.
        """
        specs: list[_Named] = [*(spec for _, spec in driver_specs), *(spec for _, spec in adapter_specs)]
        for spec in specs:
            assert spec.summary.strip(), f"{spec.name} has no summary"
            assert "\n" not in spec.summary, f"the summary of {spec.name} has several lines"

    def test_every_option_is_described(
        self, driver_specs: list[tuple[str, DriverSpec]], adapter_specs: list[tuple[str, AdapterSpec]]
    ) -> None:
        """Every driver has a config model, and every option of every model a type and a description.

        Write ``path: str = Field(description="...")``, not ``path: Any``; editors and ``osiris drivers show`` tell it.
        """
        models = {f"{name} of {spec.name}": place for _, spec in driver_specs for name, place in _models(spec)}
        models |= {f"options of {spec.name}": spec.options_model for _, spec in adapter_specs if spec.options_model}
        for what, place in models.items():
            assert place, f"there is no {what}"
            for option, field in _found(what, place).model_fields.items():
                assert field.description, f"option {option!r} in the {what} has no description"
                assert field.annotation not in (None, Any), f"option {option!r} in the {what} has no type"

    def test_examples_are_valid(self, driver_specs: list[tuple[str, DriverSpec]]) -> None:
        """Every driver's spec has an example, and its config model takes it.

        Give ``example={...}`` in the spec: a config that a user can paste.
        """
        for _, spec in driver_specs:
            if spec.config_model is not None:
                model = _found(spec.name, spec.config_model)
                required = [name for name, field in model.model_fields.items() if field.is_required()]
                assert spec.example or not required, f"{spec.name} has no example"
                model.model_validate(dict(spec.example))

    def test_core_is_bounded_on_both_sides(self, installed: metadata.Distribution) -> None:
        """The distribution requires osiris-core from one version on and below another.

        Write ``"osiris-core>=1.0,<2"`` in ``dependencies``: whoever installs a later, incompatible core is then
        told so, instead of finding out in a run.
        """
        lines = [Requirement(line) for line in installed.requires or ()]
        operators = {
            specifier.operator
            for line in lines
            if _normal(line.name) == "osiris-core" and not (line.marker and "extra" in str(line.marker))
            for specifier in line.specifier
        }
        assert operators & {">=", ">", "~=", "=="}, "there is no lower bound on osiris-core"
        assert operators & {"<", "<=", "~=", "=="}, "there is no upper bound on osiris-core"

    def test_types_are_shipped(self, installed: metadata.Distribution, entry_points: list[metadata.EntryPoint]) -> None:
        """The packages that the entry points name ship ``py.typed``.

        Put an empty ``py.typed`` into the package, beside its modules, and have the build backend include it.
        """
        editable = _editable_folder(installed) is not None
        shipped = {str(path) for path in installed.files or ()}
        for module in {point.module for point in entry_points}:
            package = module.rpartition(".")[0] or module
            markers = [f"{folder}/py.typed" for folder in _folders(package)]
            if editable:
                there = any((Path(place) / "py.typed").is_file() for place in _places(package))
            else:
                there = bool(shipped.intersection(markers))
            assert there, f"there is no {markers[0]}"

    def test_nobody_owns_the_namespace(self, installed: metadata.Distribution) -> None:
        """No ``osiris/__init__.py`` is shipped: the namespace belongs to everybody.

        Delete it, and those in ``osiris/drivers``, ``osiris/runtime`` and ``osiris/remote``; better still, use a
        top-level package of your own. One such file hides all other distributions.
        """
        folder = _editable_folder(installed)
        files = [str(path) for path in installed.files or ()]
        if folder is not None:
            files += [str(path) for space in _NAMESPACES for path in folder.rglob(f"{space}/__init__.py")]
        owned = [file for file in files for space in _NAMESPACES if f"/{file}".endswith(f"/{space}/__init__.py")]
        assert not owned, f"it ships {', '.join(owned)}"


def _answers(point: metadata.EntryPoint, group: str) -> Iterator[Any]:
    """What a plugin module answers to its group's hook, where it belongs to the group."""
    if point.group == group:
        hook = getattr(importlib.import_module(point.module), group.replace(".", "_"), None)
        if hook is not None and hasattr(hook, "osiris_impl"):  # pluggy's mark
            found = hook()
            several = sum(1 for _ in found) > 1 and group == "osiris.adapters"
            yield from (spec for spec in found if not several or spec.name == point.name)


def _imports(module: str) -> bool:
    try:
        importlib.import_module(module)
    except Exception:  # that it cannot be imported is another rule's matter
        return False
    return True


def _found(what: str, reference: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the author's module does
        pytest.fail(f"{what}: {reference!r}: {type(error).__name__}: {error}", pytrace=False)


def _models(spec: DriverSpec) -> Iterator[tuple[str, str | None]]:
    yield "config model", spec.config_model
    if spec.connection_model is not None:
        yield "connection model", spec.connection_model


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _folders(package: str) -> list[str]:
    """The folders of a package and of those around it, innermost first; not that of the namespace `osiris`."""
    parts = package.split(".")
    folders = ["/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    return [folder for folder in folders if folder != "osiris"] or folders


def _places(package: str) -> list[str]:
    found = [list(importlib.import_module(folder.replace("/", ".")).__path__) for folder in _folders(package)]
    return [place for places in found for place in places]


def _editable_folder(installed: metadata.Distribution) -> Path | None:
    direct: Mapping[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
    if not direct.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(str(direct["url"])).path))

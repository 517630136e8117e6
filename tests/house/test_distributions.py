"""Every distribution stands on its own, and they fit together."""

from __future__ import annotations

import importlib.metadata
import re
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


def requirements(distribution, *, extras=False) -> list[Requirement]:
    lines = list(distribution.project["dependencies"])
    if extras:
        lines += [line for group in distribution.project.get("optional-dependencies", {}).values() for line in group]
    return [Requirement(line) for line in lines]


def test_the_workspace_knows_every_distribution(workspace, distributions, root):
    names = {one.name for one in distributions}
    assert set(workspace["tool"]["uv"]["sources"]) == names
    sources = {(one.folder / "src").relative_to(root).as_posix() for one in distributions}
    assert set(workspace["tool"]["mypy"]["mypy_path"]) == sources


def test_the_same_python_everywhere(distributions, workspace):
    (minimum,) = {one.project["requires-python"] for one in distributions}
    assert minimum == ">=3.11"
    version = minimum.removeprefix(">=")
    assert workspace["tool"]["ruff"]["target-version"] == "py" + version.replace(".", "")
    assert workspace["tool"]["mypy"]["python_version"] == version
    (classifiers,) = {tuple(c for c in one.project["classifiers"] if "Python :: 3" in c) for one in distributions}
    assert f"Programming Language :: Python :: {version}" in classifiers


def test_metadata_is_complete(distribution, root):
    project = distribution.project
    assert project["license"] == "Apache-2.0"
    assert (distribution.folder / "LICENSE").read_text() == (root / "LICENSE").read_text()
    assert Version(project["version"]).release >= (1, 0)
    assert project["description"]
    assert not project["description"].endswith(".")
    assert "Typing :: Typed" in project["classifiers"]


def test_types_are_shipped(distribution):
    portions = {module.parent for module in distribution.modules}
    tops = {folder for folder in portions if portions.isdisjoint(folder.parents)}
    assert tops
    for folder in tops:
        assert (folder / "py.typed").exists(), folder


def test_readme_reads_well_on_an_index_page(distribution):
    text = (distribution.folder / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not link.startswith("https://")] == []
    assert text.startswith(f"# {distribution.name}\n")
    assert f"pip install {distribution.name}" in text or f'pip install "{distribution.name}' in text
    assert len(text.split()) > 80


def test_siblings_are_asked_for_by_range(distribution, distributions):
    versions = {one.name: Version(one.project["version"]) for one in distributions}
    for requirement in requirements(distribution, extras=True):
        if requirement.name in versions:
            operators = {specifier.operator for specifier in requirement.specifier}
            assert operators == {">=", "<"}, requirement
            assert versions[requirement.name] in requirement.specifier, requirement


def test_nothing_is_pinned(distribution):
    for requirement in requirements(distribution, extras=True):
        assert not {"==", "===", "~="} & {specifier.operator for specifier in requirement.specifier}, requirement


def test_plugins_say_which_core_they_are_for(distribution):
    if "entry-points" not in distribution.project:
        pytest.skip("it is no plugin")
    assert "osiris-core" in {requirement.name for requirement in requirements(distribution)}


def test_what_is_imported_is_asked_for(distribution, imported):
    """Nobody lives on a dependency of a dependency."""
    asked = {canonicalize_name(requirement.name) for requirement in requirements(distribution, extras=True)}
    owners = importlib.metadata.packages_distributions()
    own = {*sys.stdlib_module_names, "osiris"}
    if distribution.name == "osiris-core":
        own.add("pandas")  # to_pandas() makes a DataFrame for those who have pandas; the core does not ask for it
    missing = {
        f"{module.name}: {name}"
        for module in distribution.modules
        for name in {name.split(".")[0] for name in imported(module.read_text(encoding="utf-8"))} - own
        if asked.isdisjoint(canonicalize_name(owner) for owner in owners.get(name, [name]))
    }
    assert missing == set()


def test_entry_points_lead_to_plugin_modules(distribution):
    for group, entries in distribution.project.get("entry-points", {}).items():
        assert group in {"osiris.adapters", "osiris.drivers", "osiris.plugins"}
        for value in entries.values():
            path = distribution.folder / "src" / (value.replace(".", "/") + ".py")
            assert path.exists(), value
            assert path.name == "plugin.py"


def test_the_version_of_core_is_written_once_in_effect(distributions):
    import osiris.core

    (core,) = [one for one in distributions if one.name == "osiris-core"]
    assert osiris.core.__version__ == core.project["version"] == importlib.metadata.version("osiris-core")


def test_standard_brings_every_local_part(distributions):
    (core,) = [one for one in distributions if one.name == "osiris-core"]
    standard = {Requirement(line).name for line in core.project["optional-dependencies"]["standard"]}
    assert standard == {
        "osiris-adapter-local",
        "osiris-csv-scan",
        "osiris-driver-duckdb",
        "osiris-driver-filesystem",
        "osiris-driver-pandas",
    }

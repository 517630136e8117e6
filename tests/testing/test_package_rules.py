"""Every rule for packages is kept by a right package, and broken by a wrong one, which breaks no other."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from osiris.testing import PackageContract
from osiris.testing.contract import rules

PLUGIN = """
from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl

@hookimpl
def osiris_drivers():
    return [
        DriverSpec(
            name="NAME.reader", summary="Reads", factory="NAME.drivers:Reader", role="extractor",
            config_model="NAME.config:Config", example={"path": "x"},
        )
    ]
"""
CONFIG = """
from pydantic import BaseModel, ConfigDict, Field

class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: str = Field(description="What to read")
"""
DRIVERS = """
from osiris.core.driver import Driver

class Reader(Driver):
    def run(self, step_id, config, inputs, ctx):
        return {"df": []}
"""


@dataclass
class Package:
    """A distribution as it is after its installation; NAME stands for its import name."""

    name: str
    files: dict[str, str] = field(
        default_factory=lambda: {
            "NAME/__init__.py": "",
            "NAME/plugin.py": PLUGIN,
            "NAME/config.py": CONFIG,
            "NAME/drivers.py": DRIVERS,
            "NAME/py.typed": "",
        }
    )
    stated_name: str = ""
    entry_points: str = "[osiris.drivers]\nNAME = NAME.plugin\n"
    requires: str = "osiris-core>=1.0,<2"
    editable: bool = False

    def change(self, file: str, old: str, new: str) -> None:
        assert old in self.files[file]
        self.files[file] = self.files[file].replace(old, new)

    def install(self, site: Path) -> None:
        info = site / f"{self.name}-1.0.dist-info"
        stated = self.stated_name or self.name
        metadata = f"Metadata-Version: 2.1\nName: {stated}\nVersion: 1.0\nRequires-Dist: {self.requires}\n"
        files = {**self.files, f"{info.name}/METADATA": metadata, f"{info.name}/entry_points.txt": self.entry_points}
        if self.editable:
            files[f"{info.name}/direct_url.json"] = json.dumps({"url": site.as_uri(), "dir_info": {"editable": True}})
        else:
            files[f"{info.name}/RECORD"] = "".join(f"{path.replace('NAME', self.name)},,\n" for path in self.files)
        for path, text in files.items():
            file = site / path.replace("NAME", self.name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("NAME", self.name))


Change = Callable[[Package], None]


def misname(package: Package) -> None:
    package.files["NAME.py"] = ""
    package.stated_name = package.name + "-other"


def forget_module(package: Package) -> None:
    package.entry_points += "[osiris.plugins]\nNAME = NAME.nothing\n"


def import_much(package: Package) -> None:
    package.files["NAME/plugin.py"] = "import NAME.config\n" + PLUGIN


def call_it_otherwise(package: Package) -> None:
    package.change("NAME/plugin.py", 'name="NAME.reader"', 'name="other.reader"')


def point_nowhere(package: Package) -> None:
    package.change("NAME/plugin.py", ":Reader", ":Raeder")


def sum_nothing_up(package: Package) -> None:
    package.change("NAME/plugin.py", '"Reads"', '" "')


def describe_nothing(package: Package) -> None:
    package.change("NAME/config.py", 'Field(description="What to read")', "Field(min_length=1)")


def give_a_wrong_example(package: Package) -> None:
    package.change("NAME/plugin.py", '"path": "x"', '"paht": "x"')


def take_any_core(package: Package) -> None:
    package.requires = "osiris-core>=1.0"


def ship_no_types(package: Package) -> None:
    del package.files["NAME/py.typed"]


def own_the_namespace(package: Package) -> None:
    package.files["other/osiris/__init__.py"] = ""


WRONG: dict[str, Change] = {
    "test_has_the_name_it_says": misname,
    "test_entry_points_resolve": forget_module,
    "test_plugin_module_is_light": import_much,
    "test_entry_points_offer_what_they_name": call_it_otherwise,
    "test_import_strings_resolve": point_nowhere,
    "test_everything_has_a_summary": sum_nothing_up,
    "test_every_option_is_described": describe_nothing,
    "test_examples_are_valid": give_a_wrong_example,
    "test_core_is_bounded_on_both_sides": take_any_core,
    "test_types_are_shipped": ship_no_types,
    "test_nobody_owns_the_namespace": own_the_namespace,
}


def run_suites(pytester: pytest.Pytester, packages: dict[str, Package], monkeypatch: pytest.MonkeyPatch) -> dict:
    """The rules that failed, by the suite's name."""
    site = pytester.mkdir("site")
    for package in packages.values():
        package.install(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    pytester.makeconftest('pytest_plugins = ["osiris.testing.pytest_plugin"]')
    suites = [
        f"class Test{suite}(PackageContract):\n    distribution = pytest.fixture(lambda self: {package.name!r})\n"
        for suite, package in packages.items()
    ]
    pytester.makepyfile("import pytest\nfrom osiris.testing import PackageContract\n" + "\n".join(suites))
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "error", "--junitxml=told.xml")
    failed: dict[str, set[str]] = {}
    for case in ElementTree.parse(pytester.path / "told.xml").iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.setdefault(case.get("classname", "").rpartition(".Test")[2], set()).add(case.get("name", ""))
    return failed


def test_each_rule_is_seen_to_fail(pytester, monkeypatch):
    packages = {}
    for number, change in enumerate(WRONG.values()):
        packages[change.__name__] = Package(f"acme{number}")
        change(packages[change.__name__])
    failed = run_suites(pytester, packages, monkeypatch)
    assert failed == {change.__name__: {rule} for rule, change in WRONG.items()}


def test_right_packages_break_no_rule(pytester, monkeypatch):
    packages = {"Installed": Package("acme_installed"), "Editable": Package("acme_editable", editable=True)}
    assert run_suites(pytester, packages, monkeypatch) == {}


def test_what_is_not_installed_is_said_to_be(pytester, monkeypatch):
    nobody = Package("acme_nobody", files={})
    nobody.install = lambda site: None
    failed = run_suites(pytester, {"Nobody": nobody}, monkeypatch)
    assert failed == {"Nobody": set(rules(PackageContract))}


def test_every_rule_has_a_wrong_package():
    assert set(WRONG) == set(rules(PackageContract))

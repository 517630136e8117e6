"""Each rule of ``osiris plugins check``, seen to fail on a package that breaks it alone."""

from __future__ import annotations

import itertools
import textwrap

import pytest

from osiris.core.plugins import Catalog
from osiris.core.plugins.inspection import inspect_plugins
from osiris.core.plugins.lightness import heavy_imports

NUMBERS = itertools.count()

MODULE = """
from osiris.core.driver import DriverSpec
from osiris.core.execution_adapter import AdapterSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers():
    spec = dict(
        name="wrong.extractor", summary="Reads.", factory=WORK + "Reader", role="extractor", max_inputs=0,
        config_model=WORK + "Config", connection_model=WORK + "Connection", connection_family="wrong",
        example={"connection": "@wrong.main", "table": "t"}, needs=("wrong-osiris[more]>=1",),
    )
    return [DriverSpec(**(spec | SPEC))]


@hookimpl
def osiris_adapters():
    spec = dict(name="wrong", summary="A room.", factory=WORK + "Room", options_model=WORK + "Options")
    return [AdapterSpec(**(spec | ADAPTER))]


@hookimpl
def osiris_secret_resolvers():
    return SCHEMES


@hookimpl
def osiris_cli_commands():
    return COMMANDS
"""

WORK = """
import typer
from pydantic import BaseModel, ConfigDict, Field, field_validator

from osiris.core.execution_adapter import ExecutionAdapter


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    connection: str = Field(description="Which one.")
    table: str = Field(description="Which table.")


class Undescribed(Config):
    table: str


class Unconnected(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Raises(BaseModel):
    @field_validator("*", mode="before")
    def explode(cls, value):
        raise KeyError("boom")

    connection: str = Field(description="Which one.")


class Schemaless(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    thing: memoryview


class Connection(BaseModel):
    path: str = Field(description="Where.")


class Options(BaseModel):
    seats: int = 1


class Reader:
    def run(self, step_id, config, inputs, ctx):
        return {}


class Needy(Reader):
    def __init__(self, host):
        self.host = host


class Short(Reader):
    def run(self, config, inputs):
        return {}


class Room(ExecutionAdapter):
    def __init__(self, seats=1):
        self.seats = seats
    def prepare(self, manifest, context): ...
    def execute(self, prepared, context): ...
    def collect(self, prepared, context): ...


class Abstract(ExecutionAdapter):
    def __init__(self, seats=1): ...
    def prepare(self, manifest, context): ...


class Closed(Room):
    def __init__(self): ...


class Odd(Room):
    def execute(self, prepared): ...


app = typer.Typer()
"""


class Package:
    """A distribution in a folder of its own, on the path, that is right where nothing else is said."""

    def __init__(self, folder):
        self.folder = folder
        self.module = f"wrong_{next(NUMBERS)}"

    def install(
        self,
        *,
        requires="osiris-core>=1,<2",
        groups=("drivers", "adapters", "plugins"),
        before="",
        entry="wrong",
        **parts,
    ):
        given = {"SPEC": "{}", "ADAPTER": "{}", "SCHEMES": '{"wrong": str.upper}'}
        given["COMMANDS"] = f'{{"wrong": ("Help.", "{self.module}_work:app")}}'
        lines = [f"{name} = {text}" for name, text in (given | parts).items()]
        (self.folder / f"{self.module}.py").write_text(
            "\n".join([before, 'WORK = __name__ + "_work:"', *lines, MODULE])
        )
        (self.folder / f"{self.module}_work.py").write_text(WORK)
        info = self.folder / "wrong_osiris-1.0.dist-info"
        info.mkdir()
        required = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: wrong-osiris\nVersion: 1.0\n{required}\n")
        points = "".join(f"[osiris.{group}]\n{entry} = {self.module}\n" for group in groups)
        (info / "entry_points.txt").write_text(points)

    def check(self):
        catalog = Catalog(path=[str(self.folder)], environment={})
        return list(inspect_plugins(catalog, catalog.plugins(), own_commands={"run"}))


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return Package(tmp_path)


def found(findings, state):
    return [(finding.what, finding.rule) for finding in findings if finding.state == state]


def test_a_right_package_has_nothing_but_ok(package):
    package.install()
    assert {finding.state for finding in package.check()} == {"ok"}


DRIVER = "driver wrong.extractor"
FAILS = {
    "no class": ({"SPEC": "{'factory': WORK + 'Nobody'}"}, DRIVER, "factory", "cannot be imported"),
    "no run": ({"SPEC": "{'factory': WORK + 'Config'}"}, DRIVER, "factory", "not a class with run()"),
    "needs arguments": ({"SPEC": "{'factory': WORK + 'Needy'}"}, DRIVER, "factory", "without arguments"),
    "another run": ({"SPEC": "{'factory': WORK + 'Short'}"}, DRIVER, "factory", "(step_id, config, inputs, ctx)"),
    "no config model": ({"SPEC": "{'config_model': WORK + 'Nobody'}"}, DRIVER, "config_model", "cannot be imported"),
    "no model": ({"SPEC": "{'config_model': WORK + 'Reader'}"}, DRIVER, "config_model", "no pydantic model"),
    "no schema": ({"SPEC": "{'config_model': WORK + 'Schemaless'}"}, DRIVER, "config_model", "no JSON Schema"),
    "no option connection": (
        {"SPEC": "{'config_model': WORK + 'Unconnected', 'example': {}}"},
        DRIVER,
        "config_model",
        "knows no option 'connection'",
    ),
    "connection model": (
        {"SPEC": "{'connection_model': WORK + 'app'}"},
        DRIVER,
        "connection_model",
        "no pydantic model",
    ),
    "example": ({"SPEC": "{'example': {'connection': '@wrong', 'tabel': 1}}"}, DRIVER, "example", "tabel"),
    "validator raises": ({"SPEC": "{'config_model': WORK + 'Raises'}"}, DRIVER, "example", "KeyError"),
    "inputs": ({"SPEC": "{'min_inputs': 2, 'max_inputs': 1, 'role': 'transform'}"}, DRIVER, "shape", "at most 1"),
    "needs": ({"SPEC": "{'needs': ('not a requirement',)}"}, DRIVER, "needs", "'not a requirement'"),
    "phases": ({"ADAPTER": "{'factory': WORK + 'Abstract'}"}, "adapter wrong", "factory", "define collect, execute"),
    "phase": ({"ADAPTER": "{'factory': WORK + 'Odd'}"}, "adapter wrong", "factory", "its execute is missing or takes"),
    "options": ({"ADAPTER": "{'factory': WORK + 'Closed'}"}, "adapter wrong", "factory", "does not take seats"),
    "options model": ({"ADAPTER": "{'options_model': WORK + 'Room'}"}, "adapter wrong", "options_model", "no pydantic"),
    "resolvers": ({"SCHEMES": "['wrong']"}, "hook osiris_secret_resolvers", "hook", "a list where a mapping"),
    "scheme": ({"SCHEMES": "{'No Scheme': str}"}, "secret scheme No Scheme", "hook", "no reference can name it"),
    "built-in scheme": ({"SCHEMES": "{'file': str}"}, "secret scheme file", "hook", "has that scheme itself"),
    "no function": ({"SCHEMES": "{'wrong': 'x'}"}, "secret scheme wrong", "hook", "a str, not a function"),
    "raises": ({"SCHEMES": "1 / 0"}, "adapter wrong", "module", "ZeroDivisionError"),
    "hook raises": (
        {"SCHEMES": "property(lambda: 1).fget"},
        "hook osiris_secret_resolvers",
        "hook",
        "a function where",
    ),
    "own command": ({"COMMANDS": "{'run': ('Help.', 'json:x')}"}, "command run", "hook", "osiris has that command"),
    "command name": ({"COMMANDS": "{'No': ('Help.', 'json:x')}"}, "command No", "hook", "nobody can type it"),
    "command pair": ({"COMMANDS": "{'say': 'json:x'}"}, "command say", "hook", "a pair of texts"),
    "command import": ({"COMMANDS": "{'say': ('Help.', 'json:x')}"}, "command say", "hook", "cannot be imported"),
    "command kind": ({"COMMANDS": "{'say': ('Help.', 'json:dumps')}"}, "command say", "hook", "not a typer.Typer"),
    "bounds": ({"requires": "osiris-core>=7"}, "osiris-core", "bounds", "needs osiris-core >=7; this is"),
}


@pytest.mark.parametrize(("parts", "what", "rule", "says"), FAILS.values(), ids=FAILS)
def test_what_will_not_work_is_found(package, parts, what, rule, says):
    package.install(**parts)
    findings = package.check()
    wrong = [finding for finding in findings if finding.state == "fail" and finding.what == what]
    assert [finding.rule for finding in wrong] == [rule], findings
    assert says in wrong[0].message
    assert wrong[0].hint


WARNS = {
    "no bound": ({"requires": ""}, "osiris-core", "bounds", "states no bound"),
    "no upper bound": ({"requires": "osiris-core>=1"}, "osiris-core", "bounds", "open on one side"),
    "no lower bound": ({"requires": "osiris-core<2"}, "osiris-core", "bounds", "open on one side"),
    "no example": ({"SPEC": "{'example': {}}"}, DRIVER, "example", "no example"),
    "undescribed": ({"SPEC": "{'config_model': WORK + 'Undescribed'}"}, DRIVER, "described", "table"),
    "extractor with inputs": ({"SPEC": "{'max_inputs': 3}"}, DRIVER, "shape", "takes inputs"),
    "writer without": ({"SPEC": "{'role': 'writer', 'max_inputs': None}"}, DRIVER, "shape", "needs no input"),
    "no plugin entry": (
        {"groups": ["drivers", "adapters"]},
        "hook osiris_cli_commands",
        "entry_point",
        "osiris.plugins",
    ),
    "no driver entry": ({"groups": ["adapters", "plugins"]}, "hook osiris_drivers", "entry_point", "osiris.drivers"),
}


@pytest.mark.parametrize(("parts", "what", "rule", "says"), WARNS.values(), ids=WARNS)
def test_what_should_be_better_is_told(package, parts, what, rule, says):
    package.install(**parts)
    findings = package.check()
    assert found(findings, "fail") == []
    told = [finding for finding in findings if finding.state == "warn" and (finding.what, finding.rule) == (what, rule)]
    assert len(told) == 1, findings
    assert says in told[0].message
    assert told[0].hint


def test_a_module_that_is_not_light_is_told(package):
    package.install(before="import pyarrow, pydantic\nimport osiris.core.engine\n")
    (told,) = [finding for finding in package.check() if finding.state == "warn"]
    assert (told.what, told.rule) == (f"module {package.module}", "light")
    assert {"pyarrow", "pydantic", "osiris.core.engine"} <= set(told.message.partition("imports ")[2].split(", "))


def test_a_known_name_is_told(package):
    package.install(entry="mysql", groups=["drivers"], SPEC="{'name': 'mysql.extractor', 'connection_family': 'mysql'}")
    told = [finding.message for finding in package.check() if finding.rule == "name"]
    assert told == ["'mysql' is the name that osiris-driver-mysql brings"]


def test_what_a_package_prints_is_no_result(package, capsys):
    package.install(before="print('hello')")
    package.check()
    assert capsys.readouterr().out == ""


def test_light_modules_are_light(package):
    (package.folder / "feather.py").write_text(
        textwrap.dedent("""
        import json, sqlite3
        from osiris.core.driver import DriverSpec
        from osiris.core.hookspecs import hookimpl
        """)
    )
    assert heavy_imports("feather") == []

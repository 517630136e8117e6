"""A plugin that calls sys.exit(): what was asked for was not done, and the command must not say that it was."""

from __future__ import annotations

import json
import textwrap

import pytest

PLUGIN = """
import sys
from osiris.core.driver import DriverSpec
from osiris.core.execution_adapter import AdapterSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers():
    def spec(name, model=None, **more):
        model = model and f"leaver.{model}"
        return DriverSpec(name=f"leaver.{name}", summary="x", factory="leaver.work:Driver", config_model=model, **more)

    return [
        spec("at_import", "left:Config"),
        spec("validated", "work:Validated"),
        spec("schema", "work:Schema"),
        spec("checked", connection_family="leaver"),
        spec("fails"),
        spec("works"),
    ]


@hookimpl
def osiris_adapters():
    return [AdapterSpec(name="leaver", summary="x", factory="leaver.work:Adapter")]


class Sink:
    def on_event(self, event):
        pass

    def on_metric(self, metric):
        pass

    def close(self):
        sys.exit(0)


class Deaf(Sink):
    def on_event(self, event):
        sys.exit(0)


class Dumb(Sink):
    def on_metric(self, metric):
        sys.exit("bye")


@hookimpl
def osiris_event_sinks(context):
    return [Deaf(), Dumb(), Sink()]


@hookimpl
def osiris_cli_commands():
    commands = {name: ("x", f"leaver.commands:{name}") for name in ("zero", "three", "text", "none")}
    return {**commands, "left": ("x", "leaver.left:app")}
"""

WORK = """
import sys
from pydantic import BaseModel, model_validator
from osiris.core.driver import Driver as Base


class Driver(Base):
    def run(self, step_id, config, inputs, ctx):
        if config.get("fail"):
            raise ValueError("it failed")
        ctx.log_metric("numbers", 1)
        return {}

    def check(self, config, ctx):
        sys.exit(0)


class Validated(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def leave(cls, given):
        sys.exit(0)


class Schema(BaseModel):
    @classmethod
    def model_json_schema(cls, *given, **more):
        raise SystemExit("no schema today")


class Adapter:
    prepare = execute = collect = None

    def __init__(self):
        sys.exit(0)
"""

COMMANDS = """
import sys
import typer


def leaving(how):
    app = typer.Typer()
    app.command()(lambda: sys.exit(how))
    return app


zero, three, text, none = (leaving(how) for how in (0, 3, "no more", None))
"""


@pytest.fixture
def leaver(lab, tmp_path):
    """The command in a project, where a package is installed that leaves wherever it can."""
    site = tmp_path / "leaving"
    files = {
        "leaver/__init__.py": "",
        "leaver/plugin.py": PLUGIN,
        "leaver/work.py": WORK,
        "leaver/commands.py": COMMANDS,
        "leaver/left.py": "raise SystemExit(0)",
        "leaver-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: leaver\nVersion: 1.0\n"
        "Requires-Dist: osiris-core>=1.0,<2\n",
        "leaver-1.0.dist-info/entry_points.txt": "".join(
            f"[{group}]\nleaver = leaver.plugin\n" for group in ("osiris.drivers", "osiris.adapters", "osiris.plugins")
        ),
    }
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(textwrap.dedent(text))
    lab.env["PYTHONPATH"] = str(site)
    lab.write("osiris_connections.yaml", "leaver:\n  main: {host: x}\n")
    return lab


def assert_broken(ended):
    assert ended.code == 4, ended
    assert "SystemExit" in ended.err
    assert "leaver" in ended.err
    assert ended.err.splitlines()[-1].startswith("hint: ")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("driver", "command"),
    [
        ("works", ["run", "--adapter", "leaver"]),
        ("at_import", ["plan"]),
        ("at_import", ["run"]),
        ("validated", ["plan"]),
        ("validated", ["run"]),
        ("works", ["drivers", "show", "leaver.at_import"]),
        ("works", ["drivers", "show", "leaver.schema"]),
        ("works", ["left"]),
    ],
)
def test_who_leaves_is_broken(leaver, driver, command):
    leaver.pipeline({"id": "a", "driver": f"leaver.{driver}"})
    assert_broken(leaver(*command))


def test_it_is_an_error_as_json(leaver):
    leaver.pipeline({"id": "a", "driver": "leaver.validated"})
    ended = leaver("run", "--json")
    assert (ended.code, ended.json()["error"]["code"]) == (4, "plugin.broken")
    assert ended.json()["error"]["facts"]["model"] == "leaver.work:Validated"


def test_the_schema_of_all_others_is_given(leaver):
    ended = leaver("schema")
    assert ended.code == 0
    assert "leaver.schema" in json.dumps(ended.json())


def test_a_connection_whose_check_leaves_has_failed(leaver):
    ended = leaver("connections", "test", "@leaver.main")
    assert (ended.code, ended.out) == (5, "@leaver.main: failed: SystemExit: 0\n")


def test_a_check_looks_at_all_of_it(leaver):
    ended = leaver("plugins", "check", "leaver", "--json")
    assert ended.code != 0
    told = json.dumps(ended.json())
    assert "no schema today" in told
    assert "cannot validate" in told


@pytest.mark.parametrize(("fail", "code"), [(False, 0), (True, 5)])
def test_a_sink_that_leaves_is_dropped(leaver, fail, code):
    leaver.pipeline({"id": "a", "driver": "leaver.works", "config": {"fail": fail}})
    ended = leaver("run", "--json")
    assert ended.code == code
    result = ended.json()
    assert result["status"] == ("failed" if fail else "success")
    assert [text for text in result["warnings"] if "a sink failed" in text]


@pytest.mark.parametrize(
    ("name", "code", "told"), [("zero", 0, ""), ("three", 3, ""), ("text", 1, "no more\n"), ("none", 0, "")]
)
def test_a_command_of_a_plugin_may_end_as_programs_do(leaver, name, code, told):
    ended = leaver(name)
    assert (ended.code, ended.err) == (code, told)

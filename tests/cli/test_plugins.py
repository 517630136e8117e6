"""``osiris plugins show`` and ``check``, on the sample packages as wheels install them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.install


@pytest.fixture
def osiris(lab, sites):
    """The command, with some sites on the path; imports of ``acme_future`` leave a file."""

    def run(*arguments, beside=("good", "bad"), **env):
        path = os.pathsep.join(str(sites[name]) for name in beside)
        trace = str(lab.folder / "future-imported")
        return lab(*arguments, PYTHONPATH=path, ACME_FUTURE_IMPORTED=trace, **env)

    yield run
    assert not (lab.folder / "future-imported").exists()


def test_show_tells_all_about_a_plugin(osiris, sites):
    told = osiris("plugins", "show", "acme", "--json")
    assert told.code == 0, told.err
    shown = {plugin["group"]: plugin for plugin in told.json()["plugins"]}
    assert set(shown) == {"osiris.adapters", "osiris.drivers", "osiris.plugins"}
    drivers = shown["osiris.drivers"]
    assert (drivers["distribution"], drivers["version"], drivers["state"]) == ("acme-osiris", "1.2.0", "ok")
    assert (drivers["module"], drivers["installed"], drivers["origin"]) == ("acme.plugin", "wheel", str(sites["good"]))
    assert drivers["contract"]["requires"] == ">=1.0,<2"
    assert drivers["contract"]["fits"] is True
    assert drivers["offers"][0] == {
        "kind": "driver",
        "name": "acme.extractor",
        "summary": "Reads the result of a query from a SQLite file.",
    }
    assert [offer["name"] for offer in shown["osiris.adapters"]["offers"]] == ["acme"]
    assert {(offer["kind"], offer["name"]) for offer in shown["osiris.plugins"]["offers"]} == {
        ("plan_checks", "osiris_check_plan"),
        ("event_sinks", "osiris_event_sinks"),
        ("secret_scheme", "acme"),
        ("command", "acme"),
    }


def test_show_reads_well(osiris, sites):
    told = osiris("plugins", "show", "acme_osiris")  # by its package, however that is spelt
    assert told.code == 0, told.err
    for line in (
        "acme-osiris 1.2.0",
        f"  installed: wheel, in {sites['good']}",
        "  needs: osiris-core >=1.0,<2; this is 1.",
        "  driver acme (acme.plugin): ok",
        "    driver acme.writer: Writes rows into a table of a SQLite file.",
        "    command acme: Say what the acme plugin is.",
        "    secret scheme acme: One file for each secret",
    ):
        assert line in told.out


def test_show_says_that_ours_are_editable_or_wheels(osiris):
    (local,) = osiris("plugins", "show", "local", "--json").json()["plugins"]
    assert local["installed"] in ("editable", "wheel")
    assert Path(local["origin"]).is_dir()


@pytest.mark.parametrize(
    ("name", "state", "says"),
    [
        (
            "shaky",
            "broken",
            ["No module named 'a_module_that_nobody_has'", "pip install --force-reinstall acme-broken"],
        ),
        ("misspelt", "broken", ["did you mean 'osiris_drivers'?", "authors of acme-misspelt"]),
        (
            "future",
            "incompatible",
            ["needs: osiris-core >=2,<3", "it does not fit", "pip install --upgrade acme-future"],
        ),
    ],
)
def test_show_says_why_one_is_not_well_and_what_to_do(osiris, name, state, says):
    told = osiris("plugins", "show", name)
    assert told.code == 0, told.err
    assert f": {state}\n" in told.out
    for part in says:
        assert part in told.out


def test_show_names_both_twins(osiris):
    told = osiris("plugins", "show", "acme", beside=("good", "twin"))
    assert told.out.startswith("acme-osiris 1.2.0\n")
    assert "\n\nacme-twin 2.0\n" in told.out
    assert told.out.count("offered by acme-osiris 1.2.0 and by acme-twin 2.0; none of them is used") == 2


@pytest.mark.parametrize("command", ["show", "check"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("acmee", "did you mean 'acme'?"),
        ("acme-osirs", "did you mean 'acme-osiris'?"),
        ("zzzz", "'osiris plugins list' shows"),
    ],
)
def test_a_name_that_is_not_there_gets_a_suggestion(osiris, command, name, says):
    told = osiris("plugins", command, name)
    assert (told.code, told.out) == (4, "")
    assert says in told.err
    assert osiris("plugins", command, name, "--json").json()["error"]["code"] == "plugin.not_found"


def test_a_driver_leads_to_its_plugin(osiris):
    assert "driver acme (acme.plugin): ok" in osiris("plugins", "show", "acme.writer").out


def test_check_finds_nothing_wrong_with_a_good_one(osiris):
    told = osiris("plugins", "check", "acme", "--json")
    assert told.code == 0, told.out
    findings = told.json()["findings"]
    assert {finding["state"] for finding in findings} == {"ok"}, findings
    assert {finding["what"] for finding in findings} >= {
        "osiris-core",
        "module acme.plugin",
        "driver acme.extractor",
        "driver acme.writer",
        "adapter acme",
        "secret scheme acme",
        "command acme",
        "hook osiris_event_sinks",
        "hook osiris_check_plan",
    }


def test_check_finds_nothing_wrong_with_our_own(osiris):
    told = osiris("plugins", "check", beside=())
    assert told.code == 0, told.out
    assert {line.split()[0] for line in told.out.splitlines()} == {"ok"}, told.out


def test_check_of_all_says_what_is_broken_and_what_was_not_imported(osiris):
    told = osiris("plugins", "check")
    assert told.code == 4
    lines = told.out.splitlines()
    assert len([line for line in lines if line.startswith("fail ")]) == 3
    (shaky,) = [line for line in lines if line.startswith("fail") and "driver family shaky" in line]
    assert "ModuleNotFoundError: No module named 'a_module_that_nobody_has'" in shaky
    (bounds,) = [line for line in lines if line.startswith("fail") and "acme-future: osiris-core:" in line]
    assert "needs osiris-core >=2,<3; this is 1." in bounds
    (skipped,) = [line for line in lines if line.startswith("skipped")]
    assert skipped.endswith(
        "driver family future: acme_future.plugin was not imported: it is built for another osiris-core"
    )


def test_check_refuses_twins_without_importing_them(osiris):
    told = osiris("plugins", "check", "acme-twin", "--json", beside=("good", "twin"))
    assert (told.code, told.json()["status"]) == (4, "failed")
    (fail,) = [finding for finding in told.json()["findings"] if finding["state"] == "fail"]
    assert "offered by acme-osiris 1.2.0 and by acme-twin 2.0" in fail["message"]
    assert "acme_twin.plugin was not imported" in fail["message"]


def test_check_does_not_import_what_is_blocked(osiris):
    told = osiris("plugins", "check", "shaky", OSIRIS_PLUGINS_DENY="shaky")
    assert told.code == 0
    (skipped,) = [line for line in told.out.splitlines() if line.startswith("skipped")]
    assert "acme_broken.plugin was not imported" in skipped
    assert "blocked by OSIRIS_PLUGINS_DENY" in skipped


def test_check_of_a_command_that_cannot_be_imported(lab):
    told = lab("plugins", "check", "osiris-lab")
    assert told.code == 4
    assert (
        "command gone: plugin 'lab' (osiris-lab 1.0): command 'gone' (lab.nowhere:app) cannot be imported" in told.out
    )
    assert "command run: osiris has that command itself" in told.out
    assert "command greet: lab.greet:app is a typer app" in told.out

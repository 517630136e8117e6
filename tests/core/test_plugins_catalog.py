"""The catalogue on packages that are made on the spot: real metadata, real modules, every fault there is."""

from __future__ import annotations

import itertools
import sys
import textwrap
import threading

import pytest

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.driver import DriverRegistry
from osiris.core.errors import (
    PluginBrokenError,
    PluginConflictError,
    PluginError,
    PluginNotFoundError,
    PluginVersionError,
    UsageError,
)
from osiris.core.plugins import Catalog
from osiris.core.plugins.distributions import core_version

NUMBERS = itertools.count()


class Site:
    """A folder of installed packages."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def install(self, name, module="", *, version="1.0", requires=("osiris-core>=1,<2",), entries=None, folder=None):
        """A distribution with one module; gives the module's name, which no other one has."""
        package = f"sample_{name.replace('-', '_')}_{next(NUMBERS)}"
        place = folder or self.folder
        (place / f"{package}.py").write_text(textwrap.dedent(module))
        info = place / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n\nText.\n")
        groups = {"osiris.drivers": {"acme": package}} if entries is None else entries
        text = "".join(
            f"[{group}]\n" + "".join(f"{key} = {value.format(package)}\n" for key, value in points.items())
            for group, points in groups.items()
        )
        (info / "entry_points.txt").write_text(text)
        return package

    def catalog(self, **environment):
        return Catalog(path=[str(self.folder)], environment=environment)


@pytest.fixture
def site(tmp_path, monkeypatch):
    made = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(made.folder))
    return made


@pytest.fixture
def install_core(tmp_path, monkeypatch):
    """Put metadata of an ``osiris-core`` of some version before that of the real one."""

    def install(version):
        before = Site(tmp_path / "core")
        before.install("osiris-core", version=version, requires=(), entries={})
        monkeypatch.syspath_prepend(str(before.folder))
        core_version.cache_clear()
        assert core_version() == version

    yield install
    monkeypatch.undo()
    core_version.cache_clear()


DRIVERS = """
    from osiris.core.driver import DriverSpec
    from osiris.core.execution_adapter import AdapterSpec
    from osiris.core.hookspecs import hookimpl

    @hookimpl
    def osiris_drivers():
        return [DriverSpec(name="acme.shout", summary="Shouts.", factory=__name__ + ":Shout")]

    class Shout:
        def run(self, step_id, config, inputs, ctx):
            return {}
"""

ADAPTER = """
    from osiris.core.execution_adapter import AdapterSpec
    from osiris.core.hookspecs import hookimpl

    @hookimpl
    def osiris_adapters():
        return [AdapterSpec(name="acme", summary="A room.", factory=__name__ + ":Room")]

    class Room:
        def __init__(self, seats, light="on"):
            if light == "broken":
                raise OSError("no bulb")
            self.seats = seats
        def prepare(self, manifest, context): ...
        def execute(self, prepared, context): ...
        def collect(self, prepared, context): ...
"""


def spec(fields):
    """A module whose hook gives one DriverSpec with these fields."""
    return f"""
    from osiris.core.driver import DriverSpec
    from osiris.core.hookspecs import hookimpl

    @hookimpl
    def osiris_drivers():
        return [DriverSpec(**dict(name="acme.x", summary="", factory="json:JSONDecoder") | {fields})]
    """


def hook(body):
    """A module whose hook does something of its own."""
    return f"""
    from osiris.core.driver import DriverSpec
    from osiris.core.hookspecs import hookimpl

    @hookimpl
    def osiris_drivers():
        {body}
    """


def test_a_healthy_family(site):
    site.install("acme-osiris", DRIVERS)
    catalog = site.catalog()
    (entry,) = catalog.plugins()
    assert (entry.group, entry.name, entry.owner) == ("osiris.drivers", "acme", "acme-osiris 1.0")
    assert entry.origin == str(site.folder)
    assert catalog.describe_driver("acme.shout").summary == "Shouts."
    assert [spec.name for spec in catalog.driver_specs()] == ["acme.shout"]
    assert hasattr(catalog.load_driver("acme.shout")(), "run")
    assert catalog.distribution_of("acme") == catalog.distribution_of("acme.shout") == ("acme-osiris", "1.0")
    assert catalog.distribution_of("other") is None
    assert catalog.warnings() == []


FAULTS = {
    "import": ("import a_module_that_nobody_has", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
    "syntax": ("x = (", "SyntaxError: '(' was never closed"),
    "exit": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "raises": ("raise RuntimeError('first line\\nsecond')", "RuntimeError: first line"),
    "silent": ("raise RuntimeError", "RuntimeError at"),
    "unprintable": (
        "class E(Exception):\n    def __str__(self): raise SystemExit(0)\n    __repr__ = __str__\nraise E",
        "E: <E>",
    ),
    "nothing": ("", "has no hook osiris_drivers"),
    "unmarked": ("def osiris_drivers():\n    return []", "has no hook osiris_drivers"),
    "misspelt": (DRIVERS.replace("def osiris_drivers", "def osiris_divers"), "did you mean 'osiris_drivers'?"),
    "arguments": (DRIVERS.replace("osiris_drivers()", "osiris_drivers(wishes)"), "wishes"),
    "hook raises": (hook("return 1 / 0"), "its hook osiris_drivers raised: ZeroDivisionError"),
    "hook exits": (hook("raise SystemExit(1)"), "its hook osiris_drivers raised: SystemExit"),
    "hook gives None": (hook("return None"), "describes no driver"),
    "hook gives a spec": (hook("return DriverSpec(name='acme.x', summary='', factory='a:b')"), "a DriverSpec, not a"),
    "hook gives dicts": (hook("return [{'name': 'acme.x'}]"), "returned a dict among the DriverSpecs"),
    "no driver": (hook("return []"), "describes no driver of family 'acme'"),
    "twice": (hook("return [DriverSpec(name='acme.x', summary='', factory='a:b')] * 2"), "'acme.x' twice"),
    "other family": (spec({"name": "other.x"}), "a driver 'other.x', which is not of family 'acme'"),
    "no role": (spec({"name": "acme"}), "'acme', which is not of family"),
    "no text": (spec({"name": 3}), "name or summary is no text"),
    "factory": (spec({"factory": "acme.x"}), "must read 'package.module:Name'"),
    "model": (spec({"config_model": "acme.x"}), "config_model of 'acme.x' is 'acme.x'"),
    "form": (spec({"input_form": "polars"}), "input_form 'polars'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_family_is_told_with_its_cause_and_breaks_nothing_else(site, fault):
    module, says = FAULTS[fault]
    site.install("acme-osiris", module)
    healthy = DRIVERS.replace("acme.shout", "well.shout")
    site.install("well-osiris", healthy, entries={"osiris.drivers": {"well": "{}"}})
    catalog = site.catalog()
    with pytest.raises(PluginBrokenError) as caught:
        catalog.describe_driver("acme.x")
    assert "plugin 'acme' (acme-osiris 1.0)" in caught.value.message
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert [spec.name for spec in catalog.driver_specs()] == ["well.shout"]
    states = {report.name: (report.state, report.reason) for report in catalog.report()}
    assert states == {"acme": ("broken", caught.value.message), "well": ("ok", None)}
    assert catalog.warnings() == [caught.value.message]


@pytest.mark.parametrize(("fault", "line"), [("import", 1), ("syntax", 1), ("exit", 2), ("hook raises", 7)])
def test_the_place_of_a_fault_is_told(site, fault, line):
    package = site.install("acme-osiris", FAULTS[fault][0])
    with pytest.raises(PluginBrokenError) as caught:
        site.catalog().describe_driver("acme.x")
    assert caught.value.facts["place"] == f"{site.folder / package}.py:{line}"


def test_a_missing_dependency_is_told_apart_from_a_missing_module_of_its_own(site):
    site.install("acme-osiris", "import a_module_that_nobody_has")
    site.install("gone-osiris", entries={"osiris.drivers": {"gone": "a_plugin_that_is_gone.plugin"}})
    catalog = site.catalog()
    hints = {report.name: report.hint for report in catalog.report()}
    assert "'a_module_that_nobody_has' that acme-osiris needs" in hints["acme"]
    assert "needs" not in hints["gone"]


@pytest.mark.parametrize("value", ["", ".plugin", "not a module", "json:", "json:nobody", "json:decoder.nobody", "1"])
def test_an_entry_point_that_leads_nowhere_is_broken(site, value):
    site.install("acme-osiris", entries={"osiris.drivers": {"acme": value}})
    (report,) = site.catalog().report()
    assert report.state == "broken"
    assert "plugin 'acme' (acme-osiris 1.0)" in report.reason


def test_an_entry_point_may_name_an_object_and_extras(site):
    holder = (
        DRIVERS
        + """
    class Holder:
        osiris_drivers = staticmethod(osiris_drivers)
    """
    )
    site.install("acme-osiris", holder, entries={"osiris.drivers": {"acme": "{}:Holder [extra]"}})
    assert site.catalog().describe_driver("acme.shout").summary == "Shouts."


def test_the_same_error_is_a_new_object_each_time(site):
    site.install("acme-osiris", "raise RuntimeError('no')")
    catalog = site.catalog()
    caught = []
    for _ in range(2):
        with pytest.raises(PluginBrokenError) as info:
            catalog.describe_driver("acme.x")
        caught.append(info.value)
    assert caught[0] is not caught[1]
    assert isinstance(caught[1].__cause__, RuntimeError)


def test_ctrl_c_while_a_plugin_is_imported_is_no_fault_of_it(site):
    site.install("acme-osiris", "raise KeyboardInterrupt")
    catalog = site.catalog()
    with pytest.raises(KeyboardInterrupt):
        catalog.describe_driver("acme.x")
    assert catalog.warnings() == []


def test_what_a_plugin_prints_does_not_get_into_the_result(site, capsys):
    site.install("acme-osiris", DRIVERS + "\n    print('hello from acme')\n")
    site.catalog().describe_driver("acme.shout")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "hello from acme\n"


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("json:Nobody", "AttributeError: module 'json' has no attribute 'Nobody'"),
        ("a_module_that_nobody_has:X", "ModuleNotFoundError"),
        ("json:__name__", "not a class with run()"),
        ("json:JSONDecoder", "not a class with run()"),
    ],
)
def test_a_factory_that_leads_nowhere_is_found_when_it_is_loaded(site, factory, says):
    site.install("acme-osiris", spec({"factory": factory}))
    catalog = site.catalog()
    assert catalog.describe_driver("acme.x").factory == factory
    with pytest.raises(PluginBrokenError, match="driver 'acme\\.x'") as caught:
        catalog.load_driver("acme.x")
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("requires", "says"),
    [
        (["osiris-core>=2,<3"], "needs osiris-core >=2,<3; this is 1.0.0"),
        (["osiris_core (<1)"], "needs osiris-core <1; this is 1.0.0"),
        (["Osiris.Core[standard]>=1", "osiris-core>=1.5"], "needs osiris-core >=1.5"),
        (["osiris-core!=1.0.0; python_version >= '3.8'"], "needs osiris-core !=1.0.0"),
    ],
)
def test_the_fence_is_checked_before_anything_is_imported(site, install_core, requires, says):
    install_core("1.0.0")
    package = site.install("acme-osiris", DRIVERS, requires=requires)
    catalog = site.catalog()
    with pytest.raises(PluginVersionError) as caught:
        catalog.load_driver("acme.shout")
    assert f"plugin 'acme' (acme-osiris 1.0) {says}" in caught.value.message
    assert "pip install" in caught.value.hint
    assert package not in sys.modules
    assert catalog.report()[0].state == "incompatible"


@pytest.mark.parametrize(
    ("core", "requires"),
    [
        ("1.0.0", ["osiris-core>=1,<2", "pyarrow>=17"]),
        ("1.4.0rc1", ["osiris-core>=1,<2"]),
        ("1.0.0", ["osiris-core>=1", "osiris-core>=9; extra == 'next'", "osiris-core-extras>=9"]),
    ],
)
def test_the_fence_lets_through_what_fits(site, install_core, core, requires):
    install_core(core)
    site.install("acme-osiris", DRIVERS, requires=requires)
    (report,) = site.catalog().report()
    assert (report.state, report.warnings) == ("ok", ())


@pytest.mark.parametrize("requires", [[], ["osiris-core"], ["osiris-core @ https://example.org/core.whl"]])
def test_a_plugin_without_a_bound_is_used_with_a_warning(site, requires):
    site.install("acme-osiris", DRIVERS, requires=requires)
    (report,) = site.catalog().report()
    assert report.state == "ok"
    assert "acme-osiris 1.0 states no bound on osiris-core" in report.warnings[0]


def test_twins_are_refused(site):
    one = site.install("acme-osiris", DRIVERS)
    other = site.install("other-osiris", DRIVERS, version="3.1")
    catalog = site.catalog()
    with pytest.raises(PluginConflictError) as caught:
        catalog.load_driver("acme.shout")
    assert "acme-osiris 1.0 and by other-osiris 3.1" in caught.value.message
    assert {one, other}.isdisjoint(sys.modules)
    assert catalog.driver_families() == []
    assert [report.state for report in catalog.report()] == ["conflict", "conflict"]


def test_one_distribution_found_twice_is_no_twin(site, tmp_path, monkeypatch):
    first = tmp_path / "first"
    first.mkdir()
    monkeypatch.syspath_prepend(str(first))
    site.install("acme-osiris", "raise RuntimeError('the old one')", version="0.9")
    site.install("Acme_Osiris", DRIVERS, folder=first)
    catalog = Catalog(path=[str(first), str(site.folder)], environment={})
    (entry,) = catalog.plugins()
    assert (entry.version, entry.origin) == ("1.0", str(first))
    assert catalog.describe_driver("acme.shout")


def test_an_earlier_installation_without_entry_points_hides_a_later_one(site, tmp_path):
    first = tmp_path / "first"
    (first / "acme_osiris-2.0.dist-info").mkdir(parents=True)
    (first / "acme_osiris-2.0.dist-info" / "METADATA").write_text("Name: acme-osiris\nVersion: 2.0\n")
    site.install("acme-osiris", DRIVERS)
    assert Catalog(path=[str(first), str(site.folder)], environment={}).plugins() == []


def test_damaged_metadata_of_others_is_only_a_warning(site):
    site.install("acme-osiris", DRIVERS)
    damaged = site.folder / "damaged-1.dist-info"
    damaged.mkdir()
    (damaged / "entry_points.txt").write_bytes(b"[osiris.drivers]\n\xff\xfe = x\n")
    nameless = site.folder / "nameless-1.dist-info"
    nameless.mkdir()
    (nameless / "METADATA").write_text("Version: 1\n")
    (nameless / "entry_points.txt").write_text("[osiris.drivers]\nnameless = x\n")
    catalog = site.catalog()
    assert catalog.describe_driver("acme.shout")
    assert len(catalog.warnings()) == 2
    assert all(any(str(folder) in told for told in catalog.warnings()) for folder in (damaged, nameless))
    assert catalog.driver_families() == ["acme"]


def test_the_predecessor_is_reported(site):
    site.install("osiris-pipeline", entries={"console_scripts": {"osiris": "x:y"}})
    (warning,) = site.catalog().warnings()
    assert "pip uninstall osiris-pipeline" in warning


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("mysql.extractor", "driver 'mysql.extractor' is not installed", "pip install osiris-driver-mysql"),
        ("duckbd.processor", "no driver 'duckbd.processor'", "'duckdb.processor' (pip install osiris-driver-duckdb)"),
        ("acne.shout", "no driver 'acne.shout'", "did you mean 'acme.shout'? installed driver families: acme"),
        ("zzz", "no driver 'zzz'", "installed driver families: acme"),
        ("acme.shuot", "family 'acme' has no driver 'acme.shuot'", "did you mean 'acme.shout'? it has acme.shout"),
        ("acme", "'acme' is a driver family, not a driver", "it has acme.shout"),
    ],
)
def test_an_unknown_driver_is_told_with_what_was_meant(site, name, message, hint):
    site.install("acme-osiris", DRIVERS)
    with pytest.raises(PluginNotFoundError) as caught:
        site.catalog().describe_driver(name)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [("e2b", "pip install osiris-adapter-e2b"), ("locl", "did you mean 'local' (pip install osiris-adapter-local)?")],
)
def test_an_unknown_adapter_is_told_with_what_was_meant(site, name, hint):
    with pytest.raises(PluginNotFoundError) as caught:
        site.catalog().create_adapter(name, {})
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("environment", "state"),
    [
        ({}, "ok"),
        ({"OSIRIS_PLUGINS_DENY": ""}, "ok"),
        ({"OSIRIS_PLUGINS_DENY": "other, acme"}, "blocked"),
        ({"OSIRIS_PLUGINS_DENY": "Acme_Osiris"}, "blocked"),
        ({"OSIRIS_PLUGINS_DENY": "acme-*"}, "blocked"),
        ({"OSIRIS_PLUGINS_ALLOW": "osiris-*"}, "blocked"),
        ({"OSIRIS_PLUGINS_ALLOW": "acme"}, "ok"),
        ({"OSIRIS_PLUGINS_ALLOW": "acme-osiris", "OSIRIS_PLUGINS_DENY": "acme"}, "blocked"),
    ],
)
def test_who_runs_the_machine_says_what_is_imported(site, environment, state):
    package = site.install("acme-osiris", DRIVERS)
    catalog = site.catalog(**environment)
    assert [report.state for report in catalog.report()] == [state]
    assert (package in sys.modules) == (state == "ok")
    assert catalog.driver_families() == (["acme"] if state == "ok" else [])
    if state == "blocked":
        with pytest.raises(PluginError) as caught:
            catalog.load_driver("acme.shout")
        assert caught.value.code == "plugin.blocked"
        assert catalog.warnings() == []


def test_an_adapter_without_a_model_has_the_options_of_its_constructor(site):
    site.install("acme-osiris", ADAPTER, entries={"osiris.adapters": {"acme": "{}"}})
    catalog = site.catalog()
    assert catalog.create_adapter("acme", {"seats": "3"}).seats == "3"
    with pytest.raises(UsageError, match="no option 'seat'") as caught:
        catalog.create_adapter("acme", {"seat": "3"})
    assert "did you mean 'seats'?" in caught.value.hint
    with pytest.raises(UsageError, match="needs option 'seats'"):
        catalog.create_adapter("acme", {})
    with pytest.raises(PluginBrokenError, match=r"cannot be made: OSError: no bulb at .*:12"):
        catalog.create_adapter("acme", {"seats": "3", "light": "broken"})


def test_an_adapter_must_have_an_entry_point_of_its_name(site):
    site.install("acme-osiris", ADAPTER, entries={"osiris.adapters": {"other": "{}"}})
    with pytest.raises(PluginBrokenError, match="an adapter 'acme' that has no entry point"):
        site.catalog().describe_adapter("other")


def test_one_module_may_describe_several_families(site):
    two = DRIVERS.replace("return [", "return [DriverSpec(name='zeta.x', summary='', factory='a:b'), ")
    site.install("acme-osiris", two, entries={"osiris.drivers": {"acme": "{}", "zeta": "{}"}})
    catalog = site.catalog()
    assert [spec.name for spec in catalog.driver_specs()] == ["acme.shout", "zeta.x"]
    assert catalog.report()[0].offers == ("acme.shout",)


OTHERS = {"osiris.plugins": {"acme": "{}"}}


def test_wrong_answers_of_hooks_are_left_out_and_remembered(site):
    module = """
    from osiris.core.hookspecs import hookimpl

    @hookimpl
    def osiris_cli_commands():
        return {"good": ("Help.", "a.b:app"), "bad": "a.b:app"}

    @hookimpl
    def osiris_event_sinks(context):
        return [object()]

    @hookimpl
    def osiris_check_plan(plan):
        raise ValueError("no plan")

    @hookimpl
    def osiris_secret_resolvers():
        return ["vault"]
    """
    site.install("acme-osiris", module, entries=OTHERS)
    catalog = site.catalog()
    assert catalog.cli_commands() == {"good": ("Help.", "a.b:app")}
    for _ in range(2):  # each run hears of it
        assert catalog.event_sinks(None) == []
        (fault,) = catalog.faults("osiris_event_sinks")
        assert "its hook osiris_event_sinks returned a object, which is no sink" in fault
        (problem,) = catalog.plan_checks(None)
    assert catalog.secret_resolvers() == {}
    assert problem.severity == "warning"
    assert "its hook osiris_check_plan raised: ValueError: no plan" in problem.message
    assert len(catalog.warnings()) == 4
    (report,) = catalog.report()
    assert len(report.warnings) == 4
    assert report.offers == (
        "osiris_check_plan",
        "osiris_cli_commands",
        "osiris_event_sinks",
        "osiris_secret_resolvers",
    )


def test_what_two_plugins_offer_is_given_by_none(site):
    module = """
    from osiris.core.hookspecs import hookimpl

    @hookimpl
    def osiris_cli_commands():
        return {"same": ("Help.", "a.b:app")}

    @hookimpl
    def osiris_secret_resolvers():
        return {"vault": str.upper}
    """
    site.install("acme-osiris", module, entries=OTHERS)
    site.install("other-osiris", module, entries={"osiris.plugins": {"other": "{}"}})
    catalog = site.catalog()
    assert catalog.cli_commands() == {}
    with pytest.raises(PluginConflictError, match=r"acme-osiris 1\.0 and by other-osiris 1\.0"):
        catalog.secret_resolvers()["vault"]("x")


def test_a_described_driver_family_answers_hooks_too(site):
    more = """
    @hookimpl
    def osiris_secret_resolvers():
        return {"vault": str.upper}
    """
    site.install("acme-osiris", DRIVERS + more)
    catalog = site.catalog()
    assert catalog.secret_resolvers() == {}
    catalog.describe_driver("acme.shout")
    assert catalog.secret_resolvers()["vault"]("x") == "X"


def test_many_threads_describe_a_family_once(site, tmp_path):
    trace = tmp_path / "trace"
    site.install("acme-osiris", DRIVERS + f"\n    with open({str(trace)!r}, 'a') as file:\n        file.write('x')\n")
    catalog = site.catalog()
    ready = threading.Barrier(8)
    found = []

    def describe():
        ready.wait()
        found.append(catalog.describe_driver("acme.shout"))

    threads = [threading.Thread(target=describe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert trace.read_text() == "x"


def test_the_registries_look_names_up_in_the_catalogue(site, monkeypatch):
    site.install("acme-osiris", DRIVERS)
    site.install("room-osiris", ADAPTER, entries={"osiris.adapters": {"acme": "{}"}})
    Catalog.reset()
    try:
        assert DriverRegistry.spec("acme.shout").summary == "Shouts."
        assert "acme.shout" in DriverRegistry.list_drivers()
        assert hasattr(DriverRegistry.get("acme.shout"), "run")
        assert "acme" in AdapterFactory.available()
        assert AdapterFactory.create("acme", seats=2).seats == 2
        assert Catalog.current() is Catalog.current()
    finally:
        Catalog.reset()

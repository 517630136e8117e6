"""Adapters and drivers registered at run time: objects, classes and functions, and what is refused."""

from __future__ import annotations

import pytest

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.driver import Driver, DriverLike, DriverRegistry, DriverSpec
from osiris.core.errors import DriverError, PluginBrokenError, PluginNotFoundError, UsageError
from osiris.core.execution_adapter import ExecutionAdapter, ExecutionContext, PreparedRun
from osiris.core.lifecycle import run_pipeline


class Shout:
    def run(self, step_id, config, inputs, ctx):
        return {}


class CustomAdapter(ExecutionAdapter):
    def __init__(self, region="eu"):
        self.region = region

    def prepare(self, manifest, context):
        return PreparedRun(manifest=manifest, artifacts_dir=context.artifacts_dir)

    def execute(self, prepared, context):
        for step in prepared.manifest["steps"]:
            DriverRegistry().get(step["driver"]).run(step["id"], step["config"], {}, context)

    def collect(self, prepared, context):
        return {"status": "success", "steps_completed": len(prepared.manifest["steps"])}


# --- drivers


def test_an_object_is_shared(register):
    driver = Shout()
    register("test.shout", driver)
    assert DriverRegistry().get("test.shout") is driver
    assert DriverRegistry.get("test.shout") is driver
    assert DriverRegistry.is_shared("test.shout")


@pytest.mark.parametrize("source", [Shout, lambda: Shout()], ids=["class", "function"])
def test_a_class_or_function_makes_a_new_one(register, source):
    register("test.shout", source)
    one, two = DriverRegistry.get("test.shout"), DriverRegistry.get("test.shout")
    assert isinstance(one, Shout)
    assert one is not two
    assert not DriverRegistry.is_shared("test.shout")


def test_registries_are_one(register):
    register("test.shout", Shout)
    assert "test.shout" in DriverRegistry().list_drivers()
    assert "test.shout" in DriverRegistry.list_drivers()
    DriverRegistry().unregister("test.shout")
    assert "test.shout" not in DriverRegistry().list_drivers()
    DriverRegistry.unregister("test.shout")


def test_registering_again_replaces(register):
    register("test.shout", Shout)
    later = Shout()
    register("test.shout", later)
    assert DriverRegistry.get("test.shout") is later
    assert DriverRegistry.list_drivers().count("test.shout") == 1


def test_names_are_sorted(register):
    for name in ("test.b", "test.a", "acme.z"):
        register(name, Shout)
    names = DriverRegistry.list_drivers()
    assert names == sorted(names)


def test_a_driver_that_says_nothing_takes_anything(register):
    register("test.shout", Shout())
    spec = DriverRegistry.spec("test.shout")
    assert (spec.name, spec.family, spec.input_form, spec.outputs) == ("test.shout", "test", "pandas", ("df",))
    assert (spec.input_names, spec.min_inputs, spec.max_inputs, spec.config_model) == (None, 0, None, None)
    assert spec.factory.endswith(":Shout")


def test_a_driver_may_bring_its_spec_or_be_given_one(register):
    class Spoken(Shout):
        spec = DriverSpec(name="test.spoken", summary="speaks", factory="", input_form="stream")

    register("test.spoken", Spoken)
    assert DriverRegistry.spec("test.spoken").input_form == "stream"
    DriverRegistry.register("test.spoken", Spoken, spec=DriverSpec(name="test.spoken", summary="given", factory=""))
    assert DriverRegistry.spec("test.spoken").summary == "given"


@pytest.mark.parametrize("source", [3, "package:Class", None, object(), {}])
def test_what_cannot_run_is_refused(source):
    with pytest.raises(PluginBrokenError, match=r"'test\.bad'") as caught:
        DriverRegistry.register("test.bad", source)
    assert "run(" in caught.value.hint
    assert "test.bad" not in DriverRegistry.list_drivers()


@pytest.mark.parametrize("name", [None, 5, "", " ", "two words", b"test.x"])
def test_what_no_step_can_name_is_refused(name):
    with pytest.raises(UsageError, match="cannot be registered") as caught:
        DriverRegistry.register(name, Shout())
    assert caught.value.hint
    assert name not in DriverRegistry.list_drivers()


@pytest.mark.parametrize("spec", [{}, {"name": "test.bad"}, 0, DriverSpec(name="test.other", summary="", factory="")])
def test_a_spec_that_is_not_the_drivers_is_refused(spec):
    class Spoken(Shout):
        pass

    with pytest.raises(UsageError, match=r"the spec of driver 'test\.bad'"):
        DriverRegistry.register("test.bad", Shout(), spec=spec)
    Spoken.spec = spec
    with pytest.raises(UsageError, match=r"the spec of driver 'test\.bad'"):
        DriverRegistry.register("test.bad", Spoken)
    assert "test.bad" not in DriverRegistry.list_drivers()


def test_a_function_that_makes_something_else_is_told(register):
    register("test.bad", lambda: object())
    with pytest.raises(PluginBrokenError, match="no run"):
        DriverRegistry.get("test.bad")


@pytest.mark.parametrize("ask", [DriverRegistry.get, DriverRegistry.spec])
def test_an_unknown_driver_is_told(ask):
    with pytest.raises(PluginNotFoundError, match=r"nowhere\.driver") as caught:
        ask("nowhere.driver")
    assert caught.value.hint


def test_the_base_class(context):
    with pytest.raises(DriverError, match="Driver has no run") as caught:
        Driver().run("a", {}, {}, context)
    assert caught.value.code == "driver.contract"
    assert Driver().check({}, context) is None
    Driver().close()
    assert isinstance(Driver(), DriverLike)
    assert isinstance(Shout(), DriverLike)


# --- adapters


@pytest.mark.parametrize(
    "source", [CustomAdapter, lambda **options: CustomAdapter(**options)], ids=["class", "function"]
)
def test_an_adapter_is_made_new_with_its_options(register_adapter, source):
    register_adapter("custom", source)
    one, two = AdapterFactory.create("custom", region="us"), AdapterFactory.create("custom")
    assert (one.region, two.region) == ("us", "eu")
    assert one is not two
    assert "custom" in AdapterFactory.available()
    assert AdapterFactory().available() == sorted(AdapterFactory.available())


def test_an_adapter_can_be_taken_back(register_adapter):
    register_adapter("custom", CustomAdapter)
    AdapterFactory.unregister("custom")
    AdapterFactory.unregister("custom")
    assert "custom" not in AdapterFactory.available()
    with pytest.raises(PluginNotFoundError, match="custom"):
        AdapterFactory.create("custom")


def test_the_spec_of_an_adapter_of_the_run(register_adapter):
    register_adapter("custom", CustomAdapter)
    spec = AdapterFactory.spec("custom")
    assert (spec.name, spec.remote) == ("custom", False)
    assert spec.factory.endswith(":CustomAdapter")


@pytest.mark.parametrize("source", [3, None, CustomAdapter(), object, type("Half", (), {"prepare": 1, "execute": 1})])
def test_what_is_no_adapter_is_refused(source):
    with pytest.raises(PluginBrokenError, match="'bad'"):
        AdapterFactory.register("bad", source)
    assert "bad" not in AdapterFactory.available()


@pytest.mark.parametrize("name", [None, 5, "", " "])
def test_what_no_adapter_can_be_called_is_refused(name):
    with pytest.raises(UsageError, match="cannot be registered"):
        AdapterFactory.register(name, CustomAdapter)
    assert name not in AdapterFactory.available()


@pytest.mark.parametrize("ask", [AdapterFactory.create, AdapterFactory.spec])
def test_an_unknown_adapter_is_told(ask):
    with pytest.raises(PluginNotFoundError, match="nowhere") as caught:
        ask("nowhere")
    assert caught.value.hint


# --- the code of the guides


GUIDE_MANIFEST = {
    "version": "1.0.0",
    "steps": [{"id": "test_step", "driver": "test.driver", "config": {"test": True}}],
}


def test_a_custom_adapter_as_the_guide_writes_it(tmp_path, register, register_adapter):
    seen = []

    class TestDriver:
        def run(self, step_id, config, inputs, ctx):
            seen.append((step_id, config))
            return {}

    register("test.driver", TestDriver())
    register_adapter("custom", CustomAdapter)
    adapter = AdapterFactory.create("custom")
    context = ExecutionContext(session_id="test", artifacts_dir=tmp_path)
    prepared = adapter.prepare(GUIDE_MANIFEST, context)
    adapter.execute(prepared, context)
    results = adapter.collect(prepared, context)
    assert (results["status"], results["steps_completed"]) == ("success", 1)
    assert seen == [("test_step", {"test": True})]


@pytest.mark.parametrize("adapter", ["local", "custom"])
def test_the_guides_manifest_on_both_adapters(tmp_path, register, register_adapter, adapter):
    register("test.driver", Shout())
    register_adapter("custom", CustomAdapter)
    context = ExecutionContext("test", tmp_path, base_dir=tmp_path)
    result = run_pipeline(AdapterFactory.create(adapter), GUIDE_MANIFEST, context, adapter_name=adapter)
    assert (result.status, result.steps_completed, result.steps_total) == ("success", 1, 1)


def test_the_local_adapter_phase_by_phase(tmp_path, register):
    register("test.driver", Shout())
    adapter = AdapterFactory.create("local")
    context = ExecutionContext("test", tmp_path, base_dir=tmp_path)
    prepared = adapter.prepare(GUIDE_MANIFEST, context)
    adapter.execute(prepared, context)
    results = adapter.collect(prepared, context)
    adapter.close()
    assert results["status"] == "success"
    assert results["steps_completed"] == 1

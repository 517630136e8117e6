"""What a spec promises, kept? Classes load and can be made, models are models, examples are valid."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from osiris.core.driver import DriverSpec
from osiris.core.errors import PluginError
from osiris.core.execution_adapter import AdapterSpec
from osiris.core.parsing import read_requirement
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.plugins.findings import Finding, Subject
from osiris.core.plugins.loading import broken, load_object, misfit
from osiris.core.plugins.quiet_pydantic import without_pydantic_plugins

if TYPE_CHECKING:
    from osiris.core.plugins.catalog import Catalog

__all__ = ["check_adapter", "check_driver"]

_FOR_AUTHORS = "this is for the authors of the package to put right"


def check_driver(catalog: Catalog, entry: PluginEntry, spec: DriverSpec) -> Iterator[Finding]:
    """Look at one driver; where nothing is wrong, one finding says what was looked at."""
    what = f"driver {spec.name}"
    wrong = [
        *_check_factory(Subject(entry, what, "factory"), lambda: _driver_fault(catalog.load_driver(spec.name))),
        *_check_example(entry, what, spec),
        *_check_model(Subject(entry, what, "connection_model"), spec.connection_model),
        *_check_shape(Subject(entry, what, "shape"), spec),
        *_check_needs(Subject(entry, what, "needs"), spec.needs),
    ]
    yield from wrong
    if not wrong:
        models = [name for name in ("config_model", "connection_model") if getattr(spec, name) is not None]
        looked = ["its class", *(f"its {name.replace('_', ' ')}" for name in models), "its example"]
        yield Subject(entry, what, "factory").ok(f"{', '.join(looked[:-1])} and {looked[-1]} are right")


def check_adapter(catalog: Catalog, entry: PluginEntry, spec: AdapterSpec) -> Iterator[Finding]:
    """Look at one adapter; where nothing is wrong, one finding says what was looked at."""
    what = f"adapter {spec.name}"
    model = _loaded(entry, spec.options_model)
    wrong = [
        *_check_model(Subject(entry, what, "options_model"), spec.options_model),
        *_check_factory(
            Subject(entry, what, "factory"), lambda: _adapter_fault(catalog.load_adapter(spec.name), model)
        ),
    ]
    yield from wrong
    if not wrong:
        options = " and its options model are" if spec.options_model else " is"
        yield Subject(entry, what, "factory").ok(f"its class{options} right")


def _check_factory(subject: Subject, fault: Callable[[], str | None]) -> Iterator[Finding]:
    try:
        told = fault()
    except PluginError as error:
        yield subject.fail(error)
        return
    if told is not None:
        yield subject.wrong(told, hint=_FOR_AUTHORS)


def _driver_fault(maker: Callable[..., Any]) -> str | None:
    if not _takes(maker):
        return "its factory cannot be called without arguments; a driver is made for each step, with none"
    run = getattr(maker, "run", None)
    if isinstance(maker, type) and not _takes(run, None, "step", {}, {}, None):
        return "its run does not take (step_id, config, inputs, ctx)"
    return None


def _adapter_fault(maker: Callable[..., Any], model: Any) -> str | None:
    left = sorted(getattr(maker, "__abstractmethods__", ()))
    if left:
        return f"its class does not define {', '.join(left)}"
    for phase, arguments in (("prepare", 2), ("execute", 2), ("collect", 2), ("close", 0)):
        method = getattr(maker, phase, None)
        if isinstance(maker, type) and not _takes(method, None, *[None] * arguments):
            return f"its {phase} is missing or takes other arguments than osiris.core.execution_adapter says"
    unknown = [name for name in getattr(model, "model_fields", {}) if not _takes_option(maker, name)]
    return f"its constructor does not take {', '.join(unknown)}, which its options model has" if unknown else None


def _takes(function: Any, *arguments: Any) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # made in C: it keeps its signature to itself
        return True
    return True


def _takes_option(maker: Callable[..., Any], name: str) -> bool:
    try:
        inspect.signature(maker).bind_partial(**{name: None})
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _check_model(subject: Subject, reference: str | None) -> Iterator[Finding]:
    """Can the model be imported, is it a pydantic model, and can tools make a schema of it?"""
    if reference is None:
        return
    try:
        _schema(subject.entry, reference, subject.rule)
    except PluginError as error:
        yield subject.fail(error)


def _schema(entry: PluginEntry, reference: str, rule: str) -> tuple[Any, dict[str, Any]]:
    from pydantic import BaseModel

    what = f"its {rule.replace('_', ' ')}"
    with without_pydantic_plugins():
        model = load_object(reference, entry, what)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise misfit(entry, f"{what} ({reference}) is no pydantic model")
        try:
            return model, model.model_json_schema()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too, as for all that is a plugin's
            raise broken(entry, f"{what} ({reference}) has no JSON Schema", error) from error


def _loaded(entry: PluginEntry, reference: str | None) -> Any:
    if reference is None:
        return None
    try:
        return _schema(entry, reference, "options_model")[0]
    except PluginError:
        return None  # said by the check of the model itself


def _check_example(entry: PluginEntry, what: str, spec: DriverSpec) -> Iterator[Finding]:
    """The config model, and that the example, which people paste, is valid for it."""
    if spec.config_model is None:
        return
    subject = Subject(entry, what, "config_model")
    try:
        model, schema = _schema(entry, spec.config_model, "config_model")
    except PluginError as error:
        yield subject.fail(error)
        return
    closed = schema.get("additionalProperties") is False
    if spec.connection_family is not None and closed and "connection" not in schema.get("properties", {}):
        yield subject.wrong(
            f"it has connection family {spec.connection_family!r}, but its config model knows no option 'connection'",
            hint="add the field connection to the model",
        )
    undescribed = [name for name, part in schema.get("properties", {}).items() if not part.get("description")]
    if undescribed:
        hint = "write Field(description=\"...\"); editors and 'osiris drivers show' tell it"
        yield Subject(entry, what, "described").warn(
            f"options without a description: {', '.join(undescribed)}", hint=hint
        )
    subject = Subject(entry, what, "example")
    if not spec.example and schema.get("required"):
        yield subject.warn("it has no example", hint="give DriverSpec.example a config that can be pasted")
        return
    from pydantic import ValidationError

    try:
        with without_pydantic_plugins():
            model.model_validate(dict(spec.example))
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'config'}: {item['msg']}" for item in error.errors(include_url=False)
        )
        yield subject.wrong(f"its example is not valid for its config model: {mistakes}", hint=_FOR_AUTHORS)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        yield subject.fail(broken(entry, f"its config model ({spec.config_model}) cannot validate", error))


def _check_shape(subject: Subject, spec: DriverSpec) -> Iterator[Finding]:
    """Do the numbers of inputs and the role go together?"""
    most = spec.max_inputs
    if most is not None and spec.min_inputs > most:
        yield subject.wrong(f"it needs {spec.min_inputs} inputs but takes at most {most}", hint=_FOR_AUTHORS)
    if spec.role == "extractor" and most != 0:
        yield subject.warn("it is an extractor that takes inputs", hint="state max_inputs=0, or another role")
    if spec.role == "writer" and most is None and spec.min_inputs == 0:
        yield subject.warn("it is a writer that needs no input", hint="state min_inputs=1")


def _check_needs(subject: Subject, needs: tuple[str, ...]) -> Iterator[Finding]:
    for line in needs:
        if read_requirement(line) is None:
            yield subject.wrong(f"{line!r} among its needs is no requirement", hint="write it as pip takes it")

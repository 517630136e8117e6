"""The few hooks a package can implement. Hooks answer questions; they never run around a step.

A driver family is an entry point of group ``osiris.drivers`` (its name: the family), an adapter one of
``osiris.adapters`` (its name: the adapter's); everything else goes into group ``osiris.plugins``. All of them
point at a light module, by convention ``plugin.py``, that imports only the standard library and the
contract::

    # acme/plugin.py, with  [project.entry-points."osiris.drivers"]  acme = "acme.plugin"
    from osiris.core.driver import DriverSpec
    from osiris.core.hookspecs import hookimpl

    @hookimpl
    def osiris_drivers():
        return [DriverSpec(name="acme.extractor", summary="...", factory="acme.extractor:Extractor")]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy

from osiris.core.driver import DriverSpec
from osiris.core.errors import Problem
from osiris.core.events.bus import Sink
from osiris.core.execution_adapter import AdapterSpec, ExecutionContext

if TYPE_CHECKING:
    from osiris.core.planning import Plan

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "osiris"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def osiris_adapters() -> Sequence[AdapterSpec]:
    """The adapters of this package. Asked when one is described; must not import them."""
    return ()


@hookspec
def osiris_drivers() -> Sequence[DriverSpec]:
    """The drivers of this family. Asked when one is described; must not import them."""
    return ()


@hookspec
def osiris_event_sinks(context: ExecutionContext) -> Sequence[Sink]:
    """Sinks that should hear this run. Asked once, before its first event."""
    return ()


@hookspec
def osiris_check_plan(plan: Plan) -> Sequence[Problem]:
    """Further checks of a plan. Asked at the end of planning; problems join the report.

    A step's ``config`` and ``connection`` (what its connection says; None where connections were not looked up) hold
    secrets as ``${...}`` references only. Problems of severity ``error`` refuse the plan, ``warning`` join it.
    """
    return ()


@hookspec
def osiris_secret_resolvers() -> Mapping[str, Callable[[str], str]]:
    """Schemes of ``${scheme:rest}`` references: each a function from ``rest`` to the value.

    Asked when a reference with an unknown scheme is met. A function raises ``KeyError`` for no such secret.
    """
    return {}


@hookspec
def osiris_cli_commands() -> Mapping[str, tuple[str, str]]:
    """Commands of ``osiris``: name to (one-line help, ``package.module:typer_app``). Asked by ``osiris --help``."""
    return {}

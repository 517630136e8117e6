"""The catalogue: every installed plugin by name, at the depth that is asked for."""

from __future__ import annotations

import copy
import importlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from osiris.core.driver import Driver, DriverSpec
from osiris.core.errors import OsirisError, PluginError
from osiris.core.execution_adapter import AdapterSpec, ExecutionAdapter, ExecutionContext
from osiris.core.plugins import answers, missing
from osiris.core.plugins.descriptions import described_adapter, described_drivers
from osiris.core.plugins.distributions import ADAPTERS, DRIVERS, OTHERS, PluginEntry, core_version, scan
from osiris.core.plugins.fence import check_fence
from osiris.core.plugins.hooks import Hooks
from osiris.core.plugins.loading import broken, load_object, misfit
from osiris.core.plugins.options import bound_options, validated_options
from osiris.core.plugins.permission import Permission
from osiris.core.plugins.quiet_pydantic import without_pydantic_plugins
from osiris.core.plugins.report import BLOCKED_CODE, PluginReport, report_on

__all__ = ["Catalog"]


class Catalog:
    """Installed plugins, at three depths.

    * *Listed*: names and versions, from metadata; nothing of a plugin is imported.
    * *Described*: its light module (``plugin.py``) is imported and its hooks have answered. Before that,
      permission and the version fence are checked.
    * *Loaded*: the class itself is imported.

    What is broken is remembered as broken and raises only where it is asked for. Thread-safe; all lists are sorted.

    Args:
        path: Folders to look into; default ``sys.path``.
        environment: Where ``OSIRIS_PLUGINS_ALLOW`` and ``OSIRIS_PLUGINS_DENY`` are looked up; default ``os.environ``.
    """

    _current: ClassVar[Catalog | None] = None
    _current_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, *, path: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> None:
        found = scan(path)
        self._entries = found.entries
        self._environment_warnings = found.warnings
        self._permission = Permission.from_environment(os.environ if environment is None else environment)
        self._lock = threading.RLock()
        self._hooks = Hooks()
        self._specs: dict[PluginEntry, tuple[Any, ...] | PluginError] = {}
        self._notes: dict[PluginEntry, str] = {}
        self._faults: dict[tuple[PluginEntry, str], PluginError] = {}

    @classmethod
    def current(cls) -> Catalog:
        """The process's own catalogue; the environment is looked at once."""
        with cls._current_lock:
            if cls._current is None:
                cls._current = cls()
            return cls._current

    @classmethod
    def reset(cls) -> None:
        """Look at the environment again when next asked. Modules that were imported stay so."""
        with cls._current_lock:
            importlib.invalidate_caches()
            cls._current = None

    # listed

    def plugins(self) -> list[PluginEntry]:
        """Every entry point that is installed, healthy or not."""
        return list(self._entries)

    def adapter_names(self) -> list[str]:
        """The installed adapters that may be used, twins left out."""
        return self._names(ADAPTERS)

    def driver_families(self) -> list[str]:
        """The installed driver families that may be used, twins left out."""
        return self._names(DRIVERS)

    def distribution_of(self, name: str) -> tuple[str, str] | None:
        """Name and version of the distribution that brings a driver, a driver family or an adapter; None: nobody."""
        wanted = ((DRIVERS, name.partition(".")[0]), (ADAPTERS, name))
        for group, key in wanted:
            for entry in self._allowed(group, key):
                return entry.distribution, entry.version
        return None

    def warnings(self) -> list[str]:
        """What is wrong with the environment, and what broke so far; says nothing of plugins nobody asked for."""
        with self._lock:
            faults = [*self._specs.values(), *self._faults.values()]
        told = [fault.message for fault in faults if isinstance(fault, PluginError) and fault.code != BLOCKED_CODE]
        return sorted({*self._environment_warnings, *told})

    def environment_warnings(self) -> list[str]:
        """What is wrong with the environment itself; no plugin is imported for it."""
        return list(self._environment_warnings)

    # described

    def describe_driver(self, name: str) -> DriverSpec:
        """What driver ``family.role`` says of itself.

        Raises:
            PluginNotFoundError: No such family is installed (says what to install), or it has no such driver.
            PluginBrokenError: The family is installed but cannot be used.
            PluginVersionError: It is built for another osiris-core.
            PluginConflictError: Two distributions offer the family.
        """
        family = name.partition(".")[0]
        specs = self._described(self._entry(DRIVERS, family, asked=name))
        for spec in specs:
            if spec.name == name:
                return spec  # type: ignore[no-any-return]  # of a family's entry, always DriverSpec
        raise missing.driver_of_family(name, [spec.name for spec in specs])

    def driver_specs(self) -> list[DriverSpec]:
        """All drivers of all healthy families."""
        return [spec for name in self.driver_families() for spec in self._described_or_none(DRIVERS, name)]

    def describe_adapter(self, name: str) -> AdapterSpec:
        """What an adapter says of itself; errors as for :meth:`describe_driver`."""
        return self._described(self._entry(ADAPTERS, name, asked=name))[0]  # type: ignore[no-any-return]  # its one spec

    def report(self) -> list[PluginReport]:
        """Describe everything and say how it is; never raises for a plugin's fault."""
        return [self._report(entry) for entry in self._entries]

    def describe(self, entry: PluginEntry) -> tuple[DriverSpec | AdapterSpec | str, ...]:
        """What one entry point offers: the specs of its drivers or its adapter, else the names of its hooks.

        Raises:
            PluginError: As for :meth:`describe_driver`; blocked too.
        """
        return self._described(entry)

    # loaded

    def load_driver(self, name: str) -> Callable[[], Driver]:
        """The class of a driver.

        Raises:
            PluginError: As for :meth:`describe_driver`; broken too where its code cannot be imported.
        """
        spec = self.describe_driver(name)
        entry = self._entry(DRIVERS, spec.family, asked=name)
        maker = load_object(spec.factory, entry, f"driver {name!r}")
        if not callable(maker) or (isinstance(maker, type) and not hasattr(maker, "run")):
            raise misfit(entry, f"the factory of driver {name!r} ({spec.factory}) is not a class with run()")
        return maker  # type: ignore[no-any-return]  # whatever the plugin's class is

    def load_adapter(self, name: str) -> Callable[..., ExecutionAdapter]:
        """The class of an adapter; errors as for :meth:`load_driver`."""
        spec = self.describe_adapter(name)
        entry = self._entry(ADAPTERS, name, asked=name)
        maker = load_object(spec.factory, entry, f"adapter {name!r}")
        phases = ("prepare", "execute", "collect")
        if not callable(maker) or (isinstance(maker, type) and not all(hasattr(maker, phase) for phase in phases)):
            raise misfit(entry, f"the factory of adapter {name!r} ({spec.factory}) is not a class with its phases")
        return maker  # type: ignore[no-any-return]  # whatever the plugin's class is

    def create_adapter(self, name: str, options: Mapping[str, Any]) -> ExecutionAdapter:
        """A new adapter for one run.

        Raises:
            PluginError: As for :meth:`load_driver`; broken too where its constructor raises.
            UsageError: It does not take these options. Found before the adapter itself is imported where it
                states an options model.
        """
        spec = self.describe_adapter(name)
        entry = self._entry(ADAPTERS, name, asked=name)
        if spec.options_model is not None:
            with without_pydantic_plugins():
                model = load_object(spec.options_model, entry, f"the options model of adapter {name!r}")
            if not hasattr(model, "model_validate"):
                raise misfit(
                    entry, f"the options model of adapter {name!r} ({spec.options_model}) is no pydantic model"
                )
            options = validated_options(name, model, options)
        maker = self.load_adapter(name)
        if spec.options_model is None:
            options = bound_options(name, maker, options)
        try:
            return maker(**options)
        except (OsirisError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit too
            raise broken(entry, f"adapter {name!r} cannot be made", error) from error

    # hooks

    def hook(self, name: str, **arguments: Any) -> list[tuple[PluginEntry, Any]]:
        """Ask a hook of every plugin of group ``osiris.plugins`` and of every other one already described.

        Returns:
            Each answer with who gave it. A plugin that cannot answer is left out and joins :meth:`warnings`.
        """
        found: list[tuple[PluginEntry, Any]] = []
        with self._lock:
            asked: set[str] = set()
            for entry in self._willing():
                if entry.value in asked:
                    continue
                asked.add(entry.value)
                try:
                    found += [(entry, answer) for answer in self._hooks.ask(entry, name, **arguments)]
                except PluginError as error:
                    self.note_fault(entry, name, error)
        return found

    def hooks_of(self, entry: PluginEntry) -> list[str]:
        """The hooks that an entry point's module implements; raises as :meth:`describe`."""
        self._described(entry)
        return self._hooks.implemented(entry)

    def ask(self, entry: PluginEntry, name: str, **arguments: Any) -> list[Any]:
        """Ask a hook of one entry point's module alone: no answer or one. Raises as :meth:`describe`."""
        self._described(entry)
        with self._lock:
            return self._hooks.ask(entry, name, **arguments)

    def event_sinks(self, context: ExecutionContext) -> list[Any]:
        """The sinks that plugins want to hear this run; what they answered wrongly is told by :meth:`faults`."""
        return answers.event_sinks(self, context)

    def plan_checks(self, plan: Any) -> list[Any]:
        """What plugins find wrong with a plan, as Problems; a check that raises becomes a warning."""
        return answers.plan_checks(self, plan)

    def secret_resolvers(self) -> dict[str, Callable[[str], str]]:
        """The ``${scheme:rest}`` schemes of plugins; one that two plugins offer raises when it is used."""
        return answers.secret_resolvers(self)

    def cli_commands(self) -> dict[str, tuple[str, str]]:
        """Commands of plugins: name to (help, import string); one that two plugins offer is left out."""
        return answers.cli_commands(self)

    def faults(self, hook: str) -> list[str]:
        """What went wrong when a hook was asked."""
        with self._lock:
            return sorted(error.message for (_, name), error in self._faults.items() if name == hook)

    def forget_faults(self, hook: str) -> None:
        """A hook is asked anew: what it did the last time is past."""
        with self._lock:
            self._faults = {key: error for key, error in self._faults.items() if key[1] != hook}

    def note_fault(self, entry: PluginEntry, hook: str, error: PluginError) -> None:
        """Remember that a plugin's hook failed, for :meth:`warnings` and :meth:`report`."""
        with self._lock:
            self._faults.setdefault((entry, hook), error)

    # how it is done

    def _names(self, group: str) -> list[str]:
        names = {entry.name for entry in self._entries if entry.group == group}
        return sorted(name for name in names if len(self._allowed(group, name)) == 1)

    def _allowed(self, group: str, name: str) -> list[PluginEntry]:
        return [entry for entry in self._all(group, name) if self._permission.refuses(entry) is None]

    def _all(self, group: str, name: str) -> list[PluginEntry]:
        return [entry for entry in self._entries if (entry.group, entry.name) == (group, name)]

    def _entry(self, group: str, name: str, *, asked: str) -> PluginEntry:
        """The one plugin of that name that may be used."""
        entries = self._all(group, name)
        if not entries:
            installed = self.driver_families() if group == DRIVERS else self.adapter_names()
            raise missing.plugin(group, asked, installed)
        for entry in entries:
            self._refuse(entry, unless_twin=len(entries) > 1)
        return self._allowed(group, name)[0]

    def _refuse(self, entry: PluginEntry, *, unless_twin: bool = False) -> None:
        """Raise where the plugin is blocked or one of twins; a twin that is blocked leaves the other in peace."""
        allowed = self._allowed(entry.group, entry.name)
        if len(allowed) > 1:
            raise missing.twins(allowed)
        variable = self._permission.refuses(entry)
        if variable is not None and not (unless_twin and allowed):
            raise missing.blocked(entry, variable)

    def _described(self, entry: PluginEntry) -> tuple[Any, ...]:
        with self._lock:
            if entry not in self._specs:
                try:
                    self._specs[entry] = self._describe(entry)
                except PluginError as error:
                    self._specs[entry] = error
            found = self._specs[entry]
        if isinstance(found, PluginError):
            # A fresh one each time: raising the same object again would pile up tracebacks, across threads too.
            raise copy.copy(found) from found.__cause__
        return found

    def _describe(self, entry: PluginEntry) -> tuple[Any, ...]:
        self._refuse(entry)
        note = check_fence(entry, core_version())
        if note is not None:
            self._notes[entry] = note
        self._hooks.add(entry)
        siblings = {
            other.name
            for other in self._entries
            if (other.group, other.value, other.distribution) == (entry.group, entry.value, entry.distribution)
        }
        if entry.group == DRIVERS:
            return described_drivers(entry, self._hooks, siblings)
        if entry.group == ADAPTERS:
            return (described_adapter(entry, self._hooks, siblings),)
        return tuple(self._hooks.implemented(entry))

    def _described_or_none(self, group: str, name: str) -> tuple[Any, ...]:
        try:
            return self._described(self._entry(group, name, asked=name))
        except PluginError:
            return ()

    def _willing(self) -> list[PluginEntry]:
        """Who can be asked a hook, in order; describes the plugins of group ``osiris.plugins``."""
        for entry in self._entries:
            if entry.group == OTHERS:
                self._described_or_none(OTHERS, entry.name)
        return [entry for entry, specs in sorted(self._specs.items()) if not isinstance(specs, PluginError)]

    def _report(self, entry: PluginEntry) -> PluginReport:
        try:
            specs = self._described(entry)
        except PluginError as error:
            return report_on(entry, error=error)
        with self._lock:
            faults = tuple(error.message for (owner, _), error in sorted(self._faults.items()) if owner == entry)
            note = self._notes.get(entry)
        offers = tuple(spec if isinstance(spec, str) else spec.name for spec in specs)
        return report_on(entry, offers=offers, warnings=(*((note,) if note else ()), *faults))

"""Plugin modules on pluggy: registered one by one, by name, each kept apart from the faults of the others."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

import pluggy

from osiris.core import hookspecs
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.plugins.known import closest
from osiris.core.plugins.loading import broken, load_object, misfit

__all__ = ["Hooks"]

_log = logging.getLogger(__name__)


class Hooks:
    """The registered plugin modules. Not thread-safe: the catalogue holds its lock around it.

    pluggy's own ``load_setuptools_entrypoints`` is not used: it imports every package, unguarded, and keeps
    the first of two twins without a word.
    """

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self._modules: dict[str, Any] = {}

    def add(self, entry: PluginEntry) -> None:
        """Import and register the module of an entry point. One that two entry points share is registered once.

        Raises:
            PluginBrokenError: It cannot be imported, or has a hook that does not exist or takes other arguments.
        """
        if entry.value in self._modules:
            return
        # stdout is for results: what a package prints while it is only being looked at must not get into them.
        with contextlib.redirect_stdout(sys.stderr):
            module = load_object(entry.value, entry, "its module")
        try:
            self._pluggy.register(module, name=entry.value)
            self._pluggy.check_pending()
        except pluggy.PluginValidationError as error:
            unknown = self._unknown_hook(module)
            if self._pluggy.is_registered(module):
                self._pluggy.unregister(module)
            if unknown is None:
                raise misfit(entry, f"a hook of it does not fit: {_one_line(error)}") from error
            raise misfit(entry, unknown) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: looking at a module's names can run code of its own
            raise broken(entry, f"its module ({entry.value}) cannot be registered", error) from error
        self._modules[entry.value] = module

    def implemented(self, entry: PluginEntry) -> list[str]:
        """The names of the hooks that the entry's module implements, sorted."""
        callers = self._pluggy.get_hookcallers(self._modules[entry.value]) or []
        return sorted(caller.name for caller in callers)

    def ask(self, entry: PluginEntry, hook: str, **arguments: Any) -> list[Any]:
        """Call one hook of one registered module; the list is empty where it does not implement it.

        Raises:
            PluginBrokenError: The hook raised.
        """
        module = self._modules[entry.value]
        others = [plugin for plugin in self._pluggy.get_plugins() if plugin is not module]
        caller = self._pluggy.subset_hook_caller(hook, others)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                results: list[Any] = caller(**arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise broken(entry, f"its hook {hook} raised", error) from error
        return results

    def _unknown_hook(self, module: Any) -> str | None:
        for caller in self._pluggy.get_hookcallers(module) or []:
            if not caller.has_spec():
                known = sorted(name for name in vars(hookspecs) if name.startswith("osiris_"))
                meant = closest(caller.name, known)
                told = f"did you mean {meant!r}?" if meant else f"known are {', '.join(known)}"
                return f"it has a hook {caller.name!r} that Osiris does not know; {told}"
        return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())

"""Importing a plugin's code, so that whatever it does at import becomes a PluginBrokenError with its place."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from typing import Any

from osiris.core.errors import OsirisError, PluginBrokenError
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.wording import text_of

__all__ = ["broken", "load_object", "misfit"]


def load_object(reference: str, entry: PluginEntry, what: str) -> Any:
    """Import ``package.module:Name`` (or ``package.module``) of a plugin.

    Args:
        reference: The import string.
        entry: The plugin that stated it.
        what: What it is, for the message: ``the factory of driver 'acme.extractor'``.

    Raises:
        PluginBrokenError: It cannot be imported, whatever the reason; KeyboardInterrupt alone passes.
    """
    module_name, _, attribute = (part.strip() for part in reference.partition(":"))
    try:
        found: Any = importlib.import_module(module_name)
        for part in filter(None, attribute.split(".")):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a plugin must not end the process by being looked at
        raise broken(entry, f"{what} ({reference}) cannot be imported", error) from error
    return found


def broken(entry: PluginEntry, what: str, cause: BaseException) -> PluginBrokenError:
    """The error for a plugin that raised: what failed, why, and where in the plugin's own code."""
    place = _place(entry, cause)
    reason = f"{type(cause).__name__}: {_first_line(cause)}".removesuffix(": ")
    where = f" at {place}" if place else ""
    return PluginBrokenError(
        f"plugin {entry.name!r} ({entry.owner}): {what}: {reason}{where}",
        hint=_hint(entry, cause),
        **_facts(entry),
        cause=reason,
        place=place,
    )


def misfit(entry: PluginEntry, what: str) -> PluginBrokenError:
    """The error for a plugin that does not keep the contract."""
    return PluginBrokenError(
        f"plugin {entry.name!r} ({entry.owner}): {what}",
        hint=f"this is for the authors of {entry.distribution} to put right; see osiris.core.hookspecs",
        **_facts(entry),
    )


def _facts(entry: PluginEntry) -> dict[str, Any]:
    return {"plugin": entry.name, "distribution": entry.distribution, "version": entry.version}


def _first_line(error: BaseException) -> str:
    text = error.message if isinstance(error, OsirisError) else text_of(error)
    return text.strip().partition("\n")[0]


def _hint(entry: PluginEntry, cause: BaseException) -> str:
    if isinstance(cause, ModuleNotFoundError) and cause.name and not _is_own(cause.name, entry):
        return (
            f"the Python module {cause.name!r} that {entry.distribution} needs is not installed; "
            f"run: pip install --force-reinstall {entry.distribution}"
        )
    return f"run: pip install --upgrade {entry.distribution}; if that does not help, tell its authors"


def _package(entry: PluginEntry) -> str:
    """The package that holds the plugin: ``acme`` for ``acme.plugin``."""
    module = entry.value.partition(":")[0].strip()
    return module.rpartition(".")[0] or module


def _inside(module: str, entry: PluginEntry) -> bool:
    package = _package(entry)
    return module == package or module.startswith(package + ".")


def _is_own(module: str, entry: PluginEntry) -> bool:
    """Whether a module that was not found is the plugin's own, or a package around it."""
    return _inside(module, entry) or f"{_package(entry)}.".startswith(f"{module}.")


def _place(entry: PluginEntry, error: BaseException) -> str | None:
    """``file:line`` of the innermost frame that is the plugin's own."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _inside(str(frame.f_globals.get("__name__", "")), entry)
    ]
    if places:
        return places[-1]
    outside = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).is_file() and not _ours(str(frame.f_globals.get("__name__", "")))
    ]
    return outside[-1] if outside else None


def _ours(module: str) -> bool:
    return module.startswith(("osiris.core.", "importlib", "pluggy"))

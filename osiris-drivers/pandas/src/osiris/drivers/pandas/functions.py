"""Finding the user's function: beside the pipeline first, then among installed packages."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from osiris.core.errors import DriverError, OsirisError
from osiris.drivers.pandas.failure import explain_failure

__all__ = ["load_function"]

# sys.path and sys.modules belong to the whole process: one import of this kind at a time.
_IMPORTING = threading.RLock()


def load_function(reference: str, base_dir: Path) -> Callable[..., Any]:
    """The function that ``module:function`` means.

    A module in ``base_dir`` goes before an installed one. It is imported anew each time and not kept in
    ``sys.modules``, nor are the neighbours that it imports, so that two pipelines in different folders of one
    process may call their modules the same.

    Raises:
        DriverError: ``pandas.module_not_found``, ``pandas.import_failed``, ``pandas.function_not_found``,
            ``pandas.not_callable``.
    """
    module_name, _, path = reference.partition(":")
    module = _load_module(module_name, base_dir)
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise _no_function(reference, part, found, module)
        found = getattr(found, part)
    if not callable(found):
        raise DriverError(
            f"{reference} is a {type(found).__name__}, not a function",
            hint="name a function that takes a DataFrame and returns one",
            code="pandas.not_callable",
        )
    return found  # type: ignore[no-any-return]  # callable() was asked


def _load_module(name: str, base_dir: Path) -> ModuleType:
    top = name.partition(".")[0]
    is_ours = (base_dir / f"{top}.py").is_file() or (base_dir / top).is_dir()
    try:
        if not is_ours:
            return importlib.import_module(name)
        with _IMPORTING, _importing_from(base_dir.resolve(), top):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise _no_module(name, base_dir) from error
        raise _import_failed(name, error) from error
    except OsirisError:
        raise
    except Exception as error:
        raise _import_failed(name, error) from error


@contextmanager
def _importing_from(folder: Path, top: str) -> Iterator[None]:
    """``folder`` goes first for imports; afterwards nothing shows that it did."""
    hidden = {key: sys.modules.pop(key) for key in list(sys.modules) if key == top or key.startswith(f"{top}.")}
    before = set(sys.modules)
    importlib.invalidate_caches()  # the file may be younger than Python's last look into the folder
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for key in set(sys.modules) - before:
            if _is_below(sys.modules[key], folder):
                del sys.modules[key]
        sys.modules.update(hidden)


def _is_below(module: ModuleType, folder: Path) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(Path(place).resolve().is_relative_to(folder) for place in places if place)


def _no_module(name: str, base_dir: Path) -> DriverError:
    neighbours = sorted(path.stem for path in base_dir.glob("*.py"))
    return DriverError(
        f"there is no module {name!r}, neither in {base_dir} nor installed",
        hint=_suggestion(name, neighbours) or f"put {name.replace('.', '/')}.py beside the pipeline file",
        code="pandas.module_not_found",
        module=name,
    )


def _no_function(reference: str, part: str, holder: Any, module: ModuleType) -> DriverError:
    names = [name for name, item in vars(holder).items() if callable(item) and not name.startswith("_")]
    place = getattr(module, "__file__", None) or "built in"
    return DriverError(
        f"{module.__name__} ({place}) has no {part!r}, wanted by {reference!r}",
        hint=_suggestion(part, names) or f"define def {part}(df): ... there",
        code="pandas.function_not_found",
        function=reference,
    )


def _import_failed(name: str, error: Exception) -> DriverError:
    return DriverError(
        f"importing {name!r} failed: {explain_failure(error)}",
        hint="make `python -c 'import " + name + "'` work in the pipeline's folder",
        code="pandas.import_failed",
        module=name,
    )


def _suggestion(word: str, known: Iterable[str]) -> str | None:
    known = list(known)
    close = get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are: {', '.join(known[:10])}" if known else None

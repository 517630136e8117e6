"""``pandas.transform``: the user's own function, DataFrame in, DataFrame out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DatasetError, DriverError, OsirisError
from osiris.drivers.pandas.config import TransformConfig
from osiris.drivers.pandas.failure import explain_failure
from osiris.drivers.pandas.functions import load_function

__all__ = ["Transform"]


class Transform(Driver):
    """Calls one function.

    One input is its first positional argument; several are keyword arguments of their names. ``kwargs`` of the
    config, and inputs that are plain values, are keyword arguments too.
    """

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        """See :class:`~osiris.drivers.pandas.config.TransformConfig`.

        Raises:
            DriverError: ``pandas.*``: the function cannot be found or called, failed, or gave no table.
        """
        options = TransformConfig.model_validate(config)
        function = load_function(options.function, ctx.base_dir)
        positional, named = _arguments(inputs, options.kwargs)
        _check_call(function, options.function, positional, named)
        ctx.raise_if_cancelled()
        try:
            result = function(*positional, **named)
        except OsirisError:
            raise
        except Exception as error:
            raise _failed(options.function, error) from error
        return {"df": _as_dataset(result, options.function)}


def _arguments(inputs: Mapping[str, Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    frames = {name: item for name, item in inputs.items() if isinstance(item, pd.DataFrame)}
    values = {name: item for name, item in inputs.items() if name not in frames}
    twice = sorted((set(values) | set(frames if len(frames) > 1 else ())) & set(kwargs))
    if twice:
        raise DriverError(
            f"{', '.join(map(repr, twice))} is given as an input and in kwargs",
            hint="rename one of them",
            code="pandas.bad_arguments",
        )
    if _is_one_input(list(frames)):
        return [next(iter(frames.values()))], {**values, **kwargs}
    return [], {**frames, **values, **kwargs}


def _is_one_input(names: list[str]) -> bool:
    # OML gives a single need both as df and as df_<step>.
    if len(names) == 2 and "df" in names:
        return all(name == "df" or name.startswith("df_") for name in names)
    return len(names) == 1


def _check_call(function: Callable[..., Any], reference: str, positional: list[Any], named: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions do not say
        return
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        given = [*("<DataFrame>" for _ in positional), *(f"{name}=" for name in named)]
        raise DriverError(
            f"{reference}{signature} cannot be called with ({', '.join(given)}): {error}",
            hint="one input is the first argument, several are keyword arguments of their names; kwargs come on top",
            code="pandas.bad_arguments",
        ) from error


def _as_dataset(result: Any, reference: str) -> Dataset:
    if isinstance(result, pd.Series):
        result = result.to_frame(name=result.name if result.name is not None else "value")
    if isinstance(result, Iterator):
        result = _guarded(result, reference)
    try:
        return Dataset.of(result, name=reference)
    except DatasetError as error:
        if isinstance(result, pd.DataFrame) and (column := _inexact_column(result)) is not None:
            raise _mixed(reference, *column) from error
        if error.code != "dataset.not_tabular":
            raise
        raise DriverError(
            f"{reference} returned {'None' if result is None else type(result).__name__}, not a DataFrame",
            hint="return a DataFrame; did you forget `return df`?" if result is None else error.hint,
            code="pandas.bad_result",
        ) from error


def _guarded(items: Iterator[Any], reference: str) -> Iterator[Any]:
    """A generator function's results; its errors come later, while they are read."""
    try:
        yield from items
    except OsirisError:
        raise
    except Exception as error:
        raise _failed(reference, error) from error


def _inexact_column(frame: pd.DataFrame) -> tuple[str, str] | None:
    """The first column that has no Arrow type of its own, and what is in it."""
    for position, name in enumerate(frame.columns):
        values = frame.iloc[:, position]
        try:
            pa.Array.from_pandas(values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            kinds = values[values.notna()].map(lambda value: type(value).__name__).unique()
            return str(name), " and ".join(sorted(map(str, kinds)))
    return None


def _mixed(reference: str, column: str, kinds: str) -> DriverError:
    return DriverError(
        f"column {column!r} that {reference} returned holds {kinds}: it has no one exact type",
        hint=f"make it one type, as df[{column!r}].astype('string')",
        code="pandas.mixed_column",
        column=column,
    )


def _failed(reference: str, error: Exception) -> DriverError:
    hint = "the traceback is in the events of the step"
    if isinstance(error, pa.ArrowException):
        hint = (
            "the columns are exact Arrow ones: if it is a decimal of 38 digits, make it narrower in the step before"
            " (in SQL: sum(x)::DECIMAL(18,2)), or use astype('float64')"
        )
    return DriverError(
        f"{reference} raised {explain_failure(error)}",
        hint=hint,
        code="pandas.function_failed",
        exception=type(error).__name__,
    )

"""What a step's ``mask`` does: its outputs leave it with other values in the columns named."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from difflib import get_close_matches

import pyarrow as pa

from osiris.core.connections import MASK, fill
from osiris.core.dataset import Dataset
from osiris.core.errors import OsirisError, StepError
from osiris.core.planning import MaskRule, PlannedStep
from osiris.core.python_values import to_array

__all__ = ["Masking", "without_values"]

_ROWS = 65_536
"""Rows that are masked at once: a value passes through Python, and the copies must not add up."""

_MAY_BE_TOLD = ("path", "line", "row", "type")

Cover = Callable[[pa.Array], pa.Array]


class Masking:
    """The rules of one step.

    A masked column is text. NULL stays NULL. What is masked is the value's text: of a number, a date or a boolean
    that which Arrow gives it; ``hash`` takes binary values as they are.

    Args:
        step: The step.
        secrets: Values by reference, for keys.
    """

    def __init__(self, step: PlannedStep, secrets: Mapping[str, str]) -> None:
        self._step = step
        self._covers: dict[str, Cover] = {}
        self._methods: dict[str, str] = {}
        for rule in step.masks:
            cover = _cover(rule, secrets)
            self._covers |= dict.fromkeys(rule.columns, cover)
            self._methods |= dict.fromkeys(rule.columns, rule.method)

    def hide(self, outputs: Mapping[str, Dataset]) -> dict[str, Dataset]:
        """The step's outputs, masked. Nothing is read yet.

        Every column must be in ``df``, where there is one, else in some output; in the others it is masked where
        it is there.

        Raises:
            StepError: ``step.mask_column``: a column is not there. ``step.mask_type``: its values have no text.
        """
        must = [outputs["df"]] if "df" in outputs else list(outputs.values())
        there = list(dict.fromkeys(name for dataset in must for name in dataset.schema.names))
        for column in self._covers:
            if column not in there:
                for dataset in outputs.values():
                    dataset.close()
                raise self._missing(column, there)
        return {name: self._masked(dataset) for name, dataset in outputs.items()}

    def _masked(self, dataset: Dataset) -> Dataset:
        fields = [self._field(field) for field in dataset.schema]

        def batches() -> Iterator[pa.RecordBatch]:
            with closing(_closable(dataset.batches())) as read:
                for batch in read:
                    for begin in range(0, max(batch.num_rows, 1), _ROWS):
                        yield self._cover(batch.slice(begin, _ROWS))

        # Without `source`: whoever read the files themselves would see what is in them.
        return Dataset(
            batches,
            pa.schema(fields, metadata=dataset.schema.metadata),
            replayable=dataset.replayable,
            num_rows=dataset.num_rows,
            close=dataset.close,
        )

    def _field(self, field: pa.Field) -> pa.Field:
        if field.name not in self._covers:
            return field
        method = self._methods[field.name]
        if not _fits(field.type, method):
            raise StepError(
                f"step {self._step.id!r} cannot mask column {field.name!r} by {method}: its values are {field.type}",
                hint="use method: redact, or make it text in a step before",
                code="step.mask_type",
                step_id=self._step.id,
                column=field.name,
                type=str(field.type),
            )
        return pa.field(field.name, pa.string(), field.nullable)

    def _cover(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        # By the batch's own names: one that is not as it was said to be is refused later, but never passes in clear.
        columns, fields = list(batch.columns), list(batch.schema)
        for index, field in enumerate(fields):
            if (cover := self._covers.get(field.name)) is not None:
                columns[index] = cover(columns[index])
                fields[index] = pa.field(field.name, pa.string(), field.nullable)
        if not columns:
            return batch
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, metadata=batch.schema.metadata))

    def _missing(self, column: str, there: list[str]) -> StepError:
        near = get_close_matches(column, there, n=1, cutoff=0.6)
        alike = [name for name in there if name.casefold() == column.casefold()] or near
        shown = ", ".join(there[:20]) + (", ..." if len(there) > 20 else "")
        return StepError(
            f"step {self._step.id!r} masks column {column!r}, which its output does not have",
            hint=(f"did you mean {alike[0]!r}? " if alike else "") + f"its columns: {shown or 'none'}",
            code="step.mask_column",
            step_id=self._step.id,
            column=column,
            columns=there,
        )


def without_values(step: PlannedStep, raised: BaseException) -> BaseException:
    """What a step raised, without the value where it is about a column that the step masks.

    An error says which column it is about by its fact ``column``; only such errors can be told apart.
    """
    masked = {column for rule in step.masks for column in rule.columns}
    if not masked or not isinstance(raised, OsirisError) or raised.code.startswith("step.mask_"):
        return raised
    column = raised.facts.get("column")
    if column not in masked:
        return raised
    place = ", ".join(f"{name} {raised.facts[name]}" for name in ("path", "line", "row") if name in raised.facts)
    return StepError(
        f"a value of column {column!r} does not fit, and is not shown because the column is masked"
        + (f" ({place})" if place else ""),
        hint="look at it where it comes from",
        code=raised.code,
        retryable=raised.retryable,
        column=column,
        **{name: raised.facts[name] for name in _MAY_BE_TOLD if name in raised.facts},
    )


def _cover(rule: MaskRule, secrets: Mapping[str, str]) -> Cover:
    if rule.method == "redact":
        return _redacted
    if rule.method == "hash":
        return _hashed(None if rule.salt is None else fill(rule.salt, secrets).encode())
    return _partial(rule.first, rule.last)


def _redacted(column: pa.Array) -> pa.Array:
    return _texts([MASK if valid else None for valid in column.is_valid().to_pylist()])


def _hashed(key: bytes | None) -> Cover:
    def digest(value: bytes) -> str:
        return hashlib.sha256(value).hexdigest() if key is None else hmac.digest(key, value, "sha256").hex()

    def cover(column: pa.Array) -> pa.Array:
        return _texts([None if value is None else digest(value) for value in _as_bytes(column).to_pylist()])

    return cover


def _partial(first: int, last: int) -> Cover:
    # At least as much is hidden as is shown, and how much that is is not told.
    least = 2 * (first + last)

    def part(value: str) -> str:
        return MASK if len(value) < least else f"{value[:first]}{MASK}{value[len(value) - last :]}"

    def cover(column: pa.Array) -> pa.Array:
        return _texts([None if value is None else part(value) for value in _as_text(column).to_pylist()])

    return cover


def _texts(values: list[str | None]) -> pa.Array:
    made = to_array(values)
    return made if pa.types.is_string(made.type) else made.cast(pa.string())  # NULLs only


def _as_text(column: pa.Array) -> pa.Array:
    storage = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
    return storage.cast(pa.large_string())


def _as_bytes(column: pa.Array) -> pa.Array:
    storage = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
    return (storage if _is_binary(storage.type) else storage.cast(pa.large_string())).cast(pa.large_binary())


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _fits(kind: pa.DataType, method: str) -> bool:
    if method == "redact":
        return True
    stored = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if _is_binary(stored):
        return method == "hash"
    try:
        pa.nulls(0, stored).cast(pa.large_string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return False
    return True


def _closable(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """The same, and with ``close``; a driver's own iterator need not have one."""
    try:
        yield from batches
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()

"""``supabase.extractor`` over REST: pages of JSON as a stream of exact Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.config import ExtractorConfig, Order, SupabaseConnection
from osiris.drivers.supabase.rest_check import check
from osiris.drivers.supabase.rest_client import RestClient
from osiris.drivers.supabase.rest_inference import infer
from osiris.drivers.supabase.rest_pages import Pages, Row, Selection, read_page
from osiris.drivers.supabase.rest_query import conditions_of, name_of
from osiris.drivers.supabase.rest_schema import RestTable, find_table
from osiris.drivers.supabase.rest_values import Field, Misfit, field_of, numeric_of
from osiris.drivers.supabase.table_name import TableName

__all__ = ["RestExtractor"]

_MISFIT_DESCRIBED = (
    "read a view that casts the column, as to text or to numeric with a scale; or leave it out of columns"
)
_MISFIT_INFERRED = f"types were told from the first rows, as this key may not read the schema: {_MISFIT_DESCRIBED}"


class RestExtractor:
    """Reads a table or view through PostgREST."""

    def __init__(self) -> None:
        self._client: RestClient | None = None

    def read(self, ctx: StepContext, config: ExtractorConfig, connection: SupabaseConnection) -> Dataset:
        """See :meth:`osiris.drivers.supabase.transport.Reader.read`."""
        table = TableName.parse(config.table or "", connection.schema_name)
        self._client = RestClient(connection, ctx, table.schema)
        reading = _Reading(self._client, ctx, config, table)
        return Dataset(reading.batches, reading.schema, close=self._client.close)

    def check(self, ctx: StepContext, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
        """See :meth:`osiris.drivers.supabase.transport.Reader.check`."""
        return check(ctx, connection, table)

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        if self._client is not None:
            self._client.close()


@dataclass(frozen=True)
class _Shape:
    """What the rows look like and how to go through them."""

    fields: Sequence[Field]
    selection: Selection
    first: list[Row] | None = None


class _Reading:
    """One reading of one table: its first page has been looked at, so that the schema is known."""

    def __init__(self, client: RestClient, ctx: StepContext, config: ExtractorConfig, table: TableName) -> None:
        self._client, self._ctx, self._config, self._table = client, ctx, config, table
        self._what = f"table {table}"
        self._is_inferred = False
        known = find_table(client, table.name, self._what)
        if known is not None:
            shape = self._as_described(known)
        else:
            self._is_inferred = True
            shape = self._as_it_looks()
        self._fields, self._selection, self._first = shape.fields, shape.selection, shape.first
        self.schema = pa.schema([pa.field(one.name, one.type) for one in self._fields])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a batch for each page."""
        pages = Pages(
            self._client,
            self._selection,
            page_size=self._config.page_size,
            parallel=self._config.parallel_pages,
            limit=self._config.limit,
            first=self._first,
        )
        self._first = None
        count = 0
        for rows in pages:
            yield self._batch(rows, count)
            count += len(rows)
        if not count and not self._client.bypasses_rls and self._config.limit != 0:
            self._warn_of_nothing()

    def _batch(self, rows: list[Row], before: int) -> pa.RecordBatch:
        columns = []
        for one in self._fields:
            try:
                columns.append(one.convert([row[one.name] for row in rows]))
            except Misfit as misfit:
                raise self._misfit(one, misfit, before, rows) from misfit
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _as_described(self, table: RestTable) -> _Shape:
        names = self._config.columns or list(table.columns)
        self._refuse_unknown([*names, *(one.column for one in self._config.order)], table)
        fields = [field_of(table.columns[name]) for name in names]
        order = _complete(self._config.order, table.key)
        selection = Selection(
            self._table.name,
            self._what,
            "",
            conditions_of(self._config.filters),
            order,
            is_unique=bool(table.key) and table.is_insertable,
            never_null=frozenset(table.key),
        )
        hidden = [field_of(table.columns[one.column]) for one in order if one.column not in names]
        selection = _selecting(selection, [*fields, *hidden])
        if all(one.type is not None for one in fields):
            return _Shape(fields, selection)
        first = self._read_first(selection)
        return _Shape([self._with_scale(one, first, selection) for one in fields], selection, first)

    def _with_scale(self, field: Field, first: list[Row], selection: Selection) -> Field:
        """A column of NUMERIC with the type that its values ask for: the description tells no scale."""
        if field.type is not None:
            return field
        values = [row[field.name] for row in first if row[field.name] is not None]
        return replace(field, type=numeric_of(values or self._sample(field, selection)))

    def _as_it_looks(self) -> _Shape:
        """Without a description: the first page decides, see :mod:`osiris.drivers.supabase.rest_inference`."""
        wanted = self._config.columns
        order = self._config.order
        selection = Selection(
            self._table.name,
            self._what,
            "*" if wanted is None else ",".join(map(name_of, wanted)),
            conditions_of(self._config.filters),
            order,
            is_unique=False,
            keeps_numerals=True,
        )
        hidden = [Field(name, pa.string()) for name in _columns_of(order) if wanted is not None and name not in wanted]
        if hidden:
            selection = replace(selection, select=",".join([selection.select, *(one.selection for one in hidden)]))
        first = self._read_first(selection)
        names = wanted or list(first[0] if first else ())
        fields = []
        for name in names:
            values = [row[name] for row in first if row[name] is not None]
            fields.append(infer(name, values or self._sample(Field(name, None), selection)))
        if not any(one.cast for one in fields):
            return _Shape(fields, selection, first)
        return _Shape(fields, _selecting(selection, [*fields, *hidden]))

    def _read_first(self, selection: Selection) -> list[Row]:
        if self._config.limit == 0:
            return []
        return read_page(self._client, selection, self._config.page_size)

    def _sample(self, field: Field, selection: Selection) -> list[Any]:
        """Values of a column whose first page is all NULL; none where all of it is."""
        only = replace(
            selection,
            select=field.selection,
            conditions=[*selection.conditions, (name_of(field.name), "not.is.null")],
            order=(),
        )
        return [row[field.name] for row in read_page(self._client, only, self._config.page_size)]

    def _refuse_unknown(self, names: Sequence[str], table: RestTable) -> None:
        unknown = [name for name in dict.fromkeys(names) if name not in table.columns]
        if unknown:
            raise DriverError(
                f"{self._what} has no column {', '.join(map(repr, unknown))}",
                hint=f"it has {', '.join(table.columns)}; case matters",
                code="supabase.no_column",
            )

    def _misfit(self, field: Field, misfit: Misfit, before: int, rows: list[Row]) -> DriverError:
        row = rows[misfit.position]
        key = ", ".join(f"{name}={row[name]!r}" for name in _columns_of(self._selection.order))
        number = before + misfit.position + 1
        place = f"{field.name} of row {number:,}" + (f" ({key})" if key else "")
        return DriverError(
            f"{self._what}: {place} is {misfit.value!r}, which no {field.type} can be",
            hint=_MISFIT_INFERRED if self._is_inferred else _MISFIT_DESCRIBED,
            code="supabase.value_not_representable",
            column=field.name,
            row=number,
        )

    def _warn_of_nothing(self) -> None:
        self._ctx.log_event(
            "warning",
            {
                "code": "supabase.rows_hidden",
                "message": f"{self._what} gave 0 rows to a key of role {self._client.role}: "
                "row-level security, where it is on, hides rows without an error",
                "hint": f"add a policy that lets {self._client.role} select, or use the secret key",
            },
        )


def _complete(order: Sequence[Order], key: Sequence[str]) -> list[Order]:
    """The order with the key behind it, so that no two rows are the same in it."""
    named = _columns_of(order)
    return [*order, *(Order(column=name) for name in key if name not in named)]


def _columns_of(order: Sequence[Order]) -> list[str]:
    return [one.column for one in order]


def _selecting(selection: Selection, fields: Sequence[Field]) -> Selection:
    return replace(selection, select=",".join(dict.fromkeys(one.selection for one in fields)))

"""A new table for the input's columns."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.supabase.postgres import Session
from osiris.drivers.supabase.table_name import TableName, quote_name

__all__ = ["create_table"]

_TYPES: Sequence[tuple[object, str]] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "smallint"),
    (pa.types.is_uint8, "smallint"),
    (pa.types.is_int16, "smallint"),
    (pa.types.is_uint16, "integer"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_uint32, "bigint"),
    (pa.types.is_int64, "bigint"),
    (pa.types.is_uint64, "numeric(20,0)"),
    (pa.types.is_float16, "real"),
    (pa.types.is_float32, "real"),
    (pa.types.is_float64, "double precision"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
    (pa.types.is_duration, "interval"),
    (pa.types.is_interval, "interval"),
    (pa.types.is_binary, "bytea"),
    (pa.types.is_large_binary, "bytea"),
    (pa.types.is_binary_view, "bytea"),
    (pa.types.is_fixed_size_binary, "bytea"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_null, "text"),
    (pa.types.is_nested, "jsonb"),
)


def create_table(session: Session, table: TableName, schema: pa.Schema, key: Sequence[str]) -> None:
    """Create the table, within the transaction; row-level security is on, without a policy.

    Without it everybody who has the project's publishable key could read and change the new table.

    Raises:
        DriverError: ``supabase.forbidden``, ``supabase.table_exists`` (retryable: another run made it meanwhile), ...
    """
    missing = [name for name in key if name not in schema.names]
    if missing or not schema.names or len(set(schema.names)) < len(schema.names):
        raise DriverError(
            f"{table} cannot be created: "
            + (
                f"the input lacks {', '.join(map(repr, missing))}"
                if missing
                else "the input's columns need names, each its own"
            ),
            hint="primary_key names columns of the input",
            code="supabase.columns_differ",
        )
    parts = [f"{quote_name(field.name)} {_declared(field.type)}" for field in schema]
    if key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quote_name, key))})")
    what = f"creating {table}"
    session.execute(f"CREATE TABLE {table.sql} ({', '.join(parts)})", what=what)
    session.execute(f"ALTER TABLE {table.sql} ENABLE ROW LEVEL SECURITY", what=what)


def _declared(kind: pa.DataType) -> str:
    if isinstance(kind, pa.BaseExtensionType):
        return "uuid" if kind.extension_name == "arrow.uuid" else _declared(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _declared(kind.value_type)
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        member = _declared(kind.value_type)
        return "jsonb" if pa.types.is_nested(kind.value_type) else f"{member}[]"
    return next((name for is_kind, name in _TYPES if is_kind(kind)), "text")  # type: ignore[operator]

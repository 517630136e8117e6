"""Options of the older dialect's components that are called differently now, or are not there any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.manifest.report import Path, Report

__all__ = ["REFUSED", "REFUSED_VALUES", "RENAMED", "translate_config"]

RENAMED: Mapping[str, Mapping[str, str]] = {
    "mysql.writer": {"mode": "write_mode", "upsert_keys": "primary_key", "create_table": "create_if_missing"},
    "supabase.writer": {"mode": "write_mode"},
}
"""By component: the new name by the old one; the meaning is the same."""

_BLOCKS = ("rows stream in blocks whose size the driver chooses", "remove it")
_POOL = ("there is one connection for each step, and no pool", "remove it")
_LOG = ("queries are not logged by an option", "remove it; 'osiris run --verbose' shows what happens")
_LOGIN = (
    "who logs in where is not said in a pipeline",
    "put it into osiris_connections.yaml, and write connection: '@{family}.alias'",
)
_SCHEMA = ("the table's name says it", "write table: schema.table")
_OFFSET = ("a part of the rows is said by a condition", "write a query with LIMIT and OFFSET")
_RETRIES = ("how a step is retried is the same for all drivers", "compile the file, and write retry: into the step")
_HTTP = ("the driver decides how it speaks to the server", "remove it")
_TIMEOUT = ("it belongs to the connection", "write request_timeout: into the connection")

_MYSQL = {
    **dict.fromkeys(("host", "port", "database", "user", "username", "password"), _LOGIN),
    **dict.fromkeys(("pool_size", "pool_recycle"), _POOL),
    "schema": _SCHEMA,
    "echo": _LOG,
}
_SUPABASE = {
    **dict.fromkeys(("url", "key", "project_id", "service_role_key", "anon_key", "pg_dsn"), _LOGIN),
    "schema": _SCHEMA,
    "timeout": _TIMEOUT,
    "retries": _RETRIES,
}

REFUSED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "filesystem.csv_extractor": {
        "chunk_size": _BLOCKS,
        "on_bad_lines": ("a line that cannot be read is an error, never left out", "mend the file"),
        "discovery": ("a step reads rows, not names of files", "name the files in path, as data/*.csv"),
    },
    "filesystem.csv_writer": {"chunk_size": _BLOCKS},
    "mysql.extractor": {**_MYSQL, "batch_size": _BLOCKS, "offset": _OFFSET},
    "mysql.writer": {
        **_MYSQL,
        "truncate_before": ("it is a way of writing", "write write_mode: truncate"),
    },
    "supabase.extractor": {
        **_SUPABASE,
        "select": ("columns are a list", "write columns: [a, b]; for joins, query: with pg_dsn in the connection"),
        "filter": ("conditions are a list", "write filters: [{column: status, op: eq, value: completed}]"),
        "offset": _OFFSET,
        "tables": ("a step reads one table", "remove it"),
    },
    "supabase.writer": {
        **_SUPABASE,
        "returning": _HTTP,
        "prefer": ("the way of writing says it", "remove it; see write_mode and on_conflict"),
        "ddl_channel": ("tables are created over pg_dsn", "remove it, and write pg_dsn: into the connection"),
        "ddl_plan_only": ("a step does what it says", "remove it; 'osiris plan' shows what would run"),
    },
}
"""By component and option: why it cannot be carried over, and what to write instead."""

REFUSED_VALUES: Mapping[tuple[str, str], Mapping[str, tuple[str, str]]] = {
    ("filesystem.csv_extractor", "compression"): {
        "zip": ("an archive may hold several files", "unpack it, or pack it with gzip, bz2, xz or zstd")
    },
}
"""By component and option: values of that kind."""


def translate_config(component: str, config: Mapping[str, Any], path: Path, report: Report) -> dict[str, Any]:
    """The options as the driver calls them.

    Args:
        component: As ``mysql.writer``.
        config: As written.
        path: Where it stands.
        report: Takes what cannot be carried over, and where the text has what was renamed.
    """
    renamed, refused = RENAMED.get(component, {}), REFUSED.get(component, {})
    found: dict[str, Any] = {}
    for key, value in config.items():
        reason = refused.get(key) or _refused_value(component, key, value)
        name = renamed.get(key, key)
        if reason is not None:
            hint = reason[1].replace("{family}", component.partition(".")[0])
            message = f"{component}: {key!r} cannot be carried over: {reason[0]}"
            report.add("manifest.oml_option", message, (*path, key), hint, at_key=True)
        elif name != key and name in config:
            message = f"{component}: {key!r} and {name!r} mean the same"
            report.add("manifest.oml_option", message, (*path, key), f"remove {key}", at_key=True)
        else:
            if name != key:
                report.moved[(*path, name)] = (*path, key)
            found[name] = value
    return found


def _refused_value(component: str, key: str, value: Any) -> tuple[str, str] | None:
    values = REFUSED_VALUES.get((component, key))
    return values.get(value) if values is not None and isinstance(value, str) else None

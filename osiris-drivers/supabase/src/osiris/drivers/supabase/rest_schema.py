"""What can be known of a table over REST: PostgREST's own description of the schema, where the key may read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.rest_client import CACHE_WAITS, RestClient

__all__ = ["Description", "RestColumn", "RestTable", "describe", "find_table"]

_KEY_NOTE = "<pk/>"
_NO_DESCRIPTION = frozenset({401, 403, 404, 406})


@dataclass(frozen=True)
class RestColumn:
    """A column as the description has it.

    Attributes:
        name: Its name.
        type: PostgreSQL's name of its type, as ``timestamp with time zone`` or ``integer[]``.
        is_enum: Whether the type is an enumeration: its values are texts.
    """

    name: str
    type: str
    is_enum: bool = False


@dataclass(frozen=True)
class RestTable:
    """A table or view, as described.

    Attributes:
        columns: By name, in the table's order.
        key: The columns of its primary key; empty where it has none.
        is_insertable: Whether rows can be added: tables, and views of one table. The key of any other view is that of
            a table below, and may come more than once.
    """

    columns: Mapping[str, RestColumn]
    key: tuple[str, ...]
    is_insertable: bool = True


@dataclass(frozen=True)
class Description:
    """The tables of the schema that the key's role may see, by name.

    Attributes:
        tables: By name.
        version: Of PostgREST.
        seconds: What the request took.
    """

    tables: Mapping[str, RestTable]
    version: str | None
    seconds: float


def describe(client: RestClient) -> Description | None:
    """Ask for the description; None where the key may not read it (hosted Supabase: publishable keys).

    Raises:
        DriverError: Nobody answers.
    """
    try:
        answer = client.request("GET", "", what="the description of the schema")
    except DriverError as error:
        if error.facts.get("status") in _NO_DESCRIPTION:
            return None
        raise
    try:
        told = json.loads(answer.content)
    except ValueError:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("paths"), dict):
        return None
    paths = told["paths"]
    definitions = told.get("definitions", {})  # left out where there is no table
    tables = {name: _table(one, paths.get(f"/{name}", {})) for name, one in definitions.items()}
    return Description(tables, told.get("info", {}).get("version"), answer.seconds)


def find_table(client: RestClient, name: str, what: str) -> RestTable | None:
    """One table as described; None where the key may not read that, or sees the table but not its description.

    Raises:
        DriverError: ``supabase.no_table``: there is none, also after PostgREST had time to see a new one.
    """
    description = describe(client)
    if description is None or name in description.tables:
        return None if description is None else description.tables[name]
    client.request("GET", name, [("limit", "0")], what=what)
    # It is there: either it is so new that PostgREST has not seen it yet, or the role may not see its description.
    for pause in CACHE_WAITS:
        client.wait(pause, what, "not described yet")
        description = describe(client)
        if description is not None and name in description.tables:
            return description.tables[name]
    return None


def _table(definition: Mapping[str, Any], methods: Mapping[str, Any]) -> RestTable:
    properties: Mapping[str, Mapping[str, Any]] = definition.get("properties", {})
    columns = {
        name: RestColumn(name, str(facts.get("format", "")), "enum" in facts) for name, facts in properties.items()
    }
    key = tuple(name for name, facts in properties.items() if _KEY_NOTE in str(facts.get("description", "")))
    return RestTable(columns, key, "post" in methods)

"""The last part of ``replace``: what is in the table and not among the new rows goes away.

Keys are compared as the server writes them, both times: no other form of a value could be trusted with a delete.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from osiris.drivers.supabase.config import Order
from osiris.drivers.supabase.rest_client import RestClient
from osiris.drivers.supabase.rest_pages import Pages, Selection
from osiris.drivers.supabase.rest_query import name_of, one_of

__all__ = ["NewKeys", "key_selection", "remove_others"]

_LONGEST_FILTER = 6000
_PAGE = 1000


def key_selection(key: Sequence[str]) -> str:
    """The parameter ``select`` that gives the key's columns as PostgreSQL's text of them."""
    return ",".join(f"{name_of(name)}::text" for name in key)


class NewKeys:
    """The keys of the new rows, on disk: memory does not grow with them. Threads may share it.

    Args:
        folder: The step's ``state_dir``, so that a resumed step still has them.
        key: The key's columns.
    """

    def __init__(self, folder: Path, key: Sequence[str]) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._database = sqlite3.connect(folder / "rest-keys.sqlite", check_same_thread=False, isolation_level=None)
        self._database.execute("pragma synchronous = off")
        self._database.execute("create table if not exists keys (key text primary key) without rowid")

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Remember the keys of rows as the server gave them back."""
        with self._lock:
            self._database.execute("begin")
            self._database.executemany("insert or ignore into keys values (?)", ((self._text(row),) for row in rows))
            self._database.execute("commit")

    def others(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows whose keys are not among these."""
        with self._lock:
            query = "select 1 from keys where key = ?"
            return [row for row in rows if self._database.execute(query, (self._text(row),)).fetchone() is None]

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def _text(self, row: dict[str, Any]) -> str:
        return json.dumps([row[name] for name in self._key])


def remove_others(client: RestClient, table: str, what: str, key: Sequence[str], new: NewKeys) -> int:
    """Delete the rows whose keys are not among ``new``; how many went.

    By key, never by range: a row that somebody adds meanwhile is looked at before it goes.
    """
    selection = Selection(
        table, what, key_selection(key), order=[Order(column=name) for name in key], never_null=frozenset(key)
    )
    removed = 0
    for page in Pages(client, selection, page_size=_PAGE):
        for condition in _conditions(key, new.others(page)):
            answer = client.request(
                "DELETE", table, [condition], what=f"old rows of {what}", prefer="return=minimal,count=exact"
            )
            total = answer.headers.get("content-range", "").rpartition("/")[2]
            removed += int(total) if total.isdigit() else 0
    return removed


def _conditions(key: Sequence[str], rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """As many rows in one filter as an address holds."""
    values = [[row[name] for name in key] for row in rows]
    held: list[list[Any]] = []
    size = 0
    for value in values:
        length = len(quote(one_of(key, [value])[1], safe="(),:.*"))
        if held and size + length > _LONGEST_FILTER:
            yield one_of(key, held)
            held, size = [], 0
        held.append(value)
        size += length
    if held:
        yield one_of(key, held)

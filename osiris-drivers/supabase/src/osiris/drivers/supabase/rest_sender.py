"""One batch into the table, exactly once, whatever happens to the requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.rest_batches import Batch
from osiris.drivers.supabase.rest_client import Answer, RestClient
from osiris.drivers.supabase.rest_errors import AnswerLostError
from osiris.drivers.supabase.rest_progress import Progress
from osiris.drivers.supabase.rest_query import name_of

__all__ = ["Plan", "Sender"]

Mode = Literal["add", "update", "ignore"]

_SPLIT_ON = frozenset({"supabase.too_large", "supabase.duplicate_in_input", "supabase.timeout"})
_CANNOT_TELL = frozenset({"supabase.no_unique_index", "supabase.forbidden"})
_LONGEST_COLUMNS = 4000
_KEPT: Mapping[Mode, Literal["all", "first", "last"]] = {"add": "all", "update": "last", "ignore": "first"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How rows get into a table.

    Attributes:
        table: Its name.
        what: What errors call it.
        columns: Of the rows.
        key: What identifies a row; empty where nothing does.
        mode: ``add`` fails on a key that is there; ``update`` and ``ignore`` do what upsert says.
        returning: The parameter ``select`` of what to give back of each row; None: nothing.
    """

    table: str
    what: str
    columns: Sequence[str]
    key: Sequence[str]
    mode: Mode
    returning: str | None = None


class Sender:
    """Sends batches, several at a time if wanted; notes in ``progress`` what it does.

    Args:
        client: To ask.
        plan: How.
        progress: What is known of this and earlier attempts.
        returned: Called with the rows that came back for a batch, before it counts as done.
        warn: Tells the user something: code, message, hint.
    """

    def __init__(
        self,
        client: RestClient,
        plan: Plan,
        progress: Progress,
        returned: Callable[[list[dict[str, Any]]], object],
        warn: Callable[[str, str, str], None],
    ) -> None:
        self._client, self._plan, self._progress = client, plan, progress
        self._returned, self._warn = returned, warn
        self._most_bytes: int | None = None
        self._careful = False

    def send(self, batch: Batch) -> None:
        """Have the rows in the table when this comes back.

        Raises:
            AnswerLostError: Nobody knows whether they are; the message says which rows.
            DriverError: The server refused them.
        """
        for part in batch.split(self._progress.places(batch)):
            self._send_part(part)

    def _send_part(self, batch: Batch) -> None:
        state = self._progress.state(batch)
        if state == "done":
            return
        if self._plan.mode == "add" and state == "other":
            self._meet_other_rows(batch)
        if self._plan.mode == "add" and state == "sent" and not self._plan.key:
            raise self._lost(batch)
        body = batch.body(_KEPT[self._plan.mode])
        if self._most_bytes is not None and len(body) > self._most_bytes and len(batch.rows) > 1:
            self._halve(batch)
            return
        self._progress.send(batch)
        try:
            self._deliver(batch, body, was_sent=state == "sent")
        except DriverError as error:
            if error.code not in _SPLIT_ON or len(batch.rows) == 1:
                raise
            if error.code == "supabase.too_large":
                self._most_bytes = len(body) // 2 + 1
            self._halve(batch)
        else:
            self._progress.confirm(batch)

    def _halve(self, batch: Batch) -> None:
        for half in batch.split([batch.start + len(batch.rows) // 2]):
            self._send_part(half)

    def _deliver(self, batch: Batch, body: bytes, *, was_sent: bool) -> None:
        if self._plan.mode != "add":
            self._put(batch, body)
        elif self._careful:
            self._post(batch, body, "ignore", None)
        elif was_sent or not self._add(batch, body):
            self._add_what_is_missing(batch, body)

    def _put(self, batch: Batch, body: bytes) -> None:
        """Upsert: the same however often it is done."""
        resolution = "merge" if self._plan.mode == "update" else "ignore"
        answer = self._post(batch, body, resolution, self._plan.returning)
        if self._plan.returning is None:
            return
        rows = json.loads(answer.content)
        wanted = len(set(batch.keys))
        if len(rows) != wanted:
            raise DriverError(
                f"{_named(batch)} of {self._plan.what}: {wanted:,} rows were sent and {len(rows):,} came back: a "
                "trigger or a policy hides rows, so that nobody can tell which ones are new; nothing was removed",
                hint="use the secret key, or transport postgres",
                code="supabase.rows_hidden",
            )
        self._returned(rows)

    def _add(self, batch: Batch, body: bytes) -> bool:
        """Insert; False where the answer was lost, but a key can tell what happened."""
        try:
            self._post(batch, body, None, None, repeatable=False)
        except AnswerLostError as error:
            if not self._plan.key:
                raise self._lost(batch) from error
            return False
        except DriverError:
            self._progress.withdraw(batch)
            raise
        return True

    def _add_what_is_missing(self, batch: Batch, body: bytes) -> None:
        """Insert rows that are there, or are not: a request is one transaction, so that it has to be all or none."""
        try:
            answer = self._post(batch, body, "ignore", ",".join(map(name_of, self._plan.key)))
        except DriverError as error:
            if error.code in _CANNOT_TELL:
                raise self._lost(batch) from error
            raise
        added = len(json.loads(answer.content))
        if 0 < added < len(batch.rows):
            raise DriverError(
                f"{_named(batch)} of {self._plan.what}: the answer to the insert was lost; on asking again {added:,} "
                f"rows were added, and {len(batch.rows) - added:,} have keys that were there already, from others",
                hint="use write_mode: upsert, or leave out rows that are there already",
                code="supabase.duplicate_key",
            )

    def _post(
        self, batch: Batch, body: bytes, resolution: str | None, returning: str | None, *, repeatable: bool = True
    ) -> Answer:
        params: list[tuple[str, str]] = []
        columns = ",".join(map(name_of, self._plan.columns))
        if len(columns) <= _LONGEST_COLUMNS:
            params.append(("columns", columns))
        prefer = ["return=minimal" if returning is None else "return=representation"]
        if resolution is not None:
            params.append(("on_conflict", ",".join(map(name_of, self._plan.key))))
            prefer.append(f"resolution={resolution}-duplicates")
        if returning is not None:
            params.append(("select", returning))
        return self._client.request(
            "POST",
            self._plan.table,
            params,
            what=f"{_named(batch)} of {self._plan.what}",
            content=body,
            prefer=",".join(prefer),
            repeatable=repeatable,
        )

    def _meet_other_rows(self, batch: Batch) -> None:
        """An earlier attempt sent other rows in this place."""
        if not self._plan.key:
            raise DriverError(
                f"{_named(batch)} for {self._plan.what} are not those that an earlier attempt wrote there: without a "
                "key nobody can tell which rows are in the table already",
                hint="let the step before give its rows in a fixed order, remove what was written, and start a "
                "new run; or give the table a primary key that is in the rows",
                code="supabase.cannot_resume",
            )
        if not self._careful:
            self._careful = True
            self._warn(
                "supabase.rows_changed",
                f"from row {batch.start + 1:,} on, the input is not what an earlier attempt wrote to "
                f"{self._plan.what}: rows whose key is there already are left as they are",
                "let the step before give its rows in a fixed order",
            )

    def _lost(self, batch: Batch) -> DriverError:
        rows = f"rows {batch.start + 1:,} to {batch.end:,}"
        return AnswerLostError(
            f"{self._plan.what}: the answer to the insert of {rows} of the input was lost: {rows} may be there, "
            "all or none of them; without a key in the rows it cannot be found out",
            hint=f"look whether the {len(batch.rows):,} rows are in the table, remove what was written, and start a "
            "new run; or give the table a primary key that is in the rows, or use transport postgres",
            rows_uncertain=len(batch.rows),
        )


def _named(batch: Batch) -> str:
    return f"rows {batch.start + 1:,} to {batch.end:,}"

"""``supabase.writer`` over REST: requests of many rows, each a transaction of its own."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.supabase.config import SupabaseConnection, WriterConfig
from osiris.drivers.supabase.rest_batches import Batch, cut
from osiris.drivers.supabase.rest_check import check
from osiris.drivers.supabase.rest_client import RestClient
from osiris.drivers.supabase.rest_progress import Progress
from osiris.drivers.supabase.rest_replace import NewKeys, key_selection, remove_others
from osiris.drivers.supabase.rest_rows import RowWriter
from osiris.drivers.supabase.rest_schema import RestTable, find_table
from osiris.drivers.supabase.rest_sender import Plan, Sender
from osiris.drivers.supabase.table_name import TableName
from osiris.drivers.supabase.transport import WriteResult

__all__ = ["RestWriter"]

_NOT_ATOMIC = {
    "append": "if the step fails in the middle, the rows before stay in the table",
    "upsert": "if the step fails in the middle, the rows before stay in the table",
    "replace": "the new rows come first, then the old ones go; others see both meanwhile, and after a failure",
}


class RestWriter:
    """Writes a table through PostgREST."""

    def __init__(self) -> None:
        self._client: RestClient | None = None

    def write(
        self, stream: Dataset, ctx: StepContext, config: WriterConfig, connection: SupabaseConnection
    ) -> WriteResult:
        """See :meth:`osiris.drivers.supabase.transport.TableWriter.write`."""
        table = TableName.parse(config.table, connection.schema_name)
        self._client = RestClient(connection, ctx, table.schema)
        with ExitStack() as held:
            progress = held.enter_context(Progress(ctx.state_dir))
            load = _Load(self._client, ctx, config, table, stream, progress)
            keys = None
            if config.write_mode == "replace":
                keys = NewKeys(ctx.state_dir, load.plan.key)
                held.callback(keys.close)
            rows = load.send_all(stream, keys)
            facts: dict[str, Any] = {"transport": "rest"}
            if keys is not None:
                facts["removed"] = remove_others(self._client, table.name, f"table {table}", load.plan.key, keys)
            progress.finish(rows)
        return WriteResult(rows=rows, location=str(table), facts=facts)

    def committed(
        self, step_id: str, ctx: StepContext, config: WriterConfig, connection: SupabaseConnection
    ) -> Mapping[str, Any] | None:
        """What an earlier attempt noted at its end; one that did not get there is taken up by :meth:`write`."""
        with Progress(ctx.state_dir) as progress:
            if progress.finished is None:
                return None
            location = str(TableName.parse(config.table, connection.schema_name))
            return {"rows": progress.finished, "location": location, "transport": "rest"}

    def check(self, ctx: StepContext, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
        """See :meth:`osiris.drivers.supabase.transport.Reader.check`."""
        return check(ctx, connection, table)

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        if self._client is not None:
            self._client.close()


class _Load:
    """One stream into one table."""

    def __init__(
        self,
        client: RestClient,
        ctx: StepContext,
        config: WriterConfig,
        table: TableName,
        stream: Dataset,
        progress: Progress,
    ) -> None:
        self._client, self._ctx, self._config, self._progress = client, ctx, config, progress
        self._table = table
        self._what = f"table {table}"
        known = find_table(client, table.name, self._what)
        names = stream.schema.names
        self._refuse_columns(names, known)
        self._types = {} if known is None else {name: known.columns[name].type for name in names}
        self.plan = self._make_plan(names, known)
        self._warn("supabase.not_atomic", f"{self._what}: {_NOT_ATOMIC[config.write_mode]}", _USE_POSTGRES)

    def send_all(self, stream: Dataset, keys: NewKeys | None) -> int:
        """All rows into the table; how many."""
        sender = Sender(
            self._client,
            self.plan,
            self._progress,
            returned=keys.add if keys is not None else lambda rows: None,
            warn=self._warn,
        )
        pool = ThreadPoolExecutor(self._config.parallel_batches, thread_name_prefix="supabase-rest")
        flights: deque[tuple[Batch, Future[None]]] = deque()
        rows = 0
        try:
            for batch in self._batches(stream):
                while flights and (
                    len(flights) >= self._config.parallel_batches or _share_keys(batch, [one for one, _ in flights])
                ):
                    flights.popleft()[1].result()
                self._ctx.raise_if_cancelled()
                flights.append((batch, pool.submit(sender.send, batch)))
                rows = batch.end
            for _, flight in flights:
                flight.result()
        except DriverError as error:
            pool.shutdown(wait=True, cancel_futures=True)
            error.facts.setdefault("rows_written", self._progress.rows)
            error.message += f" ({self._progress.rows:,} rows of this step are in the table)"
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return rows

    def _batches(self, stream: Dataset) -> Iterator[Batch]:
        writer = RowWriter(stream.schema, self.plan.key, self._types)
        texts = (part for batch in stream.batches() for part in writer.write(batch))
        return cut(texts, most_rows=self._config.batch_size, most_bytes=self._config.batch_bytes)

    def _make_plan(self, names: Sequence[str], known: RestTable | None) -> Plan:
        mode = self._config.write_mode
        key: Sequence[str] = self._config.primary_key or ()
        if not key and known is not None and known.is_insertable:
            key = known.key
        missing = [name for name in key if name not in names]
        if mode == "append":
            return Plan(table=self._table.name, what=self._what, columns=names, key=() if missing else key, mode="add")
        if not key:
            raise DriverError(
                f"{mode} of {self._what} over REST needs to know what identifies a row: it has no known primary key",
                hint="say primary_key, with the columns of a primary key or unique index; or use transport postgres",
                code="supabase.no_primary_key",
            )
        if missing:
            raise DriverError(
                f"the input has no column {', '.join(map(repr, missing))}, which identifies a row of {self._what}",
                hint=f"the input has {', '.join(names)}; case matters",
                code="supabase.no_column",
            )
        if mode == "upsert":
            return Plan(table=self._table.name, what=self._what, columns=names, key=key, mode=self._config.on_conflict)
        return Plan(
            table=self._table.name,
            what=self._what,
            columns=names,
            key=key,
            mode="update",
            returning=key_selection(key),
        )

    def _refuse_columns(self, names: Sequence[str], known: RestTable | None) -> None:
        twins = [name for name, times in Counter(names).items() if times > 1]
        if twins or not names:
            told = f"more than one column {', '.join(map(repr, twins))}" if twins else "no columns"
            raise DriverError(
                f"the input for {self._what} has {told}",
                hint="give each column a name of its own in the step before",
                code="supabase.columns_differ",
            )
        unknown = [] if known is None else [name for name in names if name not in known.columns]
        if known is not None and unknown:
            raise DriverError(
                f"{self._what} has no column {', '.join(map(repr, unknown))}, which the input has",
                hint=f"the table has {', '.join(known.columns)}; case matters",
                code="supabase.columns_differ",
            )

    def _warn(self, code: str, message: str, hint: str) -> None:
        self._ctx.log_event("warning", {"code": code, "message": message, "hint": hint})


_USE_POSTGRES = "give the connection a pg_dsn and use transport postgres for all or nothing"


def _share_keys(batch: Batch, others: Sequence[Batch]) -> bool:
    """Whether the order of these batches matters, because they hold rows of the same key."""
    if not batch.keys:
        return False
    keys = set(batch.keys)
    return any(not keys.isdisjoint(other.keys) for other in others)

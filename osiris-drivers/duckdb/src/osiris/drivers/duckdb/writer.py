"""``duckdb.writer``: a table of a database file, written in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.commits import CommitMarker
from osiris.drivers.duckdb.database import VERSION, Session
from osiris.drivers.duckdb.extractor import check_file
from osiris.drivers.duckdb.file_config import WriterConfig
from osiris.drivers.duckdb.files import DatabaseFile, is_open_for_reading
from osiris.drivers.duckdb.inputs import exact_reader
from osiris.drivers.duckdb.load import exists, load
from osiris.drivers.duckdb.table_name import TableName

__all__ = ["Writer"]


class Writer(Driver):
    """All rows or none; nobody sees the table before the last row is in it."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        """See :class:`~osiris.drivers.duckdb.file_config.WriterConfig`.

        Raises:
            DriverError: ``duckdb.*``; ``duckdb.locked`` and ``duckdb.transaction`` are retryable.
            OsirisError: What the input raised, unchanged.
        """
        options = WriterConfig.model_validate(config)
        table = TableName.parse(options.table)
        file = _writable(options, ctx)
        ((name, dataset),) = inputs.items()
        _refuse_twins(dataset)
        if is_open_for_reading(file):
            # Perhaps it is our own input that reads the file: it must come to its end before we can write.
            dataset = _spool(dataset, ctx.temp_dir / f"{step_id}.arrow")
        is_new = not file.path.exists()
        if is_new and options.create_if_missing:
            file.make_folder()
        try:
            rows = _write(file, table, options, name, dataset, ctx)
        except BaseException:
            if is_new:
                file.remove_empty()
            raise
        finally:
            dataset.close()
        ctx.log_metric("rows_written", rows)
        ctx.add_output(f"{file.path}:{table}", rows=rows)
        return {}

    def committed(self, step_id: str, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any] | None:
        """Looks for the step's row in ``_osiris_commits``, and clears away what a killed process left.

        Always None with ``commit_marker: false``.

        Raises:
            DriverError: ``duckdb.locked`` (retryable): another process, perhaps the killed one's, has the file open;
                further ``duckdb.*``.
        """
        options = WriterConfig.model_validate(config)
        table = TableName.parse(options.table)
        file = _writable(options, ctx)
        file.remove_stillborn()
        if not file.path.exists():
            return None
        # For writing: closing it then folds the killed process's log into it.
        session = file.open(ctx, write=not is_open_for_reading(file))
        try:
            file.remove_spilled()
            if not options.commit_marker:
                return None
            rows = CommitMarker(session, table, ctx.session_id, ctx.step_id).find()
        finally:
            session.close()
        return None if rows is None else {"rows": rows, "location": f"{file.path}:{table}"}

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """Opens the file, if there is one. Facts: ``version``, ``path``, ``size_bytes`` (None: will be created)."""
        file = DatabaseFile.of(config.get("database"), ctx)
        if file.path.exists():
            return check_file(file, ctx)
        file.check_folder()
        return {"version": VERSION, "path": str(file.path), "size_bytes": None}


def _writable(options: WriterConfig, ctx: StepContext) -> DatabaseFile:
    file = DatabaseFile.of(options.database, ctx)
    if file.read_only:
        raise DriverError(
            f"the connection {options.connection} says read_only: {file.path} will not be written",
            hint="use another connection, or take read_only away",
            code="duckdb.read_only",
        )
    return file


def _refuse_twins(dataset: Dataset) -> None:
    times = Counter(name.casefold() for name in dataset.schema.names)
    twins = [name for name in dataset.schema.names if times[name.casefold()] > 1]
    if twins:
        raise DriverError(
            f"the input has columns that a table cannot tell apart: {', '.join(map(repr, twins))}",
            hint="give each a name of its own in the step before; case makes no difference",
            code="duckdb.columns_differ",
        )


def _write(
    file: DatabaseFile, table: TableName, options: WriterConfig, name: str, dataset: Dataset, ctx: StepContext
) -> int:
    session: Session = file.open(ctx, write=True, memory_limit=options.memory_limit)
    try:
        session.register("osiris_input", exact_reader(session, dataset, name))
        ((catalog,),) = session.execute("SELECT current_database()")
        return _load(session, TableName(table.name, table.schema, str(catalog)), options, ctx)
    except DriverError as error:
        if error.code == "duckdb.catalog":
            error.hint = "look at what is called so: a view, and a table that others refer to, cannot be written anew"
        raise
    finally:
        session.close()


def _load(session: Session, table: TableName, options: WriterConfig, ctx: StepContext) -> int:
    will_fail = not options.create_if_missing and not exists(session, table)
    if not options.commit_marker or will_fail:
        with session.transaction():
            return load(session, table, options)
    marker = CommitMarker(session, table, ctx.session_id, ctx.step_id)
    marker.prepare()
    with session.transaction():
        if options.write_mode == "append":  # the other modes give the same table again
            marker.refuse_second()
        rows = load(session, table, options)
        marker.put(rows)
    return rows


def _spool(dataset: Dataset, path: Path) -> Dataset:
    """The same rows, from a file of their own: whatever they came from has ended."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, dataset.schema) as writer:
        for batch in dataset.batches():
            writer.write_batch(batch)
    dataset.close()
    return Dataset.of(pa.ipc.open_stream(pa.memory_map(str(path))))

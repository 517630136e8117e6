"""``acme.writer``."""

import sqlite3
from contextlib import closing

from osiris.core.driver import Driver


class Writer(Driver):
    """Everything in one transaction: a table that is half-written does not exist."""

    def run(self, step_id, config, inputs, ctx):
        rows = inputs["df"]
        path, table = ctx.resolve_path(ctx.connection["path"]), quoted(config["table"])
        names = rows.schema.names
        marks = ", ".join("?" * len(names))
        written = 0
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"create table if not exists {table} ({', '.join(map(quoted, names))})")
            for batch in rows.batches():
                ctx.raise_if_cancelled()
                values = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                database.executemany(f"insert into {table} values ({marks})", values)
                written += batch.num_rows
        ctx.log_metric("rows_written", written, "rows")
        ctx.add_output(f"{path}:{config['table']}", rows=written)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'

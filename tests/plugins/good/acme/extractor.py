"""``acme.extractor``."""

import sqlite3
from contextlib import closing

import pyarrow as pa

from osiris.core.driver import Driver
from osiris.core.errors import DriverError

TYPES = {int: pa.int64(), float: pa.float64(), bytes: pa.binary()}


class Extractor(Driver):
    def run(self, step_id, config, inputs, ctx):
        with closing(sqlite3.connect(ctx.resolve_path(ctx.connection["path"]))) as database:
            try:
                cursor = database.execute(config["query"])
                rows = cursor.fetchall()
            except sqlite3.Error as error:
                raise DriverError(str(error), hint="does the table exist?", code="acme.query") from error
        ctx.log_metric("rows_read", len(rows), "rows")
        names = [described[0] for described in cursor.description]
        return {"df": pa.table({name: column([row[at] for row in rows]) for at, name in enumerate(names)})}

    def check(self, config, ctx):
        with closing(sqlite3.connect(ctx.resolve_path(ctx.connection["path"]))) as database:
            return {"version": database.execute("select sqlite_version()").fetchone()[0]}


def column(values):
    found = next((type(value) for value in values if value is not None), str)
    return pa.array(values, TYPES.get(found, pa.string()))

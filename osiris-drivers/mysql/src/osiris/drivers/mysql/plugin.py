"""What the MySQL family says of itself; imports neither pymysql nor pyarrow."""

from __future__ import annotations

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl

__all__ = ["osiris_drivers"]

_HERE = "osiris.drivers.mysql"


@hookimpl
def osiris_drivers() -> list[DriverSpec]:
    """The two drivers of the family."""
    return [
        DriverSpec(
            name="mysql.extractor",
            summary="Read a table or a query of MySQL or MariaDB, exactly, in one read-only snapshot",
            factory=f"{_HERE}.extractor:MySqlExtractor",
            config_model=f"{_HERE}.config:ExtractorConfig",
            connection_family="mysql",
            connection_model=f"{_HERE}.config:MySqlConnection",
            role="extractor",
            input_form="stream",
            input_names=(),
            max_inputs=0,
            capabilities=frozenset({"sql", "streaming", "partitions"}),
            example={"connection": "@mysql.main", "table": "orders", "columns": ["id", "amount"]},
        ),
        DriverSpec(
            name="mysql.writer",
            summary="Write a table of MySQL or MariaDB: append, replace, upsert or truncate, in one transaction",
            factory=f"{_HERE}.writer:MySqlWriter",
            config_model=f"{_HERE}.writer_config:MySqlWriterConfig",
            connection_family="mysql",
            connection_model=f"{_HERE}.config:MySqlConnection",
            role="writer",
            input_form="stream",
            min_inputs=1,
            max_inputs=1,
            outputs=(),
            capabilities=frozenset({"append", "replace", "upsert", "truncate", "atomic"}),
            example={"connection": "@mysql.main", "table": "orders", "write_mode": "append"},
        ),
    ]

"""What the DuckDB family says of itself; imports neither duckdb nor pyarrow."""

from __future__ import annotations

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl

__all__ = ["osiris_drivers"]

_HERE = "osiris.drivers.duckdb"


@hookimpl
def osiris_drivers() -> list[DriverSpec]:
    """The three drivers of the family."""
    return [
        DriverSpec(
            name="duckdb.processor",
            summary="Transform inputs with SQL; each input is a table of its name",
            factory=f"{_HERE}.processor:Processor",
            config_model=f"{_HERE}.processor_config:ProcessorConfig",
            role="transform",
            input_form="stream",
            capabilities=frozenset({"sql", "pushdown"}),
            example={"query": "select customer_id, sum(amount) as total from orders group by customer_id"},
        ),
        DriverSpec(
            name="duckdb.extractor",
            summary="Read a table or a query of a DuckDB database file",
            factory=f"{_HERE}.extractor:Extractor",
            config_model=f"{_HERE}.file_config:ExtractorConfig",
            connection_family="duckdb",
            connection_model=f"{_HERE}.file_config:DuckdbConnection",
            role="extractor",
            input_form="stream",
            input_names=(),
            max_inputs=0,
            capabilities=frozenset({"sql", "files"}),
            example={"connection": "@duckdb.main", "table": "orders", "columns": ["id", "amount"]},
        ),
        DriverSpec(
            name="duckdb.writer",
            summary="Write a table of a DuckDB database file: append, replace or upsert, in one transaction",
            factory=f"{_HERE}.writer:Writer",
            config_model=f"{_HERE}.file_config:WriterConfig",
            connection_family="duckdb",
            connection_model=f"{_HERE}.file_config:DuckdbConnection",
            role="writer",
            input_form="stream",
            min_inputs=1,
            max_inputs=1,
            outputs=(),
            capabilities=frozenset({"append", "replace", "upsert", "files"}),
            example={"connection": "@duckdb.main", "table": "orders", "write_mode": "replace"},
        ),
    ]

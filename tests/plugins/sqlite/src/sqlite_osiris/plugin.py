"""What this package offers. Every osiris command imports it: the standard library and the contract alone."""

from __future__ import annotations

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl

__all__ = ["osiris_drivers"]


@hookimpl
def osiris_drivers() -> list[DriverSpec]:
    return [
        DriverSpec(
            name="sqlite.extractor",
            summary="Read a table of a SQLite file",
            factory="sqlite_osiris.extractor:Extractor",
            role="extractor",
            config_model="sqlite_osiris.config:ExtractorConfig",
            connection_family="sqlite",
            connection_model="sqlite_osiris.config:Connection",
            input_form="stream",
            input_names=(),
            max_inputs=0,
            capabilities=frozenset({"sql", "streaming"}),
            example={"connection": "@sqlite.main", "table": "orders"},
        ),
        DriverSpec(
            name="sqlite.writer",
            summary="Write a table of a SQLite file: append, replace or upsert, in one transaction",
            factory="sqlite_osiris.writer:Writer",
            role="writer",
            config_model="sqlite_osiris.config:WriterConfig",
            connection_family="sqlite",
            connection_model="sqlite_osiris.config:Connection",
            input_form="stream",
            input_names=("df",),
            min_inputs=1,
            max_inputs=1,
            outputs=(),
            capabilities=frozenset({"append", "replace", "upsert"}),
            example={"connection": "@sqlite.main", "table": "orders", "write_mode": "replace"},
        ),
    ]

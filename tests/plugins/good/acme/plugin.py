"""What this package offers. Light: only the standard library and the contract."""

import os
from pathlib import Path

from osiris.core.driver import DriverSpec
from osiris.core.execution_adapter import AdapterSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers():
    return [
        DriverSpec(
            name="acme.extractor",
            summary="Reads the result of a query from a SQLite file.",
            factory="acme.extractor:Extractor",
            role="extractor",
            config_model="acme.config:ExtractorConfig",
            connection_family="acme",
            max_inputs=0,
            example={"connection": "@acme.main", "query": "select * from orders"},
        ),
        DriverSpec(
            name="acme.writer",
            summary="Writes rows into a table of a SQLite file.",
            factory="acme.writer:Writer",
            role="writer",
            config_model="acme.config:WriterConfig",
            connection_family="acme",
            input_form="stream",
            input_names=("df",),
            min_inputs=1,
            max_inputs=1,
            outputs=(),
            example={"connection": "@acme.main", "table": "orders"},
        ),
    ]


@hookimpl
def osiris_adapters():
    return [
        AdapterSpec(
            name="acme",
            summary="Runs the pipeline in a named room.",
            factory="acme.adapter:AcmeAdapter",
            options_model="acme.config:AcmeOptions",
        )
    ]


@hookimpl
def osiris_secret_resolvers():
    return {"acme": fetch_secret}


def fetch_secret(name):
    """One file for each secret, in the folder that ACME_VAULT names."""
    file = Path(os.environ.get("ACME_VAULT", "acme-vault")) / name
    if not file.is_file():
        raise KeyError(name)
    return file.read_text().strip()


@hookimpl
def osiris_check_plan(plan):
    """A connection that says read_only is not written to."""
    ids = [step["id"] for step in plan.manifest["steps"]]
    return [
        plan.manifest.problem(
            "acme.read_only",
            f"step {step.id!r} writes to a connection that says read_only",
            ("steps", ids.index(step.id), "config", "connection"),
            "use another connection",
        )
        for step in plan.steps
        if step.driver == "acme.writer" and (step.connection or {}).get("read_only")
    ]


@hookimpl
def osiris_event_sinks(context):
    file = context.environment.get("ACME_AUDIT") or os.environ.get("ACME_AUDIT")
    return [AuditSink(file)] if file else []


class AuditSink:
    """Appends one line for each event of a run, as `run_1 step_start orders`, to the file that ACME_AUDIT names."""

    def __init__(self, file):
        self.file = Path(file)

    def on_event(self, event):
        line = f"{event['session_id']} {event['event']} {event.get('step_id', '')}"
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line.rstrip() + "\n")

    def on_metric(self, metric):
        pass

    def close(self):
        pass


@hookimpl
def osiris_cli_commands():
    return {"acme": ("Say what the acme plugin is.", "acme.command:app")}

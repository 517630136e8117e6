"""The ``acme`` adapter: the same engine as everywhere, in a room with a name."""

from osiris.core import engine
from osiris.core.errors import CollectError
from osiris.core.execution_adapter import ExecutionAdapter


class AcmeAdapter(ExecutionAdapter):
    def __init__(self, room="one", seats=1, light="on"):
        self.room, self.seats, self.light = room, seats, light
        self.report = None

    def prepare(self, manifest, context):
        return engine.prepare(manifest, context)

    def execute(self, prepared, context):
        context.log_event("room_opened", {"room": self.room, "seats": self.seats})
        self.report = engine.RunReport()
        engine.run(prepared, context, self.report)

    def collect(self, prepared, context):
        if self.report is None:
            raise CollectError("nothing was executed", hint="call execute() before collect()")
        return engine.collect(prepared, self.report, environment=f"acme:{self.room}")

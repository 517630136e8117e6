"""The ``acme`` adapter: the same engine as everywhere, in a room with a name."""

from osiris.core import engine
from osiris.core.execution_adapter import ExecutionAdapter


class AcmeAdapter(ExecutionAdapter):
    def __init__(self, room="one", seats=1, light="on"):
        self.room, self.seats, self.light = room, seats, light
        self.report = engine.RunReport()

    def prepare(self, manifest, context):
        return engine.prepare(manifest, context)

    def execute(self, prepared, context):
        context.log_event("room_opened", {"room": self.room, "seats": self.seats})
        engine.run(prepared, context, self.report)

    def collect(self, prepared, context):
        return engine.collect(prepared, self.report, environment=f"acme:{self.room}")

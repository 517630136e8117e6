"""What a run tells: the bus that stamps, the schema that is shipped, the sinks that listen."""

from osiris.core.events.bus import Event, EventBus, Metric, Sink

__all__ = ["Event", "EventBus", "Metric", "Sink"]

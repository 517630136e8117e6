"""The event bus: what it stamps, what it refuses, and that a bad listener harms nobody."""

from __future__ import annotations

import logging
import re
import threading
from decimal import Decimal

import pytest

from osiris.core.errors import UsageError
from osiris.core.events import EventBus
from osiris.core.events.bus import event_type


class Recorder:
    """A sink that keeps what it hears."""

    def __init__(self, bus: EventBus | None = None) -> None:
        self.heard: list = []
        self.closed = 0
        self.bus = bus

    def on_event(self, event):
        self.heard.append(event)

    def on_metric(self, metric):
        self.heard.append(metric)

    def close(self):
        self.closed += 1


class Broken(Recorder):
    """A sink whose disk is full."""

    def on_event(self, event):
        super().on_event(event)
        raise OSError("no space left")

    on_metric = on_event


class Echo(Recorder):
    """A sink that tells something itself while it is told."""

    def on_event(self, event):
        super().on_event(event)
        if event["event"] == "ping":
            self.bus.log_event("pong")


def test_an_event_is_stamped():
    bus = EventBus("run_1")
    event = bus.log_event("step_start", {"step_id": "a", "driver": "x.y"})
    assert event == {
        "schema": "1",
        "seq": 1,
        "ts": event["ts"],
        "session_id": "run_1",
        "event": "step_start",
        "type": "start",
        "step_id": "a",
        "driver": "x.y",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["ts"])


def test_a_metric_is_stamped_and_numbered_with_the_events():
    bus = EventBus("run_1")
    bus.log_event("run_start")
    metric = bus.log_metric("rows_read", 5, "rows", step_id="a", table="t")
    assert (metric["seq"], metric["metric"], metric["value"], metric["unit"]) == (2, "rows_read", 5, "rows")
    assert (metric["step_id"], metric["table"]) == ("a", "t")
    assert [bus.events[0]["seq"], bus.metrics[0]["seq"]] == [1, 2]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("run_start", "start"),
        ("step_complete", "complete"),
        ("step_failed", "error"),
        ("run_cancelled", "error"),
        ("execution_interrupted", "error"),
        ("my_error", "error"),
        ("restarted", "info"),
        ("start", "info"),
    ],
)
def test_the_name_says_the_type(name, kind):
    assert event_type(name) == kind
    assert EventBus("x").log_event(name)["type"] == kind


def test_data_may_say_the_type_itself():
    assert EventBus("x").log_event("sandbox_created", {"type": "complete"})["type"] == "complete"


def test_another_kind_of_type_is_kept_as_data():
    event = EventBus("x").log_event("sandbox_created", {"type": "large"})
    assert (event["type"], event["data_type"]) == ("info", "large")


@pytest.mark.parametrize("key", ["schema", "seq", "ts", "session_id", "event", "metric", "value", "unit"])
def test_reserved_keys_of_data_are_kept_aside(key):
    bus = EventBus("x")
    event = bus.log_event("e", {key: "mine"})
    assert event[f"data_{key}"] == "mine"
    assert (event["seq"], event["session_id"], event["event"]) == (1, "x", "e")
    if key not in ("metric", "value", "unit"):
        metric = bus.log_metric("m", 1, **{key: "mine"})
        assert metric[f"data_{key}"] == "mine"
        assert metric["session_id"] == "x"


def test_what_the_caller_changes_later_does_not_change_history():
    bus, data = EventBus("x"), {"rows": [1]}
    bus.log_event("e", data)
    data["rows"].append(2)
    assert bus.events[0]["rows"] == [1]


def test_redaction_sees_plain_values_only_and_everything_of_them():
    seen = []

    def redact(data):
        seen.append(data)
        return {key: str(value).replace("hunter2", "***") for key, value in data.items()}

    bus = EventBus("x", redact=redact)
    event = bus.log_event("connected with hunter2", {"error": OSError("bad password hunter2"), "raw": b"hunter2"})
    metric = bus.log_metric("m", 1, "rows", uri="db://u:hunter2@h", hunter2=1)
    assert "hunter2" not in str(event)
    assert (event["error"], event["event"]) == ("bad password ***", "connected with ***")
    assert metric["uri"] == "db://u:***@h"
    assert all(type(value) in (str, int) for data in seen for value in data.values())


def test_a_redactor_that_is_false_for_now_is_still_the_redactor():
    class Later(list):
        def __call__(self, data):
            return {key: "***" if value in self else value for key, value in data.items()}

    redactor = Later()
    bus = EventBus("x", redact=redactor)
    redactor.append("hunter2")
    assert bus.log_event("e", {"password": "hunter2"})["password"] == "***"


@pytest.mark.parametrize("data", [None, {}])
def test_an_event_needs_no_data(data):
    assert set(EventBus("x").log_event("e", data)) == {"schema", "seq", "ts", "session_id", "event", "type"}


def test_data_that_is_no_mapping_is_kept():
    assert EventBus("x").log_event("e", ["a"])["data"] == ["a"]


@pytest.mark.parametrize("value", ["12", b"1", None, [1], object(), {}])
def test_a_metric_needs_a_number(value):
    bus = EventBus("x")
    with pytest.raises(UsageError, match="'m' needs a number") as caught:
        bus.log_metric("m", value)
    assert caught.value.code == "metric.not_a_number"
    assert bus.metrics == ()


def test_numbers_of_other_libraries_are_numbers():
    numpy = pytest.importorskip("numpy")
    pa = pytest.importorskip("pyarrow")
    bus = EventBus("x")
    given = [numpy.int64(3), numpy.float32(0.5), Decimal("1.5"), True, pa.scalar(7, pa.int64())]
    told = [bus.log_metric("m", value)["value"] for value in given]
    assert told == [3, 0.5, 1.5, 1, 7]
    assert [type(value) for value in told] == [int, float, float, int, int]


def test_numbers_are_strictly_increasing_and_every_sink_hears_them_in_order():
    bus, sink = EventBus("x"), Recorder()
    bus.subscribe(sink)
    barrier = threading.Barrier(8)

    def tell(worker):
        barrier.wait()
        for number in range(250):
            bus.log_event("e", {"worker": worker, "number": number})
            bus.log_metric("m", number, worker=worker)

    threads = [threading.Thread(target=tell, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record["seq"] for record in sink.heard] == list(range(1, 4001))
    own = [record["number"] for record in bus.events if record["worker"] == 3]
    assert own == list(range(250))


def test_a_sink_that_raises_is_dropped_once_loudly_and_closed(caplog):
    bus, before, broken, after = EventBus("x"), Recorder(), Broken(), Recorder()
    for sink in (before, broken, after):
        bus.subscribe(sink)
    with caplog.at_level(logging.ERROR):
        bus.log_event("one")
        bus.log_event("two")
    assert [event["event"] for event in broken.heard] == ["one"]
    assert broken.closed == 1
    assert [event["event"] for event in before.heard] == ["one", "sink_dropped", "two"]
    assert [event["event"] for event in after.heard] == ["one", "sink_dropped", "two"]
    assert bus.events[1]["sink"] == "Broken"
    assert bus.events[1]["error"] == "no space left"
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("error", "with_traceback"), [(OSError(28, "No space left on device"), False), (KeyError("n"), True)]
)
def test_a_traceback_only_where_the_code_is_wrong(caplog, error, with_traceback):
    class Bad(Recorder):
        def on_event(self, event):
            raise error

        def close(self):
            raise error

    bus = EventBus("x")
    bus.subscribe(Bad())
    with caplog.at_level(logging.ERROR):
        bus.log_event("one")
    [record] = caplog.records
    assert bool(record.exc_info) is with_traceback
    assert record.getMessage() == f"event sink Bad raised and is dropped: {error}"


def test_two_broken_sinks_are_both_dropped(caplog):
    bus, sinks = EventBus("x"), [Broken(), Broken(), Recorder()]
    for sink in sinks:
        bus.subscribe(sink)
    with caplog.at_level(logging.ERROR):
        bus.log_metric("m", 1)
    assert [event["event"] for event in bus.events] == ["sink_dropped", "sink_dropped"]
    assert [record["seq"] for record in sinks[2].heard] == [1, 2, 3]


def test_what_a_sink_tells_comes_after_what_it_is_told_for_every_sink():
    bus = EventBus("x")
    echo, after = Echo(bus), Recorder()
    bus.subscribe(echo)
    bus.subscribe(after)
    bus.log_event("ping")
    assert [event["event"] for event in echo.heard] == ["ping", "pong"]
    assert [event["event"] for event in after.heard] == ["ping", "pong"]


def test_close_is_told_once_and_later_records_stay_in_memory(caplog):
    class BadEnd(Recorder):
        def close(self):
            super().close()
            raise OSError("gone")

    bus, bad, good = EventBus("x"), BadEnd(), Recorder()
    bus.subscribe(bad)
    bus.subscribe(good)
    with caplog.at_level(logging.ERROR):
        bus.close()
        bus.close()
    bus.log_event("late")
    assert (bad.closed, good.closed) == (1, 1)
    assert good.heard == []
    assert [event["event"] for event in bus.events] == ["late"]


def test_what_was_recorded_cannot_be_changed_through_the_property():
    bus = EventBus("x")
    bus.log_event("e")
    assert isinstance(bus.events, tuple)
    assert isinstance(bus.metrics, tuple)


def test_a_sink_that_changes_what_it_is_told_changes_nothing_for_others():
    class Changing(Recorder):
        def on_event(self, event):
            event.pop("event")
            event["rows"].append(2)
            event.clear()

        on_metric = on_event

    bus, after = EventBus("x"), Recorder()
    bus.subscribe(Changing())
    bus.subscribe(after)
    bus.log_event("e", {"rows": [1]})
    bus.log_metric("m", 1, rows=[1])
    assert [event["event"] for event in bus.events] == ["e", "sink_dropped"]  # a metric has no key "event"
    assert [record["rows"] for record in (*bus.events[:1], *bus.metrics, *after.heard[:2])] == [[1]] * 4

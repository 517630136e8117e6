"""The JSONL files of a session: whole lines, valid JSON, whatever is told and whenever the process dies."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.events import EventBus
from osiris.core.events.sinks import JsonlSink, read_jsonl


@pytest.fixture
def bus(tmp_path):
    bus = EventBus("run_1")
    bus.subscribe(JsonlSink(tmp_path))
    yield bus
    bus.close()


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def strictly(line: bytes):
    return json.loads(line, parse_constant=refuse)


def test_every_record_is_in_its_file_at_once(bus, tmp_path):
    bus.log_event("run_start", {"pipeline": "p"})
    assert list(read_jsonl(tmp_path / "events.jsonl")) == list(bus.events)
    bus.log_metric("rows_read", 3, "rows", step_id="a")
    assert list(read_jsonl(tmp_path / "metrics.jsonl")) == list(bus.metrics)


def test_the_files_are_their_owners_alone(bus, tmp_path):
    for name in ("events.jsonl", "metrics.jsonl"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


AWKWARD = [
    "a\nb\r\nc",
    "\x00\x1f",
    "\u2028\u2029\x85",
    "Příliš žluťoučký",
    "𝄞",
    "\ud800 lone",
    '"\\',
    "\x7f\x0b\x0c\x1c",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_any_text_stays_on_one_line(bus, tmp_path, text):
    bus.log_event("e", {"text": text, text: 1})
    raw = (tmp_path / "events.jsonl").read_bytes()
    assert raw.count(b"\n") == 1
    assert len(raw.decode().splitlines()) == 1
    told = strictly(raw)["text"]
    assert told == (text if "\ud800" not in text else "\\ud800 lone")


def test_other_readers_take_it(bus, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    for text in AWKWARD:
        bus.log_event("e", {"text": text})
    bus.log_metric("m", float("nan"))
    bus.log_metric("m", 1.5)
    events, metrics = tmp_path / "events.jsonl", tmp_path / "metrics.jsonl"
    assert duckdb.sql(f"select count(*) from read_json('{events}')").fetchall() == [(len(AWKWARD),)]
    assert duckdb.sql(f"select value from read_json('{metrics}') order by seq").fetchall() == [(None,), (1.5,)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not_are_null(bus, tmp_path, value):
    bus.log_metric("m", value, share=value)
    bus.log_event("e", {"deep": [{"share": value}]})
    (metric,) = map(strictly, (tmp_path / "metrics.jsonl").read_bytes().splitlines())
    (event,) = map(strictly, (tmp_path / "events.jsonl").read_bytes().splitlines())
    assert (metric["value"], metric["share"], event["deep"]) == (None, None, [{"share": None}])


def test_a_record_of_another_bus_is_made_json(tmp_path):
    sink = JsonlSink(tmp_path)
    sink.on_event({"event": "e", "price": Decimal("1.10"), "share": float("nan"), (1, 2): object})
    sink.close()
    (event,) = read_jsonl(tmp_path / "events.jsonl")
    assert (event["price"], event["share"]) == ("1.10", None)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.dictionaries(st.text(max_size=20), st.text() | st.floats() | st.binary(), max_size=4))
def test_whatever_is_told_is_one_valid_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("events")
    bus = EventBus("run_1")
    bus.subscribe(JsonlSink(folder))
    bus.log_event("e", data)
    bus.close()
    raw = (folder / "events.jsonl").read_bytes()
    assert raw.endswith(b"\n")
    assert len(raw.decode().splitlines()) == 1
    assert strictly(raw)["event"] == "e"


CHILD = """
import sys
from osiris.core.events import EventBus
from osiris.core.events.sinks import JsonlSink
bus = EventBus("run_1")
bus.subscribe(JsonlSink(sys.argv[1]))
number = 0
while True:
    number += 1
    bus.log_event("e", {"number": number, "padding": "x" * 500})
    if number == 2000:
        print("going", flush=True)
"""


def test_a_killed_process_leaves_every_event_it_told(tmp_path):
    with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"going\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    numbers = [event["number"] for event in read_jsonl(tmp_path / "events.jsonl")]
    assert len(numbers) >= 2000
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_sink(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"seq":1}\n{"seq":2,"text":"' + b"x" * 200_000)
    assert list(read_jsonl(path)) == [{"seq": 1}]
    sink = JsonlSink(tmp_path)
    sink.on_event({"seq": 3})
    sink.close()
    assert path.read_bytes() == b'{"seq":1}\n{"seq":3}\n'


def test_a_file_that_is_nothing_but_a_torn_line(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"se')
    assert list(read_jsonl(path)) == []
    JsonlSink(tmp_path).close()
    assert path.read_bytes() == b""


def test_reading_tells_a_file_that_is_not_ours(tmp_path):
    (tmp_path / "a.jsonl").write_text("[1]\n{}\n")
    (tmp_path / "b.jsonl").write_text("hello\n{}\n")
    with pytest.raises(ValueError, match="not a JSON object"):
        list(read_jsonl(tmp_path / "a.jsonl"))
    with pytest.raises(ValueError, match="line 1"):
        list(read_jsonl(tmp_path / "b.jsonl"))
    assert list(read_jsonl(tmp_path / "none.jsonl")) == []


def test_a_folder_that_is_not_there_is_told_and_nothing_stays_open(tmp_path):
    def open_files():
        return len(list(Path("/proc/self/fd").glob("*")))

    before = open_files()
    with pytest.raises(FileNotFoundError):
        JsonlSink(tmp_path / "none")
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(IsADirectoryError):
        JsonlSink(tmp_path)
    assert open_files() == before


def test_close_may_be_called_again(tmp_path):
    sink = JsonlSink(tmp_path)
    sink.close()
    sink.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_drops_the_sink_and_not_the_run(tmp_path, caplog):
    bus, sink = EventBus("run_1"), JsonlSink(tmp_path)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, sink._events._file)
    os.close(full)
    bus.subscribe(sink)
    bus.log_event("one")
    bus.log_event("two")
    assert [event["event"] for event in bus.events] == ["one", "sink_dropped", "two"]
    assert "No space left" in bus.events[1]["error"]

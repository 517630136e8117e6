"""Canaries: secrets that a driver does its best to leak, searched for in every byte that a run writes."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest

from osiris.cli.main import main
from osiris.core.adapter_factory import AdapterFactory
from osiris.core.connections import REDACTOR, install_log_filter
from osiris.core.errors import DriverError
from osiris.core.lifecycle import run_pipeline
from osiris.core.session import Session

CANARIES = {
    "plain": "canary-7f3c9a11e2",
    "awkward": "cAn@ry/ž \"q'\\uote&5c0ffee",
    "spaces": "canary with spaces 4711",
}


class Leaks:
    """Tells the secret in every way there is; ``end`` says how it ends."""

    def run(self, step_id, config, inputs, ctx):
        secret = config["password"]
        ctx.log_event(
            "connected", {"password": secret, "nested": [{"uri": f"db://user:{quote(secret, safe='')}@host"}]}
        )
        ctx.log_event(f"connected with {secret}", {secret: "as a key"})
        ctx.log_event("bytes", {"raw": secret.encode(), "path": Path("/tmp") / secret, "error": OSError(secret)})
        ctx.log_event("encoded", {"header": "Basic " + base64.b64encode(f"user:{secret}".encode()).decode()})
        ctx.log_event("json", {"body": json.dumps({"password": secret}), "repr": repr({"password": secret})})
        ctx.log_metric("latency_ms", 1.0, "ms", host=f"db://{secret}@host", **{f"tag {secret}": 1})
        ctx.log_metric(f"latency of {secret}", 1.0, unit=secret)
        ctx.add_output(f"db://user:{quote(secret)}@host/table", rows=1, by=secret)
        logging.getLogger("acme").warning("connecting with %s", secret)
        if config["end"] == "driver error":
            raise DriverError(f"no access with {secret}", hint=f"is {secret} right?", uri=f"db://u:{quote(secret)}@h")
        if config["end"] == "bug":
            try:
                int(secret)
            except ValueError as error:
                raise RuntimeError(f"login failed for {secret!r}") from error
        return {}


@pytest.fixture
def forget():
    yield
    REDACTOR.clear()


def forms(secret):
    """The secret, and how it looks on its way through urls, headers, JSON and Python."""
    yield secret.encode()
    yield quote(secret).encode()
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret, ensure_ascii=False)[1:-1].encode()
    yield repr(secret)[1:-1].encode()
    # The middle of any base64 that holds it, for each position it may have there.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret.encode()).rstrip(b"=")
        yield encoded[4:-4]


@pytest.mark.parametrize("end", ["success", "driver error", "bug"])
@pytest.mark.parametrize("name", sorted(CANARIES))
def test_no_byte_of_the_session_holds_the_secret(tmp_path, register, forget, monkeypatch, capfd, caplog, name, end):
    secret = CANARIES[name]
    monkeypatch.setenv("CANARY", secret)
    register("test.leaks", Leaks, outputs=())
    manifest = {
        "version": "1.0.0",
        "name": "leaky",
        "steps": [{"id": "leak", "driver": "test.leaks", "config": {"password": "${CANARY}", "end": end}}],
    }
    install_log_filter()
    session = Session.create(tmp_path, pipeline="leaky", manifest=manifest, adapter="local", command=["run", "leaky"])
    context = session.context(base_dir=tmp_path)
    result = run_pipeline(AdapterFactory.create("local"), manifest, context, adapter_name="local")
    session.finish(result)
    assert result.status == ("success" if end == "success" else "failed")

    assert [event["event"] for event in session.events()].count("output_written") == 1  # it did run
    written = {path: path.read_bytes() for path in session.dir.rglob("*") if path.is_file()}
    assert {"events.jsonl", "metrics.jsonl", "session.json", "result.json", "manifest.json"} <= {
        p.name for p in written
    }
    told = capfd.readouterr()
    logged = "".join(record.getMessage() for record in caplog.records)
    written[Path("terminal")] = (told.out + told.err + logged).encode()
    error = "".join(traceback.format_exception(result.error)) if result.error else ""
    written[Path("result")] = f"{result!r}{result.to_dict()}{result.error!r}{result.error}{error}".encode()
    for path, content in written.items():
        for form in forms(secret):
            assert form not in content, f"{path.name} holds {form!r}"
    assert b"***" in written[session.dir / "events.jsonl"]
    (told,) = (event for event in session.events() if event["event"] == "secret_resolved")
    assert (told["secret"], told["option"], told["source"]) == ("CANARY", "password", "environment")


def test_the_reference_stays_readable(tmp_path, register, forget, monkeypatch):
    monkeypatch.setenv("CANARY", CANARIES["plain"])
    register("test.leaks", Leaks, outputs=())
    step = {"id": "leak", "driver": "test.leaks", "config": {"password": "${CANARY}", "end": "success"}}
    manifest = {"version": "1.0.0", "name": "leaky", "steps": [step]}
    session = Session.create(tmp_path, pipeline="leaky", manifest=manifest, adapter="local")
    session.finish(run_pipeline(AdapterFactory.create("local"), manifest, session.context(base_dir=tmp_path)))
    assert session.manifest()["steps"][0]["config"]["password"] == "${CANARY}"


def test_what_the_adapter_prepares_holds_the_secret_in_its_environment_only(tmp_path, register, forget, monkeypatch):
    monkeypatch.setenv("CANARY", CANARIES["plain"])
    register("test.leaks", Leaks, outputs=())
    step = {"id": "leak", "driver": "test.leaks", "config": {"password": "${CANARY}", "end": "bug"}}
    manifest = {"version": "1.0.0", "name": "leaky", "steps": [step]}
    session = Session.create(tmp_path, pipeline="leaky", manifest=manifest, adapter="local")
    adapter, context = AdapterFactory.create("local"), session.context(base_dir=tmp_path)
    prepared = adapter.prepare(manifest, context)
    session.close()
    adapter.close()
    assert CANARIES["plain"] in prepared.environment.values()
    assert CANARIES["plain"] not in repr(prepared)
    assert CANARIES["plain"] not in repr(prepared.configs) + repr(prepared.manifest) + repr(prepared.metadata)
    assert CANARIES["plain"] not in repr(context)


def test_a_traceback_is_kept_without_the_secret(tmp_path, register, forget, monkeypatch):
    monkeypatch.setenv("CANARY", CANARIES["plain"])
    register("test.leaks", Leaks, outputs=())
    step = {"id": "leak", "driver": "test.leaks", "config": {"password": "${CANARY}", "end": "bug"}}
    manifest = {"version": "1.0.0", "name": "leaky", "steps": [step]}
    session = Session.create(tmp_path, pipeline="leaky", manifest=manifest, adapter="local")
    result = run_pipeline(AdapterFactory.create("local"), manifest, session.context(base_dir=tmp_path))
    session.finish(result)
    (failed,) = (event for event in session.events() if event["event"] == "step_failed")
    assert "login failed for '***'" in failed["traceback"]
    assert "invalid literal for int() with base 10: '***'" in failed["traceback"]
    assert "test_canary.py" in failed["traceback"]
    assert "login failed" in "".join(traceback.format_exception(result.error))


@pytest.mark.parametrize("name", sorted(CANARIES))
def test_removing_the_run_shows_no_secret_and_leaves_none(tmp_path, register, forget, monkeypatch, capfd, name):
    secret = CANARIES[name]
    monkeypatch.setenv("CANARY", secret)
    register("test.leaks", Leaks, outputs=())
    step = {"id": "leak", "driver": "test.leaks", "config": {"password": "${CANARY}", "end": "bug"}}
    manifest = {"version": "1.0.0", "name": f"leaky {secret}", "steps": [step]}
    session = Session.create(tmp_path, pipeline=manifest["name"], manifest=manifest, adapter="local")
    context = session.context(base_dir=tmp_path)
    (session.artifacts_dir / "kept.txt").write_text(secret)  # what a driver keeps is its own matter
    session.finish(run_pipeline(AdapterFactory.create("local"), manifest, context))
    capfd.readouterr()
    for options in (["--dry-run"], ["--dry-run", "--json"], ["--json"]):
        assert main(["runs", "purge", "--keep", "0", "--session-dir", str(tmp_path), *options]) == 0
        told = capfd.readouterr()
        assert session.id in told.out
        for form in forms(secret):
            assert form not in (told.out + told.err).encode()
    assert [path.name for path in tmp_path.rglob("*")] == [".purge.lock"]


class Repeats:
    """Tells every value of every row it gets, in every way there is."""

    def run(self, step_id, config, inputs, ctx):
        rows = inputs["df"].table().to_pylist()
        ctx.log_event("rows", {"rows": rows, "text": repr(rows)})
        (ctx.artifacts_dir / "rows.json").write_text(json.dumps(rows))
        (ctx.state_dir / "rows.json").write_text(json.dumps(rows))
        logging.getLogger("acme").warning("rows %s", rows)
        raise RuntimeError(f"cannot write {rows!r}")


@pytest.mark.parametrize("method", ["hash", "redact", "partial"])
def test_masked_values_and_the_key_are_nowhere_but_where_they_come_from(
    tmp_path, register, forget, monkeypatch, capfd, caplog, method
):
    key, values = CANARIES["plain"], ["canary-row-0001", "canary-row-0002 ž", "canary-row-3"]
    monkeypatch.setenv("CANARY", key)
    (tmp_path / "in.csv").write_text("id,who\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values)))
    stream = {"input_form": "stream", "input_names": ("df",), "max_inputs": 1}
    register("test.repeats", Repeats, role="writer", outputs=(), **stream)
    mask = {"columns": ["who"], "method": method, **({"salt": "${CANARY}"} if method == "hash" else {})}
    read = {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "in.csv"}, "mask": mask}
    sql = {"driver": "duckdb.processor", "inputs": {"t": "${read}"}, "config": {"query": "select * from t"}}
    save = {"id": "save", "driver": "test.repeats", "inputs": {"df": "${sql}"}}
    steps = [{**read, "checkpoint": True}, {"id": "sql", **sql}, {"id": "other", **sql}, save]
    manifest = {"version": "1.0.0", "name": "masked", "steps": steps}
    session = Session.create(tmp_path / "runs", pipeline="masked", manifest=manifest, adapter="local")
    result = run_pipeline(AdapterFactory.create("local"), manifest, session.context(base_dir=tmp_path))
    session.finish(result)
    assert result.status == "failed"
    written = {path.name: path.read_bytes() for path in session.dir.rglob("*") if path.is_file()}
    assert {"events.jsonl", "result.json", "rows.json", "read.df.arrows"} <= written.keys()
    told = capfd.readouterr()
    written["terminal"] = (told.out + told.err + "".join(record.getMessage() for record in caplog.records)).encode()
    for secret in (key, *values):
        for place, content in written.items():
            for form in forms(secret):
                assert form not in content, f"{place} holds {form!r}"

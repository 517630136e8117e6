"""Each secret that a run is given is told: its name, for which step, from where; never what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.connections import REDACTOR, SecretReference, SecretResolver, secret_references
from osiris.core.errors import ConnectionConfigError
from osiris.core.events.bus import OWN_EVENTS
from osiris.core.execution_adapter import RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.session import Session

Register = Callable[..., None]
VALUE = "audit-canary-"
SAVE = {"id": "save", "driver": "filesystem.csv_writer", "config": {"path": "out.csv"}, "inputs": {"df": "${read}"}}


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    REDACTOR.clear()


class Takes:
    """Takes secrets and does nothing with them."""

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        return {}


def run(steps: list[dict[str, Any]], folder: Path, **more: Any) -> tuple[RunResult, Session]:
    manifest = {"version": "1.0.0", "name": "audit", "steps": steps}
    session = Session.create(folder / "runs", pipeline="audit", manifest=manifest, adapter="local")
    options = more.pop("options", {})
    context = session.context(base_dir=folder, project_dir=folder, **more)
    result = run_pipeline(AdapterFactory.create("local", **options), manifest, context, adapter_name="local")
    session.finish(result)
    return result, session


def told(session: Session) -> list[tuple[str, ...]]:
    keys = ("step_id", "secret", "used_by", "option", "source")
    return [tuple(e[key] for key in keys) for e in session.events() if e["event"] == "secret_resolved"]


def test_where_each_came_from(tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    register("test.takes", Takes, outputs=())
    monkeypatch.setenv("FROM_HERE", f"{VALUE}1")
    monkeypatch.setenv("OF_BOTH", f"{VALUE}2")
    (tmp_path / ".env").write_text(f"FROM_FILE={VALUE}3\nOF_BOTH={VALUE}4\n")
    (tmp_path / "token").write_text(f"{VALUE}5\n")
    config = {
        "password": "${FROM_HERE}",
        "uri": "db://u:${FROM_FILE}@host",
        "nested": {"list": ["${GIVEN}"]},
        "token": "${file:token}",
        "region": "${UNSET:-audit-canary-default}",
        "both": "${OF_BOTH}",
    }
    steps = [{"id": "a", "driver": "test.takes", "config": config}]
    result, session = run(steps, tmp_path, environment={"GIVEN": f"{VALUE}6"})
    assert result.status == "success", result.error
    assert told(session) == [
        ("a", "FROM_HERE", "step a", "password", "environment"),
        ("a", "FROM_FILE", "step a", "uri", str(tmp_path / ".env")),
        ("a", "GIVEN", "step a", "list", "given with the run"),
        ("a", "file:token", "step a", "token", f"file {tmp_path / 'token'}"),
        ("a", "UNSET", "step a", "region", "default"),
        ("a", "OF_BOTH", "step a", "both", "environment"),
    ]
    events = (session.dir / "events.jsonl").read_text()
    assert VALUE not in events
    names = [event["event"] for event in session.events()]
    assert names.index("prepare_start") < names.index("secret_resolved") < names.index("prepare_complete")


def test_each_step_that_uses_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE", f"{VALUE}1")
    connections = "filesystem: {lake: {base_dir: data, storage_options: {key: '${LAKE}'}}}"
    (tmp_path / "osiris_connections.yaml").write_text(connections)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.csv").write_text("a\n1\n")
    lake = {"connection": "@filesystem.lake"}
    steps = [
        {"id": "read", "driver": "filesystem.csv_extractor", "config": {**lake, "path": "in.csv"}},
        {**SAVE, "config": {**lake, "path": "out.csv"}},
    ]
    result, session = run(steps, tmp_path)
    assert result.status == "success", result.error
    used = ("LAKE", "connection @filesystem.lake", "key", "environment")
    assert told(session) == [("read", *used), ("save", *used)]
    assert VALUE not in "".join(path.read_text() for path in session.dir.rglob("*") if path.is_file())


@pytest.mark.parametrize("options", [{}, {"isolation": "process"}])
def test_it_is_told_the_same_wherever_the_run_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("NAME", "in")
    (tmp_path / "in.csv").write_text("a\n1\n")
    read = {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "${NAME}.csv"}}
    result, session = run([read, SAVE], tmp_path, options=options)
    assert result.status == "success", result.error
    assert told(session) == [("read", "NAME", "step read", "path", "environment")]


def test_what_was_read_before_another_was_missed_is_told_too(
    tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("test.takes", Takes, outputs=())
    monkeypatch.setenv("IS_THERE", f"{VALUE}1")
    config = {"password": "${IS_THERE}", "token": "${IS_NOT_THERE}"}
    result, session = run([{"id": "a", "driver": "test.takes", "config": config}], tmp_path)
    assert isinstance(result.error, ConnectionConfigError)
    assert told(session) == [("a", "IS_THERE", "step a", "password", "environment")]
    assert [event["event"] for event in session.events()][-1] == "run_failed"


def test_a_run_without_secrets_tells_nothing(tmp_path: Path, register: Register) -> None:
    register("test.takes", Takes, outputs=())
    result, session = run([{"id": "a", "driver": "test.takes", "config": {"text": "$${NOT_ONE}"}}], tmp_path)
    assert result.status == "success", result.error
    assert told(session) == []


def test_the_resolver_knows_what_it_resolved() -> None:
    resolver = SecretResolver({"A": f"{VALUE}1"}, extra_schemes={"vault": lambda name: f"{VALUE}{name}"})
    asked = secret_references(["${A}", "${vault:db/main}", "${B}"])
    assert [resolver.resolved(reference) for reference in asked] == [None, None, None]
    with pytest.raises(ConnectionConfigError, match="variable B is not set"):
        resolver.resolve_all(asked)
    places = [source.place if (source := resolver.resolved(reference)) else None for reference in asked]
    assert places == ["given with the run", "vault", None]


@pytest.mark.parametrize(
    ("text", "name"),
    [("${A}", "A"), ("${A:-pass:word}", "A"), ("${file:/run/x}", "file:/run/x"), ("${v:a:b}", "v:a:b")],
)
def test_what_a_reference_is_called_says_no_default(text: str, name: str) -> None:
    (reference,) = secret_references(text)
    assert isinstance(reference, SecretReference)
    assert reference.told == name


def test_programs_may_look_for_it() -> None:
    assert "secret_resolved" in OWN_EVENTS  # so that its name is never redacted

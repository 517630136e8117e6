"""Canaries: a secret goes by one file, and is nowhere else: not at the provider, not in any file of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from e2b_server import E2BServer

from osiris.core.connections import REDACTOR
from osiris.core.execution_adapter import ExecutionContext
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import manifest_from_dict
from osiris.core.session import Session

from .conftest import Proxy, rogue_steps

CANARY = "c4nary-pa55word-&-qu0te'"
PASSED = "c4nary-pass3d-variable"
UNUSED = "c4nary-that-nobody-asked-for"


@pytest.fixture(autouse=True)
def clean_redactor() -> None:
    REDACTOR.clear()


def files_with(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.parametrize("fails", [False, True])
def test_a_secret_is_nowhere(
    fails: bool,
    rogue: Path,
    cloud: E2BServer,
    proxy: Proxy,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DB_PASSWORD", CANARY)
    monkeypatch.setenv("OTHER_PASSWORD", UNUSED)
    monkeypatch.setenv("MY_TOKEN", PASSED)
    trace = tmp_path / "trace.log"
    monkeypatch.setenv("OSIRIS_RPC_TRACE", str(trace))
    (rogue / "rogue" / "actor.py").write_text((rogue / "rogue" / "actor.py").read_text() + THERE)
    config = {"do": "show_secret_there", "token": "${DB_PASSWORD}", "raise": fails}
    manifest = manifest_from_dict(rogue_steps(config))
    session = Session.create(tmp_path / "runs", pipeline="x", manifest=manifest, adapter="e2b")
    context = session.context(base_dir=project, project_dir=project)
    result = run_pipeline(proxy(pass_env="MY_TOKEN"), manifest, context, adapter_name="e2b")
    session.finish(result)
    assert result.status == ("failed" if fails else "success"), result.error
    (seen,) = [event for event in context.events if event["event"] == "seen"]
    assert seen["length"] == len(CANARY), "the driver did get the secret"
    assert seen["passed"] == len(PASSED), "and the variable"
    assert seen["found"] == [], "no file in the sandbox has it, nor has the worker's environment or command line"
    assert seen["text"] == "it is ***"
    said = "".join(capfd.readouterr())
    assert "printed ***" in said
    for canary in (CANARY, PASSED, UNUSED):
        assert cloud.log.find(canary) == []
        assert files_with(session.dir, canary) == []
        assert canary not in trace.read_text()
        assert canary not in said
    assert cloud.api_key not in trace.read_text() + repr(context.events)
    assert '"method":"run"' in trace.read_text()


THERE = """
    def show_secret_there(self):
        token = self.config["token"]
        own = Path(f"/proc/{os.getpid()}")
        places = [own / "environ", own / "cmdline"]
        places += [path for path in Path("/home/user").rglob("*") if path.is_file()]
        found = [str(path) for path in places if token.encode() in path.read_bytes()]
        passed = os.environ["MY_TOKEN"]
        told = {"length": len(token), "found": found, "text": f"it is {token}", "passed": len(passed)}
        self.ctx.log_event("seen", told)
        print("printed", token, passed, file=sys.stderr)
        if self.config.get("raise"):
            raise ValueError(f"no use for {token}")
"""


def test_only_what_is_listed_of_the_environment_goes_along(
    rogue: Path, proxy: Proxy, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTED", "yes")
    monkeypatch.setenv("NOT_LISTED", "no")
    (rogue / "rogue" / "actor.py").write_text((rogue / "rogue" / "actor.py").read_text() + TELL)
    context = ExecutionContext("run", tmp_path / "session", base_dir=project)
    manifest = manifest_from_dict(rogue_steps({"do": "tell_environment"}))
    result = run_pipeline(proxy(pass_env="LISTED", env="MORE=1,OTHER=a=b"), manifest, context)
    assert result.status == "success", result.error
    (told,) = [event for event in context.events if event["event"] == "environment"]
    assert (told["LISTED"], told["MORE"], told["OTHER"]) == ("yes", "1", "a=b")
    assert "NOT_LISTED" not in told
    assert "PYTHONPATH" not in told
    assert not {name for name in told if name.startswith("E2B_API")}
    assert "NOT_LISTED" in os.environ


TELL = """
    def tell_environment(self):
        self.ctx.log_event("environment", dict(os.environ))
"""

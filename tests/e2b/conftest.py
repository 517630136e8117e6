"""A provider on loopback, projects, and pipelines that run there with the real SDK."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b_server import E2BServer

from osiris.core.execution_adapter import ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import load_manifest, manifest_from_dict
from osiris.core.plugins import Catalog
from osiris.remote.e2b_transparent_proxy import E2BTransparentProxy
from osiris.testing import reference
from osiris.testing.reference import make_project

TESTS = Path(__file__).resolve().parents[1]
CORPUS = Path(str(reference.CORPUS)) / "pipelines"
ROGUE = TESTS / "local" / "rogue"

Proxy = Callable[..., E2BTransparentProxy]
InSandbox = Callable[..., tuple[RunResult, ExecutionContext]]


@pytest.fixture(scope="session")
def provider() -> Iterator[E2BServer]:
    """The provider; one for all tests of this process."""
    with pytest.MonkeyPatch.context() as patch, E2BServer() as server:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.delenv("E2B_API_KEY", raising=False)
        yield server


@pytest.fixture
def cloud(provider: E2BServer) -> Iterator[E2BServer]:
    """The provider, without faults; after the test no sandbox may be left."""
    yield provider
    provider.faults.clear()
    left = list(provider.sandboxes)
    for sandbox in left:
        provider.faults.kill_sandbox(sandbox.sandbox_id)
    assert left == []


@pytest.fixture
def proxy(cloud: E2BServer) -> Proxy:
    """Make an adapter that uses the provider's ready template."""

    def make(**options: Any) -> E2BTransparentProxy:
        where = {"api_key": cloud.api_key, "api_url": cloud.api_url, "sandbox_url": cloud.sandbox_url}
        return E2BTransparentProxy(**{**where, "template": "base", **options})

    return make


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with what the corpus reads."""
    return make_project(tmp_path)


@pytest.fixture
def run(proxy: Proxy, project: Path, tmp_path: Path) -> InSandbox:
    """Run a manifest (its data, or the name of one of the corpus) in a sandbox."""

    def go(
        manifest: Any, adapter: E2BTransparentProxy | None = None, context: dict[str, Any] | None = None, **options: Any
    ) -> tuple[RunResult, ExecutionContext]:
        loaded = (
            load_manifest(CORPUS / f"{manifest}.yaml") if isinstance(manifest, str) else manifest_from_dict(manifest)
        )
        told = ExecutionContext("run", tmp_path / "session", base_dir=project, project_dir=project, **(context or {}))
        return run_pipeline(adapter or proxy(**options), loaded, told, adapter_name="e2b"), told

    return go


@pytest.fixture
def rogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the package ``rogue`` (drivers that behave badly), on this process's path only."""
    folder = tmp_path / "packages"
    shutil.copytree(ROGUE, folder / "rogue", ignore=shutil.ignore_patterns("__pycache__"))
    facts = folder / "rogue_osiris-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: rogue-osiris\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[osiris.drivers]\nrogue = rogue.plugin\n")
    monkeypatch.syspath_prepend(str(folder))
    Catalog.reset()
    yield folder
    Catalog.reset()


def rogue_steps(*steps: dict[str, Any]) -> dict[str, Any]:
    """A manifest of steps of the bad driver, one after the other."""
    listed = []
    for number, config in enumerate(steps):
        needs = {"needs": [f"step{number - 1}"]} if number else {}
        listed.append({"id": f"step{number}", "driver": "rogue.actor", "config": config, **needs})
    return {"version": "1.0.0", "name": "rogue", "steps": listed}


def names(context: ExecutionContext) -> list[str]:
    """The events' names, in order."""
    return [event["event"] for event in context.events]


def only(context: ExecutionContext, name: str) -> Any:
    """The one event of this name."""
    (found,) = [event for event in context.events if event["event"] == name]
    return found


def pairs_are_complete(context: ExecutionContext) -> bool:
    """Whether every start has exactly one end."""
    told = names(context)
    stems = {name.removesuffix("_start") for name in told if name.endswith("_start")}
    return all(
        told.count(f"{stem}_start") == sum(told.count(f"{stem}_{end}") for end in ("complete", "failed", "cancelled"))
        for stem in stems
    )


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Until something happened elsewhere: nobody tells us, so we look."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if found := condition():
            return found
        pause.wait(0.02)
    raise AssertionError("it did not happen")


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) not in "ZX"
    except OSError:
        return False


class Listener:
    """A sink that does something when an event comes."""

    def __init__(self, name: str, act: Callable[[Any], object]) -> None:
        self._name = name
        self._act = act
        self.heard = threading.Event()

    def on_event(self, event: Any) -> None:
        if event["event"] == self._name and not self.heard.is_set():
            self.heard.set()
            self._act(event)

    def on_metric(self, metric: Any) -> None:
        pass

    def close(self) -> None:
        pass


def environment_of(cloud: E2BServer) -> dict[str, str]:
    """The environment of a process whose SDK is to talk to the provider."""
    return {**os.environ, **cloud.environment}

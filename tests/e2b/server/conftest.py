"""The tests' own E2B server and the unmodified SDK that talks to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from e2b import E2B, Sandbox
from e2b_server import E2BServer, Options

EXIT_EVENT_SECONDS = 1.0


@pytest.fixture(scope="module")
def server() -> Iterator[E2BServer]:
    options = Options(exit_event_seconds=EXIT_EVENT_SECONDS, max_lifetime=3600)
    with pytest.MonkeyPatch.context() as patch, E2BServer(options=options) as server:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield server


@pytest.fixture
def client(server: E2BServer) -> Iterator[E2B]:
    """The SDK, bound to the server; afterwards no fault and no sandbox is left."""
    yield E2B(**server.connection)
    server.faults.clear()
    for sandbox in server.sandboxes:
        server.faults.kill_sandbox(sandbox.sandbox_id)


@pytest.fixture
def sandbox(client: E2B) -> Sandbox:
    return client.Sandbox.create(timeout=120)


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait for what happens in the server's own time."""

    def wait(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        end = time.monotonic() + seconds
        while not (result := condition()):
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.01)
        return result

    return wait

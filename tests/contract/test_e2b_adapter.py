"""The E2B adapter keeps the contract, with the real SDK against a provider on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from e2b_server import E2BServer

from osiris.core.execution_adapter import ExecutionAdapter
from osiris.remote.e2b_transparent_proxy import E2BTransparentProxy
from osiris.testing import AdapterContract


@pytest.fixture(scope="module")
def provider() -> Iterator[E2BServer]:
    with pytest.MonkeyPatch.context() as patch, E2BServer() as server:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.delenv("E2B_API_KEY", raising=False)
        yield server


@pytest.mark.slow
class TestE2B(AdapterContract):
    @pytest.fixture
    def adapter_name(self) -> str:
        return "e2b"

    @pytest.fixture
    def extra_events(self) -> tuple[str, ...]:
        return ("sandbox_created", "files_uploaded", "files_downloaded")

    @pytest.fixture
    def adapter(self, provider: E2BServer) -> Callable[[], ExecutionAdapter]:
        where = {"api_key": provider.api_key, "api_url": provider.api_url, "sandbox_url": provider.sandbox_url}
        return lambda: E2BTransparentProxy(**where, template="base")

    @pytest.fixture(autouse=True)
    def no_sandbox_left(self, provider: E2BServer) -> Iterator[None]:
        yield
        left = list(provider.sandboxes)
        for sandbox in left:
            provider.faults.kill_sandbox(sandbox.sandbox_id)
        assert left == []

"""The one module that imports E2B's SDK, and only when a sandbox is wanted. All it raises are errors of ours."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osiris.remote.e2b.ending import Completed, exit_code
from osiris.remote.e2b.errand import run_errand
from osiris.remote.e2b.failure import attempt, explained

if TYPE_CHECKING:
    import e2b

__all__ = ["Cloud", "Sandbox", "Stream", "WhenOutput"]

WhenOutput = Callable[[str], Awaitable[None]]
"""Told what a process writes, as it comes; the next is read when it returns."""


class Cloud:
    """E2B, or who speaks as it does.

    Args:
        api_key: None: what ``E2B_API_KEY`` says; so for the others.
        domain: Where it is.
        api_url: Where its API is.
        sandbox_url: Where all sandboxes are reached.
        request_timeout: Seconds that one request may take.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        domain: str | None = None,
        api_url: str | None = None,
        sandbox_url: str | None = None,
        request_timeout: float = 30.0,
    ) -> None:
        given = {"api_key": api_key, "domain": domain, "api_url": api_url, "sandbox_url": sandbox_url}
        self._settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self._settings["request_timeout"] = request_timeout
        self._creation: asyncio.Future[Sandbox] | None = None

    @cached_property
    def _client(self) -> e2b.E2B:
        import e2b  # a quarter of a second and 40 MB: not before a sandbox is wanted

        return e2b.E2B(**self._settings)

    async def begin(self) -> None:
        """Import the SDK, so that it is there when it is needed."""
        await asyncio.to_thread(lambda: self._client)

    async def create(
        self,
        *,
        template: str | None,
        timeout: int,
        metadata: Mapping[str, str],
        network: Mapping[str, Any] | None,
        internet: bool,
        idempotency_key: str,
    ) -> Sandbox:
        """A new sandbox; asked again with the same key, the same one.

        Raises:
            ExecutionError: There is none to be had.
        """

        async def make() -> Sandbox:
            made = await self._client.AsyncSandbox.create(
                template=template,
                timeout=timeout,
                metadata=dict(metadata),
                allow_internet_access=internet,
                network=dict(network) if network else None,  # type: ignore[arg-type]  # the SDK's TypedDict
                idempotency_key=idempotency_key,
            )
            return Sandbox(made)

        doing = f"create a sandbox of template {template or 'base'!r}"
        self._creation = asyncio.ensure_future(attempt(doing, make))
        # Who gives up waiting does not give up the sandbox: it may come to be all the same, and has to be killed.
        return await asyncio.shield(self._creation)

    async def made(self, patience: float) -> Sandbox | None:
        """The sandbox that was asked for, though nobody waited for it; None where none came within seconds."""
        if self._creation is None:
            return None
        await asyncio.wait({self._creation}, timeout=patience)
        if not self._creation.done() or self._creation.cancelled() or self._creation.exception() is not None:
            self._creation.cancel()
            return None
        return self._creation.result()

    async def find(self, metadata: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
        """The ids and the metadata of the sandboxes, running or paused, that have this metadata."""
        import e2b

        async def look() -> list[tuple[str, dict[str, str]]]:
            pages = self._client.AsyncSandbox.list(query=e2b.SandboxQuery(metadata=dict(metadata)))
            found: list[tuple[str, dict[str, str]]] = []
            while pages.has_next:
                found += [(info.sandbox_id, dict(info.metadata)) for info in await pages.next_items()]
            return found

        return await attempt("list the sandboxes", look)

    async def kill(self, sandbox_id: str) -> bool:
        """End a sandbox; False where there is none (any more)."""
        return await attempt(f"kill sandbox {sandbox_id}", lambda: self._client.AsyncSandbox.kill(sandbox_id))

    async def has_template(self, name: str) -> bool:
        """Whether the account has a template of this name."""
        return await attempt(f"look for template {name!r}", lambda: self._client.AsyncTemplate.exists(name))

    async def build_template(
        self, name: str, *, python: str, packages: Sequence[str], cpu: int | None, memory_mb: int | None
    ) -> None:
        """Build a template from the official image of a Python, with packages installed by pip.

        Raises:
            PrepareError: ``e2b.template_failed``.
        """

        async def build() -> None:
            template = self._client.AsyncTemplate().from_python_image(f"{python}-slim")
            if packages:
                template = template.pip_install(list(packages))
            await self._client.AsyncTemplate.build(template, name, cpu_count=cpu, memory_mb=memory_mb)

        await attempt(f"build template {name!r}", build)


class Sandbox:
    """One sandbox."""

    def __init__(self, made: e2b.AsyncSandbox) -> None:
        self._made = made
        self.id: str = made.sandbox_id

    async def run(self, command: str, *, timeout: float = 60.0) -> Completed:
        """Run a command to its end, in a login shell; again where what it wrote was lost on its way.

        Args:
            command: Shown to the provider: no secrets.
            timeout: Seconds after which it is killed.
        """
        return await run_errand(self, command, timeout)

    async def start(
        self,
        command: str,
        *,
        on_stdout: WhenOutput,
        on_stderr: WhenOutput,
        timeout: float = 0,
        stdin: bool = True,
    ) -> Stream:
        """Start a process.

        Args:
            command: Shown to the provider: no secrets.
            on_stdout: Told what it writes.
            on_stderr: The same for standard error.
            timeout: Seconds after which it is killed, not only its stream ended; 0: never.
            stdin: Whether it gets standard input.
        """
        try:
            handle = await self._made.commands.run(
                command,
                background=True,
                stdin=stdin,
                timeout=timeout,
                on_stdout=on_stdout,
                on_stderr=on_stderr,
                retain_output=False,
            )
        except Exception as error:
            raise explained(error, "start a process in the sandbox") from error
        return Stream(handle)

    async def attach(self, pid: int, *, lease: float, on_stdout: WhenOutput, on_stderr: WhenOutput) -> Stream:
        """Listen to a process that runs, or ended a moment ago.

        Args:
            pid: Which.
            lease: Seconds after which the stream ends by itself, whatever happened to it. The process goes on.
            on_stdout: Told what it writes from now on.
            on_stderr: The same for standard error.

        Raises:
            ExecutionError: ``e2b.process_gone``: it ended long ago; and others.
        """
        try:
            handle = await self._made.commands.connect(
                pid, timeout=lease, request_timeout=10, on_stdout=on_stdout, on_stderr=on_stderr, retain_output=False
            )
        except Exception as error:
            raise explained(error, "listen to the worker") from error
        return Stream(handle)

    async def send(self, pid: int, data: bytes) -> None:
        """Write on a process's standard input. What is sent is shown to the provider: no secrets."""
        try:
            await self._made.commands.send_stdin(pid, data, request_timeout=15)
        except Exception as error:
            raise explained(error, "speak to the worker") from error

    async def close_input(self, pid: int) -> None:
        """End a process's standard input."""
        try:
            await self._made.commands.close_stdin(pid, request_timeout=10)
        except Exception as error:
            raise explained(error, "end the worker's input") from error

    async def write(self, path: str, data: bytes | Path) -> None:
        """Write a file; one of this machine is streamed. The provider's logs do not have what is in it."""

        async def do() -> None:
            with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
                await self._made.files.write(path, file)

        await attempt(f"upload {path}", do)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """What is in a file, in portions.

        Raises:
            ExecutionError: ``e2b.file_missing``; the stream broke off; and others.
        """
        try:
            reader = await self._made.files.read(path, format="stream")
            async with reader:
                async for portion in reader:
                    yield bytes(portion)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:
            raise explained(error, f"download {path}") from error

    async def extend(self, seconds: int) -> None:
        """Let it live for so many seconds from now on."""
        try:
            await self._made.set_timeout(seconds)
        except Exception as error:
            raise explained(error, "extend the sandbox's life") from error

    async def answers(self) -> bool:
        """Ask it itself whether it is there."""
        try:
            return await self._made.is_running(request_timeout=10)
        except Exception as error:
            raise explained(error, "reach the sandbox") from error

    async def lives(self) -> bool:
        """Whether E2B says that it runs."""
        import e2b

        try:
            info = await self._made.get_info(request_timeout=10)
        except e2b.NotFoundException:
            return False
        except Exception as error:
            raise explained(error, "ask for the sandbox") from error
        return str(getattr(info.state, "value", info.state)) == "running"

    async def size(self) -> dict[str, Any]:
        """What it is made of: ``cpu``, ``memory_mb``, ``template``."""
        info = await attempt("ask for the sandbox", self._made.get_info)
        return {
            "cpu": info.cpu_count,
            "memory_mb": info.memory_mb,
            "template": info.name or info.template_id,
        }

    async def ends_at(self) -> datetime:
        """When its time is over if nothing is done, as E2B says, by E2B's clock."""
        info = await attempt("ask for the sandbox", self._made.get_info)
        return info.end_at

    async def memory(self) -> dict[str, int]:
        """The last memory figures that E2B has, in MB: ``used`` and ``total``; empty where it has none."""
        with suppress(Exception):  # only decoration of another error
            taken = await self._made.get_metrics()
            if taken:
                unit = 1024 * 1024
                return {"used": taken[-1].mem_used // unit, "total": taken[-1].mem_total // unit}
        return {}


class Stream:
    """What a process says, while somebody listens."""

    def __init__(self, handle: e2b.AsyncCommandHandle[None]) -> None:
        self._handle = handle
        self.pid: int = handle.pid

    async def ended(self) -> int:
        """Wait for the end of the process; gives its exit code, negative for a signal.

        Raises:
            ExecutionError: The stream ended, which says nothing about the process.
        """
        import e2b

        try:
            await self._handle.wait()
        except e2b.CommandExitException as end:
            return exit_code(end.exit_code, end.error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise explained(error, "listen to the worker") from error
        return 0

    async def leave(self) -> None:
        """Listen no more; the process goes on."""
        with suppress(Exception):
            await self._handle.disconnect()

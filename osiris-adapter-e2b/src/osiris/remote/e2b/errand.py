"""A command run to its end in the sandbox, though its stream may live shorter than it does."""

from __future__ import annotations

import asyncio
import secrets
from time import monotonic
from typing import TYPE_CHECKING

from osiris.core.errors import OsirisError
from osiris.remote.e2b.ending import Completed
from osiris.remote.e2b.failure import attempt

if TYPE_CHECKING:
    from osiris.remote.e2b.sdk import Sandbox

__all__ = ["run_errand"]

_STREAM_SECONDS = 60.0


async def run_errand(sandbox: Sandbox, command: str, timeout: float) -> Completed:
    """Run a command that may be run again; what it writes comes by its stream or, where that was lost, by files.

    Args:
        sandbox: Where.
        command: For a shell. Shown to the provider: no secrets.
        timeout: Seconds after which it is killed.

    Raises:
        ExecutionError: It cannot be run.
    """
    lost = False

    async def do() -> Completed:
        nonlocal lost
        try:
            return await (_by_files if lost else _by_stream)(sandbox, command, timeout)
        except OsirisError as error:
            lost = lost or error.retryable
            raise

    return await attempt("run a command in the sandbox", do)


async def _by_stream(sandbox: Sandbox, command: str, timeout: float) -> Completed:
    written: list[str] = []
    complained: list[str] = []
    code = await _end(sandbox, command, timeout, written, complained, must_hear=True)
    return Completed(code, "".join(written), "".join(complained))


async def _by_files(sandbox: Sandbox, command: str, timeout: float) -> Completed:
    place = f"/tmp/.osiris-{secrets.token_hex(6)}"  # noqa: S108  # a folder that only its maker can open
    kept = f"mkdir -m 700 {place} && ( {command}\n) >{place}/out 2>{place}/err; echo $? >{place}/code"
    await _end(sandbox, kept, timeout, [], [], must_hear=False)
    code, written, complained = [await _content(sandbox, f"{place}/{name}") for name in ("code", "out", "err")]
    return Completed(int(code), written, complained)


async def _content(sandbox: Sandbox, path: str) -> str:
    return b"".join([portion async for portion in sandbox.read(path)]).decode("utf-8", "replace")


async def _end(
    sandbox: Sandbox, command: str, timeout: float, written: list[str], complained: list[str], *, must_hear: bool
) -> int:
    """Start it and wait until it has ended; where its stream is lost, too: two of a kind must not run at once."""

    async def hear(text: str) -> None:
        written.append(text)

    async def hear_error(text: str) -> None:
        complained.append(text)

    stream = await sandbox.start(command, on_stdout=hear, on_stderr=hear_error, timeout=timeout, stdin=False)
    begun = monotonic()
    try:
        return await stream.ended()
    except OsirisError as error:
        if not error.retryable:
            raise
        while monotonic() - begun < timeout and not await _has_ended(sandbox, stream.pid):
            await asyncio.sleep(0.1)
        if must_hear:
            raise
    return 0


async def _has_ended(sandbox: Sandbox, pid: int) -> bool:
    async def ignore(text: str) -> None:
        """What was missed is not made good by what comes now."""

    try:
        stream = await sandbox.attach(pid, lease=_STREAM_SECONDS, on_stdout=ignore, on_stderr=ignore)
        await stream.ended()
    except OsirisError as error:
        return not error.retryable  # nobody knows of it any more
    return True

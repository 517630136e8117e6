"""The worker's input and output, over streams that are cut, fall silent and come back."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic

from osiris.core.errors import OsirisError, UnreachableError
from osiris.core.remote import INTERRUPTED
from osiris.core.remote.protocol import MAX_MESSAGE_BYTES, PARSE_ERROR, ProtocolError
from osiris.remote.e2b.backstage import Backstage
from osiris.remote.e2b.failure import GONE
from osiris.remote.e2b.lease import Lease
from osiris.remote.e2b.mirror import Mirror
from osiris.remote.e2b.sdk import Sandbox, Stream

__all__ = ["SandboxTransport"]

_AHEAD = 8 * 1024 * 1024
"""Bytes that may wait to be read here; then the stream, and so the worker, waits."""

_LAST_WORDS = 16 * 1024
_END_SECONDS = 7.0
_STREAM_SECONDS = 300.0
_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)


class SandboxTransport:
    """A worker in a sandbox: a :class:`~osiris.core.remote.Transport`.

    Args:
        backstage: Where the streams are read.
        sandbox: Where it is to run.
        command: What starts it.
        mirror: Whose paths are put right in what it says.
        journal: The worker's own record of what it said, for the case that it dies.
        quiet: Seconds after which a stream that says nothing counts as lost.
        patience: Seconds that are spent on getting a lost stream back.
        lease: The sandbox's life.
        vitals: Asked for the machine's state when the worker dies; gives a line.
        on_stderr: Told what the worker and its drivers print.
    """

    def __init__(
        self,
        backstage: Backstage,
        sandbox: Sandbox,
        command: str,
        *,
        mirror: Mirror,
        journal: str,
        quiet: float,
        patience: float,
        lease: Lease,
        vitals: Callable[[], asyncio.Future[str]] | None = None,
        on_stderr: Callable[[bytes], object],
    ) -> None:
        self._backstage = backstage
        self._sandbox = sandbox
        self._command = command
        self._mirror = mirror
        self._journal = journal
        self._quiet = quiet
        self._patience = patience
        self._lease = lease
        self._vitals = vitals
        self._on_stderr = on_stderr
        self._said: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
        self._ahead = 0
        self._lock = threading.Lock()
        self._room = asyncio.Event()
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._words: deque[str] = deque()
        self._words_size = 0
        self._pid: int | None = None
        self._running = asyncio.Event()
        self._ended = asyncio.Event()
        self._code: int | None = None
        self._heard = monotonic()
        self._closing = False
        self.begun = monotonic()
        self.first_word: float | None = None
        """When the worker said something for the first time, by the monotonic clock."""
        self.interruptions = 0
        """How often the stream was lost and found again."""
        self._work: list[Future[None]] = [backstage.submit(self._live()), backstage.submit(self._post())]

    # The transport's face: any thread

    def send(self, line: bytes) -> None:
        """See :class:`~osiris.core.remote.Transport`."""
        if self._closing:
            raise BrokenPipeError("the transport is closed")
        self._backstage.loop.call_soon_threadsafe(self._outbox.put_nowait, line)

    def lines(self) -> Iterator[bytes]:
        """See :class:`~osiris.core.remote.Transport`.

        Raises:
            UnreachableError: The sandbox is gone, or does not answer for too long.
            ProtocolError: A line is longer than any message.
        """
        parts: list[bytes] = []
        size = 0
        while (item := self._said.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            if item == INTERRUPTED:
                parts, size = [], 0
                yield INTERRUPTED
                continue
            self._take(len(item))
            *whole, rest = item.split(b"\n")
            for line in whole:
                parts.append(line)
                yield self._mirror.here(b"".join(parts)) or b" "  # an empty one would say something else
                parts, size = [], 0
            parts.append(rest)
            size += len(rest)
            if size > MAX_MESSAGE_BYTES:
                raise ProtocolError(PARSE_ERROR, f"a line is longer than {MAX_MESSAGE_BYTES:,} bytes")

    def stop(self, *, force: bool) -> None:
        """See :class:`~osiris.core.remote.Transport`."""
        if not self._ended.is_set():
            with suppress(RuntimeError):  # the loop has ended: so has the sandbox
                self._work.append(self._backstage.submit(self._signal("KILL" if force else "TERM")))

    def exit_code(self) -> int | None:
        """See :class:`~osiris.core.remote.Transport`."""
        return self._code

    def last_words(self) -> str:
        """See :class:`~osiris.core.remote.Transport`."""
        return "".join(self._words)[-_LAST_WORDS:]

    def close(self) -> None:
        """See :class:`~osiris.core.remote.Transport`."""
        if self._closing:
            return
        self._closing = True
        with suppress(Exception):
            self._backstage.submit(self._shut()).result(_END_SECONDS * 2)
        for work in self._work:
            work.cancel()
        self._said.put(None)

    # Reading: the loop's thread

    async def _live(self) -> None:
        try:
            stream: Stream | None = await self._sandbox.start(
                self._command, on_stdout=self._hear, on_stderr=self._hear_error
            )
            self._heard = monotonic()
            while stream is not None:
                self._pid = stream.pid
                self._running.set()
                if await self._follow(stream):
                    break
                stream = await self._find_again(stream.pid)
                if stream is not None:
                    self.interruptions += 1
                    self._said.put(INTERRUPTED)
            self._ended.set()
            if not self._closing:
                await self._tell_the_end()
            self._said.put(None)
        except asyncio.CancelledError:
            self._said.put(None)
            raise
        except BaseException as error:  # whoever reads has to know
            self._said.put(error)
        finally:
            self._ended.set()

    async def _follow(self, stream: Stream) -> bool:
        """Listen; True when the process has ended, False when only the stream has."""
        end = asyncio.ensure_future(stream.ended())
        try:
            while not end.done():
                await asyncio.wait({end}, timeout=self._quiet / 4)
                if not end.done() and self._ahead == 0 and monotonic() - self._heard > self._quiet:
                    return False
            self._code = end.result()
        except OsirisError:
            return False
        else:
            return True
        finally:
            end.cancel()
            # Not waited for: a stream that is dead does not even end.
            self._backstage.loop.create_task(stream.leave())

    async def _find_again(self, pid: int) -> Stream | None:
        """Listen again; None where the process ended so long ago that nobody knows how."""
        begun = monotonic()
        tries = 0
        while True:
            await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1
            try:
                stream = await self._sandbox.attach(
                    pid, lease=_STREAM_SECONDS, on_stdout=self._hear, on_stderr=self._hear_error
                )
            except OsirisError as error:
                if error.code == "e2b.process_gone":
                    return None
                if error.code == GONE and not await self._still_lives():
                    raise self._lost(error) from error
                if monotonic() - begun > self._patience:
                    raise UnreachableError(
                        f"the sandbox has not answered for {self._patience:.0f} s: {error.message}",
                        hint=error.hint,
                        code="e2b.unreachable",
                        retryable=True,
                        sandbox_id=self._sandbox.id,
                    ) from error
            else:
                self._heard = monotonic()
                return stream

    async def _still_lives(self) -> bool:
        try:
            return await self._sandbox.lives()
        except OsirisError:  # nobody knows: it is tried again until patience ends
            return True

    def _lost(self, error: OsirisError) -> UnreachableError:
        if self._lease.over:
            return UnreachableError(
                f"the time of sandbox {self._sandbox.id} was over",
                hint="E2B limits how long a sandbox may live; see the limits of your plan, or split the pipeline",
                code="e2b.sandbox_expired",
                sandbox_id=self._sandbox.id,
            )
        return UnreachableError(
            f"sandbox {self._sandbox.id} is gone: {error.message}",
            hint="somebody killed it, or E2B did; see https://e2b.dev/dashboard",
            code=GONE,
            retryable=True,
            sandbox_id=self._sandbox.id,
        )

    async def _hear(self, text: str) -> None:
        data = text.encode()
        self._heard = monotonic()
        if self.first_word is None:
            self.first_word = self._heard
        with self._lock:
            self._ahead += len(data)
            full = self._ahead > _AHEAD
            if full:
                self._room.clear()
        self._said.put(data)
        if full:
            await self._room.wait()

    def _take(self, size: int) -> None:
        with self._lock:
            was_full = self._ahead > _AHEAD
            self._ahead -= size
            free = was_full and self._ahead <= _AHEAD
        if free:
            with suppress(RuntimeError):
                self._backstage.loop.call_soon_threadsafe(self._room.set)

    async def _hear_error(self, text: str) -> None:
        self._heard = monotonic()
        self._note(text)
        self._on_stderr(text.encode())

    def _note(self, text: str) -> None:
        self._words.append(text)
        self._words_size += len(text)
        while self._words_size - len(self._words[0]) >= _LAST_WORDS:
            self._words_size -= len(self._words.popleft())

    async def _tell_the_end(self) -> None:
        """What the worker said and nobody heard; and, where it died, what is known of that."""
        with suppress(OsirisError):
            first = True
            async for portion in self._sandbox.read(self._journal):
                if first:
                    self._said.put(b"\n")  # what was torn must not be taken for the beginning of this
                    first = False
                with self._lock:
                    self._ahead += len(portion)
                self._said.put(portion)
        if self._code != 0 and self._vitals is not None:
            with suppress(OsirisError):
                told = await self._vitals()
                if self._code is None or self._code in (-9, 137):  # it said nothing itself
                    self._note(f"\n{told}\n")
                else:
                    self._words.appendleft(f"{told}\n")

    # Writing: the loop's thread

    async def _post(self) -> None:
        """Send what is to be sent, in order. A line may arrive twice, or torn and whole: the worker minds neither."""
        await self._running.wait()
        torn = b""
        while True:
            lines = [await self._outbox.get()]
            while not self._outbox.empty():
                lines.append(self._outbox.get_nowait())
            data = b"".join(lines)
            begun = monotonic()
            while not self._ended.is_set() and self._pid is not None:
                try:
                    await self._sandbox.send(self._pid, torn + data)
                    torn = b""
                    break
                except OsirisError:  # who listens finds out what it is
                    torn = b"\n"
                    if monotonic() - begun > self._patience:
                        break
                    await asyncio.sleep(0.2)

    async def _signal(self, name: str) -> None:
        await self._running.wait()
        group = "-" if name == "KILL" else ""  # asked to end, the worker ends its children itself
        with suppress(OsirisError):
            await self._sandbox.run(f"kill -{name} -- {group}{self._pid}", timeout=10)

    async def _shut(self) -> None:
        """End the worker: its input ends, and so it does."""
        if self._pid is not None and not self._ended.is_set():
            with suppress(OsirisError):
                await self._sandbox.close_input(self._pid)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _END_SECONDS)
            if not self._ended.is_set():
                await self._signal("KILL")

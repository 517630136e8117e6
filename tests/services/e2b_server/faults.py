"""Faults on demand: what goes wrong with requests, streams, processes and sandboxes, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .streams import Cut, How, Stream, Where

if TYPE_CHECKING:
    from .cloud import Cloud

T = TypeVar("T")


@dataclass(eq=False)
class Rule:
    """What happens to requests of an operation; ``times``: how often still, None for always."""

    operation: str
    kind: Literal["respond", "drop", "delay", "hang", "cut", "fail_build"]
    times: int | None
    sandbox_id: str | None = None
    status: int = 0
    message: str = ""
    retry_after: float | None = None
    seconds: float = 0.0
    after: bool = False
    cut: Cut | None = None
    step: str = ""

    def meets(self, operation: str, sandbox_id: str | None) -> bool:
        """Whether the rule is about this request."""
        return (
            self.times != 0
            and fnmatchcase(operation, self.operation)
            and (self.sandbox_id is None or self.sandbox_id == sandbox_id)
        )


class Faults:
    """Faults on demand; every method may be called from any thread.

    Operations are named ``sandbox.create``, ``sandbox.get``, ``sandbox.list``, ``sandbox.kill``, ``sandbox.timeout``,
    ``sandbox.connect``, ``template.exists`` and so on; ``process.Start``, ``process.Connect``, ``process.SendInput``,
    ``filesystem.Stat`` and so on; ``files.read``, ``files.write``, ``health``. Patterns work: ``sandbox.*``, ``*``.
    """

    FOR_THE_SERVER = ("take", "hold", "cut_for", "opened", "closed")

    def __init__(self, cloud: Cloud, on_loop: Callable[[Callable[[], Any]], Any]) -> None:
        """``on_loop`` runs a function where the server lives and gives its result."""
        self._cloud = cloud
        self._on_loop = on_loop
        self._rules: list[Rule] = []
        self._streams: set[Stream] = set()
        self._hole: set[str | None] = set()
        self._released = asyncio.Event()

    # Requests

    def respond(
        self,
        operation: str,
        status: int,
        *,
        times: int | None = 1,
        message: str = "a fault on demand",
        retry_after: float | None = None,
        sandbox_id: str | None = None,
    ) -> None:
        """Answer the next requests with an HTTP status instead of doing what they ask."""
        self._add(
            Rule(operation, "respond", times, sandbox_id, status=status, message=message, retry_after=retry_after)
        )

    def drop(
        self, operation: str, *, times: int | None = 1, after: bool = False, sandbox_id: str | None = None
    ) -> None:
        """Close the connection instead of an answer; ``after``: what was asked is done all the same."""
        self._add(Rule(operation, "drop", times, sandbox_id, after=after))

    def delay(self, operation: str, seconds: float, *, times: int | None = None, sandbox_id: str | None = None) -> None:
        """Let requests wait before they are looked at."""
        self._add(Rule(operation, "delay", times, sandbox_id, seconds=seconds))

    def hang(self, operation: str, *, times: int | None = None, sandbox_id: str | None = None) -> None:
        """Let requests wait until `clear`."""
        self._add(Rule(operation, "hang", times, sandbox_id))

    def fail_build(self, message: str = "a fault on demand", *, step: str = "1", times: int | None = 1) -> None:
        """Let the next builds of a template fail at a step."""
        self._add(Rule("template.build", "fail_build", times, message=message, step=step))

    # Streams

    def cut_streams(self, how: How = "reset", *, sandbox_id: str | None = None) -> int:
        """Cut the streams that are open now; gives how many those were."""

        def cut() -> int:
            streams = [one for one in self._streams if sandbox_id in (None, one.sandbox_id)]
            for stream in streams:
                stream.cut(how)
            return len(streams)

        return self._run(cut)

    def cut_next_streams(
        self,
        how: How = "reset",
        *,
        where: Where = "between",
        after_ms: float | None = None,
        after_bytes: int | None = None,
        times: int | None = 1,
        operation: str = "process.*",
        sandbox_id: str | None = None,
    ) -> None:
        """Cut streams that open from now on, after a time or with the output that exceeds so many bytes."""
        if after_ms is None and after_bytes is None:
            after_bytes = 0
        cut = Cut(how, where, after_ms, after_bytes)
        self._add(Rule(operation, "cut", times, sandbox_id, cut=cut))

    def cut_streams_every(self, milliseconds: float, how: How = "reset", *, sandbox_id: str | None = None) -> None:
        """From now on no stream lives longer than so many milliseconds, until `clear`."""
        self.cut_next_streams(how, after_ms=milliseconds, times=None, sandbox_id=sandbox_id)

        def cut_open() -> None:
            for stream in [one for one in self._streams if sandbox_id in (None, one.sandbox_id)]:
                asyncio.get_running_loop().call_later(milliseconds / 1000, stream.cut, how)

        self._run(cut_open)

    def black_hole(self, sandbox_id: str | None = None) -> None:
        """Streams stay open and nothing comes any more, requests to the sandbox hang, until `clear`.

        What the processes say meanwhile is lost. Streams that fell into the hole stay there.
        """

        def open_hole() -> None:
            self._hole.add(sandbox_id)
            for stream in self._streams:
                stream.hole |= sandbox_id in (None, stream.sandbox_id)

        self._run(open_hole)

    def clear(self) -> None:
        """No more faults; what hangs goes on."""

        def release() -> None:
            self._rules.clear()
            self._hole.clear()
            self._released.set()
            self._released = asyncio.Event()

        self._run(release)

    # Processes and sandboxes

    def kill_process(self, sandbox_id: str, pid: int, number: int = 9) -> None:
        """Send a signal to one process of a sandbox."""
        self._on_loop(lambda: self._cloud.running(sandbox_id).link.ask("processes.signal", pid=pid, number=number))

    def kill_for_memory(self, sandbox_id: str, pid: int, *, exit_code: int | None = None) -> int:
        """Kill the largest of a process and its children, as the kernel does when memory runs out; gives its pid.

        A shell that waits for it says 137; where it is the started process itself, the end says ``signal: killed``
        and -1, or ``exit_code`` where one is given.
        """
        victim: int = self._on_loop(lambda: self._cloud.kill_for_memory(sandbox_id, pid, exit_code))
        return victim

    def kill_sandbox(self, sandbox_id: str) -> None:
        """Kill a sandbox behind everybody's back."""
        self._run(lambda: self._cloud.running(sandbox_id).end("killed"))

    def expire_sandbox(self, sandbox_id: str) -> None:
        """Let a sandbox reach the end of its time now."""
        self._run(lambda: self._cloud.expire(self._cloud.running(sandbox_id)))

    def close_port(self, sandbox_id: str, *, closed: bool = True) -> None:
        """Let the sandbox run while its daemon cannot be reached: 502, port is not open."""

        def close() -> None:
            self._cloud.running(sandbox_id).port_open = not closed

        self._run(close)

    # For the server

    def take(self, operation: str, sandbox_id: str | None, kind: str) -> Rule | None:
        """The rule of a kind that this request meets, counted down."""
        for rule in self._rules:
            if rule.kind == kind and rule.meets(operation, sandbox_id):
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    async def hold(self, operation: str, sandbox_id: str | None) -> None:
        """Wait as long as the faults say."""
        if rule := self.take(operation, sandbox_id, "delay"):
            await asyncio.sleep(rule.seconds)
        if self.take(operation, sandbox_id, "hang") or (
            sandbox_id and not operation.startswith("sandbox.") and self._hole & {None, sandbox_id}
        ):
            await self._released.wait()

    def cut_for(self, operation: str, sandbox_id: str) -> Cut | None:
        """What is to happen to a new stream."""
        rule = self.take(operation, sandbox_id, "cut")
        return rule.cut if rule else None

    def opened(self, stream: Stream) -> None:
        """A stream is open."""
        self._streams.add(stream)

    def closed(self, stream: Stream) -> None:
        """A stream is not open any more."""
        self._streams.discard(stream)

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def _add(self, rule: Rule) -> None:
        self._run(lambda: self._rules.append(rule))

    def _run(self, function: Callable[[], T]) -> T:
        result: T = self._on_loop(function)
        return result

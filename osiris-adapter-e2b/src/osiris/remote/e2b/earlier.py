"""What earlier attempts at a run left: sandboxes, and in one of them perhaps a worker that is still at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from osiris.core.engine.elsewhere import Elsewhere
from osiris.core.errors import OsirisError
from osiris.remote.e2b.berth import Ticket
from osiris.remote.e2b.sdk import Cloud

__all__ = ["end_earlier", "sweep"]


async def sweep(cloud: Cloud, ticket: Ticket, *, own_too: bool = False) -> set[str]:
    """Kill the sandboxes of earlier attempts at this run; gives their ids.

    Args:
        cloud: Where.
        ticket: This attempt's.
        own_too: Whether those of this attempt go as well.

    Raises:
        UnreachableError: E2B does not answer.
    """
    await cloud.begin()
    found = await cloud.find({"osiris_run": ticket.run_key})
    killed = set()
    for sandbox_id, metadata in found:
        if (own_too or metadata.get("osiris_attempt") != ticket.attempt) and await cloud.kill(sandbox_id):
            killed.add(sandbox_id)
    return killed


async def end_earlier(
    cloud: Cloud, ticket: Ticket, elsewhere: Elsewhere, tell: Callable[[str, Mapping[str, Any]], object]
) -> None:
    """See that no worker of an earlier attempt is at work: kill its sandbox, else wait until it has stopped by itself.

    Args:
        cloud: Where.
        ticket: This attempt's.
        elsewhere: What the session's folder says of such a worker.
        tell: Takes the events.

    Raises:
        UnreachableError: There may be one, and E2B does not answer.
    """
    facts = elsewhere.facts()
    if facts is None:
        with suppress(OsirisError):
            await sweep(cloud, ticket)
        return
    sandbox_id = str(facts.get("sandbox_id", ""))
    killed = await sweep(cloud, ticket)
    # By its id as well: the session's folder may have been moved since.
    if sandbox_id not in killed and not (sandbox_id and await cloud.kill(sandbox_id)):
        left = elsewhere.seconds_left()
        if left > 0:
            tell("worker_awaited", {"place": f"E2B sandbox {sandbox_id or 'unknown'}", "seconds": round(left, 1)})
            await asyncio.sleep(left)
    elsewhere.end()

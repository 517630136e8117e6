"""Whatever E2B's SDK raises, and what leaks past it, as errors of ours: what happened, what to do, whether to retry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from osiris.core.errors import ExecutionError, OsirisError, PrepareError, UnreachableError
from osiris.core.quick_dataclass import dataclass

__all__ = ["GONE", "KNOWN", "attempt", "explained"]

T = TypeVar("T")

GONE = "e2b.sandbox_gone"
"""The sandbox was killed, or its time was over."""

_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
_SECONDS = 10.0
"""After so long nothing is tried again: the SDK has tried, too."""


@dataclass(frozen=True)
class _Meaning:
    kind: type[ExecutionError]
    code: str
    what: str
    hint: str
    retryable: bool = False


_LATER = "wait a little, or lower the number of sandboxes that run at the same time; see the limits of your E2B plan"
_NETWORK = "check the network, a proxy, and https://status.e2b.dev"

KNOWN: dict[str, _Meaning] = {
    "AuthenticationException": _Meaning(
        PrepareError, "e2b.unauthorized", "E2B does not accept the API key", "set E2B_API_KEY to a key of your team"
    ),
    "RateLimitException": _Meaning(UnreachableError, "e2b.rate_limited", "E2B's limit is reached", _LATER, True),
    "ServiceBusyException": _Meaning(UnreachableError, "e2b.busy", "E2B is busy", _LATER, True),
    "SandboxNotRunningException": _Meaning(
        UnreachableError, GONE, "the sandbox does not run any more", "a longer option timeout= keeps it longer"
    ),
    "SandboxNotFoundException": _Meaning(
        UnreachableError, GONE, "the sandbox is not there any more", "somebody killed it, or its time was over"
    ),
    "SandboxUnreachableException": _Meaning(
        UnreachableError, "e2b.unreachable", "the sandbox does not answer", _NETWORK, True
    ),
    "GuestUnresponsiveException": _Meaning(
        UnreachableError, "e2b.unreachable", "the sandbox does not answer", _NETWORK, True
    ),
    "NotEnoughSpaceException": _Meaning(
        PrepareError, "e2b.disk_full", "the sandbox's disk is full", "use a template with a larger disk"
    ),
    "FileNotFoundException": _Meaning(
        ExecutionError, "e2b.file_missing", "a file is not in the sandbox", "something in the sandbox removed it"
    ),
    "NotFoundException": _Meaning(
        ExecutionError, "e2b.process_gone", "the process has ended long ago", "see the events of the run"
    ),
    "TemplateException": _Meaning(
        PrepareError, "e2b.template_old", "the template is too old for this SDK", "build it again: e2b template build"
    ),
    "BuildException": _Meaning(
        PrepareError, "e2b.template_failed", "the template cannot be built", "see the build's log at https://e2b.dev"
    ),
    "FileUploadException": _Meaning(
        PrepareError, "e2b.template_failed", "the template cannot be built", _NETWORK, True
    ),
    "InvalidArgumentException": _Meaning(
        PrepareError, "e2b.refused", "E2B refuses the request", "check the adapter's options"
    ),
    "TimeoutException": _Meaning(UnreachableError, "e2b.timeout", "E2B did not answer in time", _NETWORK, True),
    # Past the SDK:
    "TransportError": _Meaning(UnreachableError, "e2b.unreachable", "E2B cannot be reached", _NETWORK, True),
    "ConnectError": _Meaning(UnreachableError, "e2b.unreachable", "the connection to E2B was lost", _NETWORK, True),
    "OSError": _Meaning(UnreachableError, "e2b.unreachable", "the connection to E2B was lost", _NETWORK, True),
    # What the files API answers has neither a class nor a status of its own.
    "SandboxException": _Meaning(UnreachableError, "e2b.failed", "E2B failed", "see https://status.e2b.dev", True),
}
"""By the name of a class; the nearest base class that is here counts."""

_BY_STATUS = {
    400: _Meaning(
        PrepareError, "e2b.refused", "E2B refuses the request", "check timeout= against the limits of your E2B plan"
    ),
    402: _Meaning(PrepareError, "e2b.quota", "the E2B account has no credit", "see https://e2b.dev/dashboard"),
    403: _Meaning(PrepareError, "e2b.quota", "the E2B account may not do this", "see the limits of your E2B plan"),
    404: _Meaning(
        PrepareError, "e2b.unknown_template", "E2B has no such template", "check option template=, and whose key it is"
    ),
}


def explained(error: BaseException, doing: str) -> OsirisError:
    """The error of ours that an exception means; ours stay what they are.

    Args:
        error: What was raised.
        doing: What was being done, as ``create the sandbox``.
    """
    if isinstance(error, OsirisError):
        return error
    status = getattr(error, "status_code", None)
    names = [kind.__name__ for kind in type(error).__mro__]
    meaning = next((KNOWN[name] for name in names if name in KNOWN), None)
    if meaning is None or meaning.code == "e2b.failed":
        meaning = _BY_STATUS.get(status or 0, meaning)
    if meaning is None:  # "Command ended without an end event" has no class of its own
        meaning = _Meaning(UnreachableError, "e2b.failed", "E2B's SDK failed", "run again with -vv", True)
    elif meaning.code == "e2b.failed" and status is not None and status >= 500:
        meaning = KNOWN["ServiceBusyException"]
    facts = {} if status is None else {"status": status}
    return meaning.kind(
        f"cannot {doing}: {meaning.what} ({type(error).__name__}: {error})".rstrip(),
        hint=meaning.hint,
        code=meaning.code,
        retryable=meaning.retryable,
        **facts,
    )


async def attempt(doing: str, call: Callable[[], Awaitable[T]]) -> T:
    """Do it, and again where that may help.

    Args:
        doing: As for :func:`explained`.
        call: Something that may be done twice.

    Raises:
        OsirisError: It cannot be done.
    """
    begun = monotonic()
    number = 0
    while True:
        try:
            return await call()
        except asyncio.CancelledError:
            raise
        except Exception as raised:  # whatever an SDK and three libraries below it raise
            error = explained(raised, doing)
            if not error.retryable or number == len(_PAUSES) or monotonic() - begun > _SECONDS:
                raise error from raised
        await asyncio.sleep(_PAUSES[number])
        number += 1

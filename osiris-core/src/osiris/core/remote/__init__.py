"""The engine behind a pipe: JSON-RPC 2.0, one JSON object a line.

``worker`` runs the engine in a process of its own (``python -m osiris.core.remote.worker``), ``client`` speaks to it
over a ``transport``, ``execution`` does with both what :func:`osiris.core.engine.run` does without them. In between:
``protocol`` (what a valid message is), ``outlet`` and ``journal`` (what the worker says, numbered, and again on
request), ``job`` (the run in the worker), ``assignment`` (what is to be run), ``account`` (what is known of a run from
what it told), ``echo`` (what drivers print), ``handshake`` (versions), ``place`` (where a worker finds what it is
left), ``trace`` (the messages themselves, for whoever wants to look).
"""

from osiris.core.remote.assignment import Assignment, Secrets, hide
from osiris.core.remote.client import WorkerBugError, WorkerClient
from osiris.core.remote.echo import Echo
from osiris.core.remote.execution import distributions_of, refuse_registered, run_remotely
from osiris.core.remote.place import Leash, Place
from osiris.core.remote.transport import INTERRUPTED, SubprocessTransport, Transport

__all__ = [
    "INTERRUPTED",
    "Assignment",
    "Echo",
    "Leash",
    "Place",
    "Secrets",
    "SubprocessTransport",
    "Transport",
    "WorkerBugError",
    "WorkerClient",
    "distributions_of",
    "hide",
    "refuse_registered",
    "run_remotely",
]

"""The engine behind a pipe: JSON-RPC 2.0, one JSON object a line.

``worker`` runs the engine in a process of its own (``python -m osiris.core.remote.worker``), ``client`` speaks to it
over a ``transport``, ``execution`` does with both what :func:`osiris.core.engine.run` does without them. In between:
``protocol`` (what a valid message is), ``outlet`` and ``journal`` (what the worker says, numbered, and again on
request), ``job`` (the run in the worker), ``assignment`` (what is to be run), ``account`` (what is known of a run from
what it told), ``echo`` (what drivers print).
"""

from osiris.core.remote.client import WorkerBugError, WorkerClient
from osiris.core.remote.echo import Echo
from osiris.core.remote.execution import run_remotely
from osiris.core.remote.transport import SubprocessTransport, Transport

__all__ = ["Echo", "SubprocessTransport", "Transport", "WorkerBugError", "WorkerClient", "run_remotely"]

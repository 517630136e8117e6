"""A server for tests that speaks E2B's protocol on loopback, so that the real SDK works without the cloud."""

from __future__ import annotations

from .admin import RemoteServer
from .cloud import Options
from .server import E2BServer

__all__ = ["E2BServer", "Options", "RemoteServer"]

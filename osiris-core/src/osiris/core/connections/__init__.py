"""Connections, the secrets they refer to, and the redaction of what those turn out to be."""

from osiris.core.connections.file import FILE_NAME, Connection, Connections
from osiris.core.connections.logs import install_log_filter, redacted_streams
from osiris.core.connections.redacted_error import redact_error
from osiris.core.connections.redaction import MASK, REDACTOR, Redactor, redacted_traceback
from osiris.core.connections.references import SecretReference, fill, secret_references
from osiris.core.connections.resolver import SecretResolver, SecretSource

__all__ = [
    "FILE_NAME",
    "MASK",
    "REDACTOR",
    "Connection",
    "Connections",
    "Redactor",
    "SecretReference",
    "SecretResolver",
    "SecretSource",
    "fill",
    "install_log_filter",
    "redact_error",
    "redacted_streams",
    "redacted_traceback",
    "secret_references",
]

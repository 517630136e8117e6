"""Which options of a connection are secrets, and where they turn up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from osiris.core.driver import DriverSpec
from osiris.core.planning.models import load_model
from osiris.testing.step_context import RecordingStepContext

__all__ = ["CANARY", "leaks", "secret_options", "secret_values", "with_canary"]

CANARY = "canary-5ecre7-of-the-kit"
_SECRET_NAME = re.compile(r"password|passwd|secret|token|dsn|credential|(^|_)key$", re.IGNORECASE)
_SHORTEST = 4  # characters; anything shorter is found in every text


def secret_options(spec: DriverSpec, connection: Mapping[str, Any] | None) -> list[str]:
    """The options of a connection that hold secrets: by their type in the connection's model, or by their name."""
    if connection is None:
        return []
    fields = load_model(spec.connection_model).model_fields if spec.connection_model else {}
    typed = {name for name, field in fields.items() if "Secret" in str(field.annotation)}
    return [
        name
        for name, value in connection.items()
        if isinstance(value, str) and len(value) >= _SHORTEST and (name in typed or _SECRET_NAME.search(name))
    ]


def secret_values(spec: DriverSpec, connection: Mapping[str, Any] | None) -> list[str]:
    """The secrets of a connection; of a DSN, the password in it too."""
    values = [str((connection or {})[name]) for name in secret_options(spec, connection)]
    passwords = [urlsplit(value).password or "" for value in values if "://" in value]
    found = {*values, *passwords, *map(unquote, passwords)}
    return sorted(value for value in found if len(value) >= _SHORTEST)


def with_canary(connection: Mapping[str, Any], option: str) -> dict[str, Any]:
    """The connection with a canary for one secret: instead of it, or, in a DSN, instead of its password."""
    value = str(connection[option])
    password = urlsplit(value).password if "://" in value else None
    return {**connection, option: value.replace(f":{password}@", f":{CANARY}@") if password else CANARY}


def leaks(ctx: RecordingStepContext, secrets: Iterable[str]) -> list[str]:
    """Where one of the secrets is: in what was told, or in a file of the session."""
    told = {"an event": ctx.events, "a metric": ctx.metrics, "an output": ctx.outputs}
    texts = {what: json.dumps(data, default=repr, ensure_ascii=False) for what, data in told.items()}
    files = {
        str(path.relative_to(ctx.session_dir)): path.read_bytes()
        for path in ctx.session_dir.rglob("*")
        if path.is_file()
    }
    found = [what for what, text in texts.items() if any(secret in text for secret in secrets)]
    return found + [name for name, data in files.items() if any(secret.encode() in data for secret in secrets)]

"""Which values of references need not be hidden.

A value that comes from a file, a password manager or a plugin is always a secret. One that comes from a
variable is a secret too, unless it fills an option that is plainly public: hiding the host name or ``prod``
wherever it occurs would make every message unreadable.
"""

from __future__ import annotations

from osiris.core.connections.references import SecretReference

__all__ = ["PUBLIC_KEYS", "is_public"]

PUBLIC_KEYS = frozenset(
    {
        "account",
        "base_dir",
        "bucket",
        "charset",
        "database",
        "dbname",
        "dir",
        "directory",
        "encoding",
        "host",
        "hostname",
        "path",
        "port",
        "region",
        "schema",
        "table",
        "user",
        "username",
        "warehouse",
    }
)


def is_public(reference: SecretReference) -> bool:
    """Whether the variable's value may be shown.

    Where it is the whole option, the option decides (``password: ${APP_USER}`` is a secret); inside a longer
    text (``https://${API_HOST}/v1``) the last word of the variable's name does.
    """
    if reference.scheme != "env":
        return False
    if reference.whole and reference.key:
        return reference.key.lower() in PUBLIC_KEYS
    name = reference.name.lower()
    return any(name == key or name.endswith(f"_{key}") for key in PUBLIC_KEYS)

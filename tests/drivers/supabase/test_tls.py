"""Who answers is verified, unless that is this machine or the user said otherwise."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from osiris.drivers.supabase.config import SupabaseConnection
from osiris.drivers.supabase.postgres_address import Address

AWAY, HERE = "db.abcdefgh.supabase.co", "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "options", "dsn", "mode", "authority"),
    [
        (AWAY, {}, {}, "verify-full", "system"),
        ("10.0.0.1", {}, {}, "verify-full", "system"),
        ("aws-0-eu.pooler.supabase.com", {}, {}, "verify-full", "system"),
        (AWAY, {"ssl_ca": "ca.pem"}, {}, "verify-full", "/project/ca.pem"),
        (AWAY, {}, {"sslrootcert": "/ca.pem"}, "verify-full", "/ca.pem"),
        (AWAY, {"ssl": "verify-ca"}, {}, "verify-ca", "system"),
        (AWAY, {"ssl": "require"}, {}, "require", None),  # only where it was asked for
        (AWAY, {"ssl": True}, {}, "require", None),
        (AWAY, {"ssl": "disable"}, {}, "disable", None),
        (AWAY, {}, {"sslmode": "require"}, "require", None),
        (AWAY, {"ssl": "verify-full"}, {"sslmode": "disable"}, "verify-full", "system"),
        (HERE, {}, {}, "prefer", None),
        ("localhost", {}, {}, "prefer", None),
        ("::1", {}, {}, "prefer", None),
        ("/var/run/postgresql", {}, {}, "prefer", None),
        (HERE, {"ssl_ca": "ca.pem"}, {}, "verify-full", "/project/ca.pem"),
    ],
)
def test_the_mode_of_tls(host: str, options: dict[str, Any], dsn: dict[str, str], mode: str, authority: str) -> None:
    ctx: Any = SimpleNamespace(session_id="s", step_id="a", resolve_path=lambda path: Path("/project") / path)
    connection = SupabaseConnection.model_validate({"pg_dsn": "postgresql://u:p@h/d", **options})
    address = Address.of({"host": host, "user": "u", "dbname": "d", **dsn}, connection, ctx)
    assert address.parameters["sslmode"] == mode
    assert address.parameters.get("sslrootcert") == authority

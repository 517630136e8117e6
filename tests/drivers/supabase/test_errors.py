"""SQLSTATEs in our words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from osiris.drivers.supabase.errors import STATES, from_postgres, from_sqlstate

PAGE = Path(__file__).resolve().parents[3] / "docs" / "drivers" / "supabase.md"
FIELDS = (
    "message_primary",
    "message_detail",
    "message_hint",
    "table_name",
    "column_name",
    "constraint_name",
    "context",
)


@dataclass
class Refusal(Exception):
    """What a client raises, as far as it is read."""

    sqlstate: str | None
    told: dict[str, str] = field(default_factory=dict)

    @property
    def diag(self) -> SimpleNamespace:
        return SimpleNamespace(**{name: self.told.get(name) for name in FIELDS})


def test_every_state_has_something_to_do_about_it():
    for state, (code, hint, _) in STATES.items():
        assert len(state) in (2, 5), state
        assert state.isalnum(), state
        assert code.replace("_", "").isalpha(), state
        assert len(hint) > 10, state


def test_every_code_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    assert [code for code, *_ in STATES.values() if f"`supabase.{code}`" not in page] == []


@pytest.mark.parametrize("state", ["40001", "40P01", "08006", "53300", "57P01", "57P03", "55P03", "XX000"])
def test_what_a_moment_may_heal_is_retryable(state):
    assert from_sqlstate(state, "no").retryable


@pytest.mark.parametrize("state", ["23505", "42501", "42P01", "28P01", "57014", "53100", "22001", "25006", "99999"])
def test_what_stays_wrong_is_not(state):
    assert not from_sqlstate(state, "no").retryable


def test_all_that_the_server_told_is_kept():
    told = {"message_primary": "no", "message_detail": "Key (id)=(5)", "message_hint": "do", "table_name": "t",
            "column_name": "id", "constraint_name": "t_pkey"}  # fmt: skip
    error = from_postgres(Refusal("23505", told), "orders")
    assert error.message == "orders: no (Key (id)=(5))"
    assert error.hint.endswith("PostgreSQL says: do")
    assert error.facts == {
        "sqlstate": "23505", "table": "t", "column": "id", "constraint": "t_pkey", "detail": "Key (id)=(5)",
    }  # fmt: skip


def test_without_a_state_the_connection_broke():
    error = from_postgres(Refusal(None), "orders")
    assert (error.code, error.retryable) == ("supabase.connection_lost", True)

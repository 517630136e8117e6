"""Sequences behind columns that the input filled: moved forward, so that the next default is not taken already."""

from __future__ import annotations

from collections.abc import Sequence

from osiris.drivers.supabase.postgres import Session
from osiris.drivers.supabase.postgres_target import Column, Target
from osiris.drivers.supabase.table_name import quote_text

__all__ = ["advance_sequences"]


def advance_sequences(session: Session, target: Target, columns: Sequence[Column]) -> None:
    """Move the sequence of each filled serial or identity column to its highest value; never back.

    Left alone where the role may not, or does not see all rows. As always with sequences, a rollback does not undo it.
    """
    if target.hides_rows:
        return
    for column in columns:
        if not column.has_default:
            continue
        name = f"pg_get_serial_sequence({quote_text(target.table.sql)}, {quote_text(column.name)})"
        found = session.execute(
            f"SELECT s.name FROM (SELECT {name} AS name) s JOIN pg_sequence q ON q.seqrelid = s.name::regclass"  # noqa: S608
            " WHERE q.seqincrement > 0 AND has_sequence_privilege(s.name, 'SELECT')"
            " AND has_sequence_privilege(s.name, 'UPDATE')"
        )
        for (sequence,) in found:
            session.execute(
                f"SELECT setval({quote_text(sequence)}, m.value)"  # noqa: S608
                f" FROM (SELECT max({column.sql}) AS value FROM {target.table.sql}) AS m"
                f" WHERE m.value >= (SELECT last_value FROM {sequence})"
            )

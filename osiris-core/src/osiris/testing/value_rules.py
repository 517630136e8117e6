"""The rules about values, which are the same for every kind of driver: what goes in comes out, or is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pyarrow as pa
import pytest

from osiris.core.errors import OsirisError
from osiris.testing.comparison import differences
from osiris.testing.contract import Contract
from osiris.testing.sample_tables import KINDS, table_of

__all__ = ["CODE", "ValueRules"]

CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")

Carry = Callable[[pa.Table], pa.Table]
"""Takes a table the way of the driver: loads and extracts it, transforms it, or writes it and reads it back."""


class ValueRules(Contract):
    """What goes through a driver comes out as it was, or is refused; never changed.

    The suites of drivers say what the way of a table is (:meth:`carry`).
    """

    @pytest.fixture
    def unsupported(self) -> frozenset[str]:
        """The kinds of values that the place or the config cannot hold: names of ``KINDS``; none by default.

        A driver must refuse them with an OsirisError. Where the place itself cannot hold them, so that there is
        nothing to extract, the rule is skipped.
        """
        return frozenset()

    @pytest.fixture
    def lossless_types(self) -> Mapping[str, pa.DataType]:
        """Classes of types that come back as another type without loss, as ``{"decimal": pa.string()}``.

        Classes are ``integer``, ``floating``, ``decimal``, ``boolean``, ``text``, ``timestamp``, ``instant``.
        """
        return {}

    @pytest.fixture
    def expected(self) -> Carry:
        """What should come out for a table: the same, by default."""
        return lambda table: table

    @pytest.fixture
    def carries(
        self,
        carry: Carry,
        expected: Carry,
        unsupported: frozenset[str],
        lossless_types: Mapping[str, pa.DataType],
    ) -> Callable[[str], None]:
        """Check one kind of values."""
        unknown = unsupported - set(KINDS)
        if unknown:
            pytest.fail(f"unsupported names {sorted(unknown)}; kinds are {', '.join(KINDS)}", pytrace=False)

        def check(kind: str) -> None:
            table = table_of(kind)
            if kind in unsupported:
                _is_refused(carry, table)
            else:
                found = differences(expected(table), carry(table), lossless_types)
                assert not found, "; ".join(found)

        return check

    def test_nulls(self, carries: Callable[[str], None]) -> None:
        """NULL stays NULL, in columns of every type, and changes no other value or type.

        Do not go through NumPy or plain pandas types, where an integer beside NULL becomes a float, and tell NULL
        from the empty text.
        """
        carries("null")

    def test_decimals(self, carries: Callable[[str], None]) -> None:
        """DECIMAL keeps every digit.

        Never go through float: take Arrow's decimals, or text.
        """
        carries("decimal")

    def test_integers_of_64_bits(self, carries: Callable[[str], None]) -> None:
        """64-bit integers keep every digit, from the least to the greatest.

        Never go through float or a JSON parser that makes floats: above 2**53 these skip numbers.
        """
        carries("int64")

    def test_timestamps(self, carries: Callable[[str], None]) -> None:
        """Timestamps keep their microseconds, before 1970 too.

        Declare the target's column with six digits; count from the epoch in integers.
        """
        carries("timestamp_us")

    def test_timestamps_of_nanoseconds(self, carries: Callable[[str], None]) -> None:
        """Nanoseconds are kept, or refused; never cut off.

        Where the place knows microseconds only, raise a DriverError for a value that would lose digits and name
        ``timestamp_ns`` in the fixture ``unsupported``.
        """
        carries("timestamp_ns")

    def test_timestamps_with_time_zone(self, carries: Callable[[str], None]) -> None:
        """An instant (a timestamp with a time zone) stays the same instant and stays an instant.

        Use the place's type for instants, in UTC; where it has none, raise a DriverError and name ``timestamp_tz``
        in the fixture ``unsupported``.
        """
        carries("timestamp_tz")

    def test_unicode(self, carries: Callable[[str], None]) -> None:
        """Text stays the same, character by character: all of Unicode, quotes, separators, spaces, the empty text.

        Set UTF-8 (four bytes a character) for connections and files; quote by the library, never by hand.
        """
        carries("unicode")

    def test_empty_input(self, carries: Callable[[str], None]) -> None:
        """No rows are a result: columns and types are kept.

        Give a dataset of no batches with its schema; create the target even where no batch comes.
        """
        carries("empty")

    def test_no_columns(
        self,
        carry: Carry,
        expected: Carry,
        unsupported: frozenset[str],
    ) -> None:
        """A table without columns goes through, or is refused as a handled error.

        Check for an empty schema first, and raise a DriverError that says so.
        """
        table = table_of("no_columns")
        if "no_columns" in unsupported:
            _is_refused(carry, table)
            return
        try:
            found = carry(table)
        except OsirisError:
            _is_refused(carry, table)
        else:
            assert not differences(expected(table), found, {})

    def test_wide_rows(self, carries: Callable[[str], None]) -> None:
        """Three hundred columns are no problem.

        Mind the limits on placeholders in one statement and on the length of a line: send fewer rows at a time.
        """
        carries("wide")


def _is_refused(carry: Carry, table: pa.Table) -> None:
    with pytest.raises(OsirisError) as caught:
        carry(table)  # it is said to be unsupported
    assert CODE.fullmatch(caught.value.code), f"the code {caught.value.code!r} is not dotted"

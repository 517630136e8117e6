"""What drivers put into events, as JSON."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.events.jsonable import jsonable


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self):
        return "something else"


class Unspeakable:
    def __str__(self):
        raise RuntimeError("no")


class Itemless:
    def item(self):
        raise ValueError("more than one")

    def __str__(self):
        return "itemless"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("10.10"), "10.10"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(seconds=90), "0:01:30"),
        (Path("a/b"), "a/b"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff\x00", "\\xff\x00"),
        (bytearray(b"x"), "x"),
        (memoryview(b"x"), "x"),
        (float("nan"), None),
        (float("-inf"), None),
        ((1, (2,)), [1, [2]]),
        ({"b"}, ["b"]),
        ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "None": "b", "(1, 2)": "c"}),
        (MappingProxyType({"a": MappingProxyType({})}), {"a": {}}),
        (OrderedDict(a=1), {"a": 1}),
        ({"a": 1}.keys(), ["a"]),
        (deque([1]), [1]),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Text("real"), "real"),
        (OSError("disk"), "disk"),
        (Unspeakable(), "<Unspeakable>"),
        (Itemless(), "itemless"),
        (2**70, 2**70),
        (True, True),
        (None, None),
    ],
)
def test_values(value, expected):
    found = jsonable(value)
    assert found == expected
    assert type(found) is type(expected)


def test_scalars_and_arrays_of_numpy_pandas_and_pyarrow():
    numpy, pandas, pa = (pytest.importorskip(name) for name in ("numpy", "pandas", "pyarrow"))
    given = {
        "i": numpy.int64(5),
        "f": numpy.float32(0.5),
        "nan": numpy.float64("nan"),
        "b": numpy.bool_(True),
        "a": numpy.array([1, 2]),
        "t": pandas.Timestamp("2026-01-02"),
        "s": pa.scalar("x"),
        "d": pa.scalar(Decimal("1.50")),
        "l": pa.array([1, None], pa.int64()),
    }
    assert jsonable(given) == {
        "i": 5, "f": 0.5, "nan": None, "b": True, "a": [1, 2], "t": "2026-01-02T00:00:00", "s": "x", "d": "1.50",
        "l": [1, None],
    }  # fmt: skip


def test_a_structure_that_holds_itself_ends():
    knot: list = []
    knot.append(knot)
    json.dumps(jsonable(knot))
    knot.append(knot)  # as often as it likes: followed to any depth, it would never end
    json.dumps(jsonable({"both": [knot, knot]}))


_leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.datetimes()
)
_nested = st.recursive(
    _leaves,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers() | st.dates(), inner),
    max_leaves=20,
)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(_nested)
def test_everything_becomes_json_and_json_stays_as_it_is(value):
    plain = jsonable(value)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert jsonable(plain) == plain


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_finite_numbers_are_exact(value):
    assert math.copysign(1, jsonable(value)) == math.copysign(1, value)
    assert jsonable(value) == value

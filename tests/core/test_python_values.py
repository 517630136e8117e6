"""Lists of Python values become the arrays that pyarrow would make of them, without importing pandas."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.dataset import Dataset
from osiris.core.errors import DatasetError
from osiris.core.python_values import to_array

SCALARS = [
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(),
    st.binary(),
]


@settings(deadline=None, derandomize=True)
@given(st.one_of(*(st.lists(st.none() | kind) for kind in SCALARS)))
def test_the_same_as_pyarrow(values: list[Any]) -> None:
    made = to_array(values)
    made.validate(full=True)
    assert made.equals(pa.array(values))
    assert made.type == pa.array(values).type


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5, None],
        [Decimal("10.10"), None],
        [[1], [2, 3]],
        [{"a": 1}, None],
    ],
)
def test_other_values_are_left_to_pyarrow(values: list[Any]) -> None:
    assert to_array(values).equals(pa.array(values))


def test_large_integers_are_unsigned() -> None:
    assert to_array([2**63, None, 2**64 - 1]).equals(pa.array([2**63, None, 2**64 - 1], pa.uint64()))


def test_what_has_no_exact_form_is_refused() -> None:
    for values in ([1, "x"], [2**70, -1], ["\ud800"]):
        with pytest.raises(DatasetError) as caught:
            Dataset.of([{"n": value} for value in values])
        assert caught.value.code == "dataset.no_exact_type"


def test_pandas_is_not_imported() -> None:
    code = (
        "import sys; from osiris.core.dataset import Dataset\n"
        "rows = [{'n': 1, 's': 'x', 'f': .5, 'b': True}, {'n': None}]\n"
        "print(Dataset.of(rows).table().to_pylist(), 'pandas' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == (
        "[{'n': 1, 's': 'x', 'f': 0.5, 'b': True}, {'n': None, 's': None, 'f': None, 'b': None}] False"
    )

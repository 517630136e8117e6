"""Which texts are the text of a value: compared with what Python says of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.csv_scan import Column


def is_exact(scan: Any, column: Column, text: str) -> bool:
    """Whether ``text`` is a value's text, between fields, first and last; the same wherever it stands."""
    lines = [f"{text},x\n", f"x,{text}\n"]
    columns = [[column, Column.text()], [Column.text(), column]]
    found = {tuple(scan(line.encode(), both).exact) for line, both in zip(lines, columns, strict=True)}
    assert len({all(exact) for exact in found}) == 1, text
    return all(found.pop())


def is_integer(bits: int, signed: bool) -> Callable[[str], bool]:
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return lambda text: bool(re.fullmatch("-?[0-9]+", text)) and str(int(text)) == text and least <= int(text) <= most


def is_decimal(precision: int, scale: int) -> Callable[[str], bool]:
    def judge(text: str) -> bool:
        if not re.fullmatch(rf"-?[0-9]+[.][0-9]{{{scale}}}" if scale else "-?[0-9]+", text):
            return False
        value = Decimal(text)
        digits = f"{value.copy_abs():f}".replace(".", "").lstrip("0")
        return (f"{value:f}" if value else f"{value.copy_abs():f}") == text and len(digits) <= precision

    return judge


def is_double(text: str) -> bool:
    if not re.fullmatch(r"-?[0-9]+[.][0-9]+", text) or repr(float(text)) != text:
        return False
    digits = text.lstrip("-").replace(".", "")
    return len(digits) <= 15 and (float(text) == 0 or abs(float(text)) >= 0.0001)


def is_date(text: str) -> bool:
    try:
        return bool(re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def is_timestamp(text: str) -> bool:
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?", text):
        return False
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return False
    return text == str(value) or ("." in text and text == str(value).rstrip("0"))


FORMS = {
    "int64": (Column.integer(), is_integer(64, True)),
    "int32": (Column.integer(32), is_integer(32, True)),
    "int8": (Column.integer(8), is_integer(8, True)),
    "uint8": (Column.integer(8, signed=False), is_integer(8, False)),
    "uint64": (Column.integer(64, signed=False), is_integer(64, False)),
    "decimal(18,2)": (Column.decimal(18, 2), is_decimal(18, 2)),
    "decimal(5,0)": (Column.decimal(5, 0), is_decimal(5, 0)),
    "decimal(38,10)": (Column.decimal(38, 10), is_decimal(38, 10)),
    "decimal(3,3)": (Column.decimal(3, 3), is_decimal(3, 3)),
    "double": (Column.double(), is_double),
    "date": (Column.date(), is_date),
    "timestamp": (Column.timestamp(), is_timestamp),
    "boolean": (Column.boolean(), {"true", "false"}.__contains__),
}

NUMBERS = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.integers(-300, 300).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**17), max_value=10**17, places=2).map(
        "{:f}".format
    ),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**6), max_value=10**6, places=3).map(
        "{:f}".format
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e6, 1e6).map(lambda value: repr(round(value, 4))),
)
TIMES = st.one_of(
    st.datetimes().map(str), st.datetimes().map(lambda value: str(value.replace(microsecond=0))), st.dates().map(str)
)
NEARLY = st.tuples(
    st.one_of(NUMBERS, TIMES), st.integers(0, 30), st.sampled_from("0123456789-+.: eET/\0é"), st.booleans()
).map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + parts[3] :])
TEXTS = st.one_of(NUMBERS, TIMES, NEARLY, st.text(alphabet="0123456789-.: e", min_size=1, max_size=30))

WORDS = """
0 -0 00 007 -7 -07 +5 1e3 0x10 1_000 - --1 . -. 1. 123456789 -123456789 12345678 1234567812345678
12345678123456789 999999999999999999 0.00 -0.00 0.01 -0.01 00.10 .10 1.1 1.10 1.100 12345.67 123456.78
1234567.89 9999999999999999.99 10000000000000000.00 -9999999999999999.99 1234567890123.45 0-00 1/25 1*25
12345678901234.56 12345678-25 0.1234567890 1234567890123456789012345678.0000000001 0.125 0.1250 1.125
0.999 12345 123456 -12345 1.0 -0.0 0.0 1.50 0.0001 0.00001 123456789012345.0 12345678901234.0
0.1000000000000001 0.123456789012345 1e16 nan inf 1.5e3 true false True TRUE yes t truefalse
2024-02-29 2023-02-29 1900-02-29 2000-02-29 0001-01-01 0000-01-01 9999-12-31 2024-00-10 2024-13-01
2024-04-31 2024-04-30 2024-1-01 2024/01/01 10000-01-01 2024-01-00 -001-01-01 2024-02-28T12:00:00
"""
TIMES_OF_DAY = "23:59:59 24:00:00 12:60:00 12:00:60 1:00:00 12:00 12-00:00"
FRACTIONS = ".5 .50 .500000 .000000 .000001 .1234567 . Z ;5"
EDGES = [
    *[str(sign * (2**bits) + more) for bits in (7, 8, 31, 32, 63, 64) for sign in (-1, 1) for more in (-1, 0, 1)],
    *WORDS.split(),
    *[f"2024-02-28 {time}" for time in TIMES_OF_DAY.split()],
    *[f"2024-02-28 12:00:00{more}" for more in FRACTIONS.split()],
    *[" 7", "7 ", "2024-02-28  12:0:00", "2024-02- 8 12:00:00", "2024-02-28 12:00: 0", " 024-02-28 12:00:00"],
]


@pytest.mark.parametrize("name", FORMS)
def test_edges(scan: Any, name: str) -> None:
    column, expected = FORMS[name]
    wrong = [text for text in EDGES if is_exact(scan, column, text) != expected(text)]
    assert wrong == []
    assert any(map(expected, EDGES))


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=TEXTS.filter(lambda text: text.strip("\r\n") == text and text != ""))
def test_any_text(scan: Any, name: str, text: str) -> None:
    column, expected = FORMS[name]
    assert is_exact(scan, column, text) == expected(text), text


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    values=st.lists(st.one_of(st.integers(-(10**20), 10**20).map(str), st.just(""), NEARLY), min_size=1, max_size=40)
)
@pytest.mark.parametrize("name", ["int64", "decimal(18,2)", "timestamp"])
def test_a_column_is_what_all_of_its_values_are(scan: Any, name: str, values: list[str]) -> None:
    """What is quick for most values, and the closer look after it, come to the same."""
    column, expected = FORMS[name]
    values = [value for value in values if not set(value) & set("\r\n,")]
    data = "".join(f"{value},\n" for value in values).encode()
    assert scan(data, [column, Column.text()]).exact == [all(not value or expected(value) for value in values), True]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("value", ["0012", "x", ""])
def test_one_among_many(scan: Any, value: str, last: bool) -> None:
    lines = [f"{number},{number * 7}.25,z" for number in range(-3_000, 3_000)]  # several windows
    lines.insert(len(lines) if last else 1, f"{value},0.25,z")
    columns = [Column.integer(), Column.decimal(12, 2), Column.text()]
    data = "".join(f"{line}\n" for line in lines).encode()
    assert scan(data, columns).exact == [value == "", True, True]
    assert scan(data, columns, null_values=(value, "NA")).exact == [True, True, True]
    assert scan(data, columns, null_values=("NA",)).exact == [False, True, True]


def test_impossible_columns() -> None:
    for make in (lambda: Column.integer(65), lambda: Column.integer(0), lambda: Column.decimal(2, 3)):
        with pytest.raises(ValueError, match=r"(integer|decimal) of"):
            make()

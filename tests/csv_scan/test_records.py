"""Where fields end: the records are those of Python's reader, or nothing is said."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.csv_scan import Column
from osiris.csv_scan.library import CRLF, FINE, LF, QUOTE

TEXT = [Column.text(), Column.text()]


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(
    parts=st.lists(st.sampled_from(["a", "7", '"', '""', ",", "\n", "\r\n", "\r", " ", "\t", "b" * 63]), max_size=30)
)
def test_any_bytes(scan: Any, parts: list[str]) -> None:
    text = "".join(parts) + "\n"
    found = scan(text.encode(), TEXT)
    if found.answer != FINE:
        return
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {2}
    assert not any(set(field) & set("\r\n") for row in rows for field in row)
    assert not re.search('[ \t]"|"[ \t]', text), "DuckDB drops what stands beside a quote"
    assert bool(found.seen & QUOTE) == ('"' in text)
    assert bool(found.seen & CRLF) == ("\r\n" in text)
    assert bool(found.seen & LF) == bool(re.search("(?<!\r)\n", text))


FIELDS = st.text(alphabet="a7\",;é. '", max_size=70).filter(lambda text: not re.search('^ | $| "|" ', text))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=12),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    crlf=st.booleans(),
)
def test_what_writers_write_is_understood(
    scan: Any, rows: list[list[str]], delimiter: str, quoting: Any, crlf: bool
) -> None:
    text = io.StringIO(newline="")
    end = "\r\n" if crlf else "\n"
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    found = scan(text.getvalue().encode(), [Column.text()] * 3, delimiter=delimiter)
    assert found.answer == FINE
    assert found.seen & (CRLF | LF) == (CRLF if crlf else LF)


@pytest.mark.parametrize("crlf", [True, False])
@pytest.mark.parametrize("quoted", [True, False])
def test_values_in_quotes_and_at_the_end_of_lines(scan: Any, quoted: bool, crlf: bool) -> None:
    mark, end = '"' if quoted else "", "\r\n" if crlf else "\n"
    lines = "".join(f"{mark}{one}{mark},{mark}{two}{mark}{end}" for one, two in [("12", "-1.50"), ("0", "0.00")] * 50)
    columns = [Column.integer(), Column.decimal(10, 2)]
    assert scan(lines.encode(), columns).exact == [True, True]
    assert scan((lines + f'"012",7.00{end}').encode(), columns).exact == [False, True]
    assert scan((lines + f'7,"7.0"{end}').encode(), columns).exact == [True, False]
    assert scan((lines + f",{end}").encode(), columns).exact == [True, True]
    assert scan((lines + f'"",""{end}').encode(), columns).exact == [False, False], "an empty text is not NULL"
    assert scan((lines + f'"1""2",""""{end}').encode(), columns).exact == [False, False]
    assert scan((lines + f'NA,"NA"{end}').encode(), columns, null_values=("NA", "")).exact == [True, False]


@pytest.mark.parametrize(
    "line",
    [
        "1\n", "1,2,3\n", "\n", "1,2\n\n", "1,2\r", "1\r,2\n", '"1,2\n', '1,"2\n3"\n', '1,"2\r\n3"\n', '1 "a",2\n',
        '1,"a"b\n', '1, "a"\n', '"a" ,1\n', '"a\t",1\n', '"a""\n', '1,2"\n', '1,""2""\n', "1,2\n1\n,2\n",
        "1\n2,3\n4,5,6\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [0, 1, 21, 10_000])
def test_what_is_not_understood(scan: Any, line: str, before: int) -> None:
    assert scan(b"1,2\n" * before + line.encode() + b"1,2\n", TEXT).answer != FINE


def test_without_quotes_they_are_letters(scan: Any) -> None:
    found = scan(b'1,2" x\n"3,4\n', TEXT, quote="")
    assert (found.answer, found.exact, found.seen) == (FINE, [True, True], LF)


def test_other_delimiters_and_quotes(scan: Any) -> None:
    columns = [Column.integer(), Column.text()]
    assert scan(b"1|'a|b'\n2|\"\n", columns, delimiter="|", quote="'").exact == [True, True]
    assert scan(b"1|'a|b'\n2|\"\n", columns, delimiter="|").answer != FINE


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 1000, 4096])
def test_many_columns(scan: Any, width: int) -> None:
    columns = [Column.integer()] * width
    line = ",".join(str(number) for number in range(width)) + "\n"
    assert scan(line.encode() * 30, columns).exact == [True] * width
    wrong = line.replace(f"{width - 1}\n", f"0{width - 1}\n")
    assert scan((line * 30 + wrong).encode(), columns).exact == [True] * (width - 1) + [False]


def test_too_many_columns(scan: Any) -> None:
    assert scan(b"1" + b",1" * 4096 + b"\n", [Column.integer()] * 4097).answer != FINE


@pytest.mark.parametrize("size", [1, 62, 63, 64, 65, 127, 128, 16_383, 16_384, 16_385, 100_000])
def test_long_values(scan: Any, size: int) -> None:
    columns = [Column.text(), Column.integer()]
    line = b"x" * size + b",7\n" + b'"' + b"y," * size + b'",8\n'
    assert scan(line * 5, columns).exact == [True, True]
    assert scan(line * 5 + b"z,08\n", columns).exact == [True, False]

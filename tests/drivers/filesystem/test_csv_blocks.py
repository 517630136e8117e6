"""No byte of a CSV file is lost where a block ends, at the start of the records, or at the end of the file."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from osiris.drivers.filesystem.csv_blocks import CsvBlocks
from osiris.drivers.filesystem.csv_layout import CsvLayout
from osiris.drivers.filesystem.csv_reader import CsvReader
from osiris.drivers.filesystem.locations import Location

_SETTINGS = settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_BARE = st.text(st.sampled_from(["x", "1", "é", "\ufeff", " "]), min_size=1, max_size=5)
_QUOTED = st.lists(st.sampled_from(["\r\n", "\r", "\n", '"', ",", "y", "\ufeff"]), max_size=6).map(
    lambda parts: '"' + "".join(parts).replace('"', '""') + '"'
)
_RECORDS = st.lists(st.lists(st.one_of(st.just(""), _BARE, _QUOTED), min_size=2, max_size=2), min_size=1, max_size=8)


def read(path, block, **layout):
    """All rows of a file, parsed in blocks of so many bytes."""
    reader = CsvReader(Location(str(path), str(path)), CsvLayout(**layout))
    try:
        return [list(row.values()) for batch in reader.batches([0, 1], block) for row in batch.to_pylist()]
    finally:
        reader.close()


@_SETTINGS
@given(
    records=_RECORDS,
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    ends=st.booleans(),
    block=st.integers(16, 40),
    header=st.booleans(),
    form=st.sampled_from(["plain", "gzip", "utf-16", "comment"]),
)
@example([["", ""], ["", ""], ["", ""], ["", "1\ufeff"], ["", "11é"]], "\n", False, 16, False, "plain")
@example([['"Eva"', "5"], ['"Jan"', ""]], "\n", False, 32, True, "plain")
@example([["\ufeff1", "Eva"]], "\n", True, 32, True, "plain")
@example([["x", '"' + "y" * 27 + '\r\nz"']], "\n", True, 32, True, "plain")
def test_every_value_comes_back_wherever_the_blocks_end(step, records, newline, ends, block, header, form):
    first = [["a", "b"]] if header else []
    text = newline.join(",".join(record) for record in first + records) + (newline if ends else "")
    if form == "comment":
        text = "#\n" + text
    if not header and form == "plain":
        text = "\ufeff" + text  # the file's own mark; what comes after it is a value's
    content = text.encode("utf-16" if form == "utf-16" else "utf-8")
    path = step.file(
        "in.csv.gz" if form == "gzip" else "in.csv", gzip.compress(content, 1) if form == "gzip" else content
    )
    layout = {"header": header, "comment": "#" if form == "comment" else None}
    found = read(path, block, **layout)
    expected = [[_value(cell) for cell in record] for record in records]
    if not header and form in ("gzip", "comment") and content.startswith("\ufeff".encode()):
        expected[0][0] = _value(records[0][0].removeprefix("\ufeff"))
    assert found == expected
    if form == "plain":
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        assert [[value or "" for value in row] for row in found] == rows[len(first) :]


def _value(cell):
    if cell.startswith('"'):
        return cell[1:-1].replace('""', '"')
    return cell or None


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_line_end_in_quotes_across_the_edge_of_a_block_stays_whole(step, suffix):
    content = b"a,b\n" + (b"x" * 61 + b",1\n") * 16383 + b'"' + b"y" * 62 + b'\r\nz",2\n'
    step.file(f"in.csv{suffix}", gzip.compress(content, 1) if suffix else content)
    assert step.write("csv", step.read("csv", f"in.csv{suffix}"), "out.csv").read_bytes() == content


def test_an_empty_last_field_after_a_quoted_one_is_null(step):
    step.file("in.csv", 'id,name,amount\n1,"Eva",5\n2,"Jan",')
    assert step.read("csv", "in.csv").table()["amount"].to_pylist() == [5, None]


def test_a_mark_before_the_first_value_is_a_part_of_it(step):
    content = "id,name\n\ufeff1,Eva\n".encode()
    step.file("in.csv", content)
    assert step.write("csv", step.read("csv", "in.csv"), "out.csv").read_bytes() == content


def test_a_file_that_ends_with_its_escape_is_refused(step, raises):
    step.file("in.csv", "a,b\n1,x\\")
    for quote in ('"', ""):
        error = raises("filesystem.csv_open_quote", step.read, "csv", "in.csv", escape="\\", quote=quote)
        assert error.facts["line"] == 2


@_SETTINGS
@given(st.binary(max_size=40), st.lists(st.integers(1, 9), min_size=1))
def test_blocks_are_the_text_with_a_line_end(text, sizes):
    source = io.BytesIO(text)
    blocks, given_sizes = CsvBlocks(source.read), iter(sizes)
    parts = []
    while part := bytes(blocks.read_buffer(next(given_sizes, 3))):
        parts.append(part)
    marked = b"\xef\xbb\xbf" if parts and parts[0].startswith(b"\xef\xbb\xbf\xef\xbb\xbf") else b""
    assert b"".join(parts) == marked + text + (b"" if not text or text[-1:] in b"\r\n" else b"\n")
    assert not any(part.endswith(b"\r") for part in parts[:-1] if part)

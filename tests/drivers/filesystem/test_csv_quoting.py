"""Quotes stand where they must, and nowhere else, whatever the texts, their buffers and their sizes are."""

from __future__ import annotations

import random
from datetime import UTC

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.drivers.filesystem import csv_quoting
from osiris.drivers.filesystem.csv_formatter import CsvForm, CsvFormatter

TEXTS = st.text(alphabet='a",;\n\r\tž🐎\x00\x01', max_size=6)


def expected(columns: list[list[str | None]], form: CsvForm) -> str:
    """The same, one value after the other."""

    def cell(text: str | None) -> str:
        if text is None:
            return form.null_value
        must = any(character in text for character in f'"\n\r{form.delimiter}') or text == form.null_value
        return '"' + text.replace('"', '""') + '"' if must or form.quoting == "all" else text

    return "".join(form.delimiter.join(map(cell, row)) + form.newline for row in zip(*columns, strict=True))


def written(arrays: list[pa.Array], form: CsvForm) -> str:
    batch = pa.RecordBatch.from_arrays(arrays, [str(number) for number in range(len(arrays))])
    return b"".join(CsvFormatter(batch.schema, form).records(batch)).decode()


@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_as_one_value_after_the_other(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 8))
    columns = [data.draw(st.lists(st.none() | TEXTS, min_size=rows, max_size=rows)) for _ in range(3)]
    form = CsvForm(
        delimiter=data.draw(st.sampled_from(",;\t")),
        null_value=data.draw(st.sampled_from(["", "a", "NULL"])),
        quoting=data.draw(st.sampled_from(["minimal", "all"])),
        newline=data.draw(st.sampled_from(["\n", "\r\n"])),
    )
    kinds = [data.draw(st.sampled_from([pa.string(), pa.large_string()])) for _ in columns]
    first = data.draw(st.integers(0, rows - 1))
    arrays = [pa.array(column, kind).slice(first) for column, kind in zip(columns, kinds, strict=True)]
    assert written(arrays, form) == expected([column[first:] for column in columns], form)


VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats() | st.sampled_from([0.0, -0.0, 1.0, 2.5, 0.1, 1e10, 1e-5]),
    pa.float32(): st.floats(width=32) | st.sampled_from([3.0, 0.5]),
    pa.decimal128(12, 2): st.decimals(-(10**9), 10**9, places=2),
    pa.timestamp("us"): st.datetimes() | st.datetimes().map(lambda moment: moment.replace(microsecond=0)),
    pa.timestamp("ms", "UTC"): st.datetimes().map(lambda moment: moment.replace(microsecond=0, tzinfo=UTC)),
    pa.date32(): st.dates(),
    pa.bool_(): st.booleans(),
    pa.string(): TEXTS | st.just("plain"),
}


@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data())
def test_a_batch_reads_as_its_rows_one_by_one(data: st.DataObject) -> None:
    """Which way a batch goes depends on all its values; the text of a value must not."""
    kinds = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    rows = data.draw(st.integers(1, 5))
    arrays = [
        pa.array(data.draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)), kind) for kind in kinds
    ]
    form = CsvForm(
        delimiter=data.draw(st.sampled_from(",.1")),
        null_value=data.draw(st.sampled_from(["", "1"])),
        quoting=data.draw(st.sampled_from(["minimal", "all", "nonnumeric"])),
    )
    one_by_one = "".join(written([array.slice(row, 1) for array in arrays], form) for row in range(rows))
    assert written(arrays, form) == one_by_one


def test_what_lies_behind_a_null_does_not_count() -> None:
    whole = pa.array(['a"b', "x", 'c,"'], pa.string())
    hollow = pa.Array.from_buffers(pa.string(), 3, [pa.py_buffer(b"\x06"), *whole.buffers()[1:]])
    assert hollow.to_pylist() == [None, "x", 'c,"']
    for quoting in ("minimal", "all"):
        form = CsvForm(quoting=quoting)
        assert written([hollow, hollow], form) == expected([hollow.to_pylist()] * 2, form)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_of_many_blocks(kind: pa.DataType) -> None:
    chance = random.Random(7)
    texts = ["".join(chance.choices('abcdefgh",\nž', k=size)) for size in (200_000, 1, 2_000_000, 70_000)]
    plain = ["x" * 3_000_000, None, "", "y" * 100]
    form = CsvForm()
    assert written([pa.array(texts, kind), pa.array(plain, kind)], form) == expected([texts, plain], form)


def test_a_column_that_grows_beyond_what_32_bits_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_quoting, "_MOST", 20)  # as if it were 2 GB
    texts = ['"' * 9, "plain", None, ",", ""]
    form = CsvForm()
    assert written([pa.array(texts, pa.string()), pa.array(texts, pa.string())], form) == expected([texts] * 2, form)

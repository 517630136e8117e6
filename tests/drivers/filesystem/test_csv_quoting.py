"""Quotes stand where they must, and nowhere else, whatever the texts, their buffers and their sizes are."""

from __future__ import annotations

import random

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

"""``filesystem.jsonl_writer``: a stream of batches to one JSON Lines file that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.atomic_file import AtomicFile
from osiris.drivers.filesystem.compression import choose_codec, compress
from osiris.drivers.filesystem.file_driver import FileWriter
from osiris.drivers.filesystem.json_text import JsonForm, json_tokens
from osiris.drivers.filesystem.jsonl_config import JsonlWriterConfig
from osiris.drivers.filesystem.locations import locate
from osiris.drivers.filesystem.output import open_output
from osiris.drivers.filesystem.selection import select_columns
from osiris.drivers.filesystem.text_encoder import TextEncoder
from osiris.drivers.filesystem.text_source import read_ends
from osiris.drivers.filesystem.value_text import form_of

__all__ = ["JsonlWriter"]

_ROWS = 16_384


class JsonlWriter(FileWriter):
    """Writes JSON Lines; see :class:`~osiris.drivers.filesystem.jsonl_config.JsonlWriterConfig`."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> dict[str, Any]:
        """Write all rows of ``inputs["df"]``, one object a line.

        Returns:
            ``{}``.

        Raises:
            DriverError: The file cannot be written, two columns have one name, or a value has no JSON form.
                Nothing is left of the attempt.
        """
        options = JsonlWriterConfig.model_validate(config)
        location = locate(options.path, ctx)
        with open_output(location, options.write_mode, ctx, create_dirs=options.create_dirs) as file:
            data = select_columns(Dataset.of(inputs["df"]), options.columns)
            _refuse_twins(data.schema.names)
            rows = _write(file, data, options, ctx)
            told = file.commit(rows=rows, format="jsonl")
        ctx.log_metric("bytes_written", told["bytes"], "bytes")
        ctx.add_output(location.text, **told)
        return {}


def _write(file: AtomicFile, data: Dataset, options: JsonlWriterConfig, ctx: StepContext) -> int:
    codec = choose_codec(options.compression, file.location.path)
    head, tail = read_ends(file.location, codec, options.encoding) if file.appends else (b"", b"")
    encoder = TextEncoder(options.encoding, head)
    lines = _line_maker(data.schema, options)
    out = compress(file, codec)
    if tail and not tail.endswith(b"\n"):
        out.write(encoder.encode(b"\n"))
    rows = 0
    for batch in data.batches():
        for start in range(0, batch.num_rows, _ROWS):
            ctx.raise_if_cancelled()
            part = batch.slice(start, _ROWS)
            out.write(encoder.encode("".join(lines(part)).encode()))
            rows += part.num_rows
    out.write(encoder.finish())
    if out is not file:
        out.close()
    return rows


def _line_maker(schema: pa.Schema, options: JsonlWriterConfig) -> Callable[[pa.RecordBatch], Iterator[str]]:
    """A function from a batch to its lines."""
    form = JsonForm(non_finite=options.non_finite, decimals=options.decimals, binary=options.binary)
    names = [encode_basestring(name) + ":" for name in schema.names]

    def columns(batch: pa.RecordBatch) -> list[list[str]]:
        return [
            json_tokens(column, form, field.name, raw=form_of(field) == "json")
            for field, column in zip(schema, batch.columns, strict=True)
        ]

    def whole(batch: pa.RecordBatch) -> Iterator[str]:
        for tokens in _rows(columns(batch), batch.num_rows):
            yield "{" + ",".join(map(str.__add__, names, tokens)) + "}\n"

    def without_nulls(batch: pa.RecordBatch) -> Iterator[str]:
        for tokens in _rows(columns(batch), batch.num_rows):
            there = (name + token for name, token in zip(names, tokens, strict=True) if token != "null")  # noqa: S105
            yield "{" + ",".join(there) + "}\n"

    return whole if options.nulls == "write" else without_nulls


def _rows(columns: list[list[str]], count: int) -> Iterator[tuple[str, ...]]:
    return zip(*columns, strict=True) if columns else iter([()] * count)


def _refuse_twins(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DriverError(
            f"more than one column is named {', '.join(map(repr, twice))}: a JSON object would keep one of them",
            hint="rename them before, or choose one with `columns`",
            code="filesystem.duplicate_columns",
            columns=twice,
        )

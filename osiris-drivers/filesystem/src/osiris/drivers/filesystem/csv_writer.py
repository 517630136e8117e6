"""``filesystem.csv_writer``: a stream of batches to one CSV file that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.atomic_file import AtomicFile
from osiris.drivers.filesystem.compression import choose_codec, compress
from osiris.drivers.filesystem.csv_config import CsvWriterConfig
from osiris.drivers.filesystem.csv_formatter import CsvForm, CsvFormatter
from osiris.drivers.filesystem.csv_layout import CsvLayout
from osiris.drivers.filesystem.csv_reader import CsvReader
from osiris.drivers.filesystem.csv_records import CsvFormat
from osiris.drivers.filesystem.file_driver import FileWriter
from osiris.drivers.filesystem.in_order import in_order
from osiris.drivers.filesystem.locations import Location, locate
from osiris.drivers.filesystem.output import open_output
from osiris.drivers.filesystem.selection import select_columns
from osiris.drivers.filesystem.text_encoder import TextEncoder
from osiris.drivers.filesystem.text_source import TextSource, check_utf8, read_ends

__all__ = ["CsvWriter"]

_ROWS = 32_768
_BYTES = 4 * 1024 * 1024


class CsvWriter(FileWriter):
    """Writes CSV; see :class:`~osiris.drivers.filesystem.csv_config.CsvWriterConfig`."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> dict[str, Any]:
        """Write all rows of ``inputs["df"]``.

        Returns:
            ``{}``.

        Raises:
            DriverError: The file cannot be written, does not match what is there (``append``), or a value has
                no text in the chosen form. Nothing is left of the attempt.
        """
        options = CsvWriterConfig.model_validate(config)
        location = locate(options.path, ctx)
        with open_output(location, options.write_mode, ctx, create_dirs=options.create_dirs) as file:
            data = select_columns(Dataset.of(inputs["df"]), options.columns)
            rows = _write(file, data, options, ctx)
            told = file.commit(rows=rows, format="csv")
        ctx.log_metric("bytes_written", told["bytes"], "bytes")
        ctx.add_output(location.text, **told)
        return {}


def _write(file: AtomicFile, data: Dataset, options: CsvWriterConfig, ctx: StepContext) -> int:
    form = CsvForm(
        delimiter=options.delimiter,
        newline="\r\n" if options.newline == "crlf" else "\n",
        quoting=options.quoting,
        null_value=options.null_value,
        binary=options.binary,
    )
    codec = choose_codec(options.compression, file.location.path)
    formatter = CsvFormatter(data.schema, form)
    head, tail = read_ends(file.location, codec, options.encoding) if file.appends else (b"", b"")
    if tail:
        _check_existing(file.location, data.schema.names, options)
    encoder = TextEncoder(options.encoding, head)
    rows = 0
    out = compress(file, codec)
    if tail and not tail.endswith((b"\n", b"\r")):
        out.write(encoder.encode(form.newline.encode()))
    if options.header and not tail:
        out.write(encoder.encode(formatter.header()))
    for count, pieces in in_order(lambda part: (part.num_rows, formatter.records(part)), _parts(data.batches())):
        ctx.raise_if_cancelled()
        for piece in pieces:
            out.write(encoder.encode(piece))
        rows += count
    out.write(encoder.finish())
    if out is not file:
        out.close()
    return rows


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches that are small as text, too: several of them are on their way at a time."""
    for batch in batches:
        if batch.num_rows:
            rows = max(1, min(_ROWS, _BYTES * batch.num_rows // max(1, batch.nbytes)))
            for first in range(0, batch.num_rows, rows):
                yield batch.slice(first, rows)


def _check_existing(location: Location, names: list[str], options: CsvWriterConfig) -> None:
    """Refuse to append to a file of other columns or another encoding, and to one that ends inside of quotes."""
    layout = CsvLayout(
        csv=CsvFormat(options.delimiter),
        encoding=options.encoding,
        compression=options.compression,
        header=options.header,
        skip_blank_lines=False,
    )
    reader = CsvReader(location, layout)
    reader.close()
    found = reader.names
    if found == names if options.header else len(found) == len(names):
        with TextSource(location, reader.codec, options.encoding) as source:
            quotes = check_utf8(source, count=b'"')
        if quotes:
            reader = CsvReader(location, layout)
            try:
                reader.refuse_open_end()
            finally:
                reader.close()
        return
    there = f"the columns {', '.join(found)}" if options.header else f"{len(found)} columns"
    raise DriverError(
        f"{location.text} has {there}; the rows to append have {', '.join(names) or 'none'}",
        hint="give the rows the same columns in the same order (`columns` of the writer does), or another path",
        code="filesystem.csv_header_mismatch",
        path=location.text,
        expected=found,
        found=names,
    )

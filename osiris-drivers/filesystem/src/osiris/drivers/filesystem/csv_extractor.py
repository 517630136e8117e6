"""``filesystem.csv_extractor``: CSV files to a stream of batches, no value changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset, FileSource
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.compression import choose_codec
from osiris.drivers.filesystem.csv_config import CsvExtractorConfig
from osiris.drivers.filesystem.csv_declared import declared, declared_date
from osiris.drivers.filesystem.csv_inference import TEXT, Exact, Misfit, infer
from osiris.drivers.filesystem.csv_layout import CsvLayout
from osiris.drivers.filesystem.csv_reader import CsvReader
from osiris.drivers.filesystem.csv_records import CsvFormat
from osiris.drivers.filesystem.errors import unknown_columns
from osiris.drivers.filesystem.file_driver import FileDriver
from osiris.drivers.filesystem.locations import Location, locate_all
from osiris.drivers.filesystem.type_names import parse_type

__all__ = ["CsvExtractor"]

_SAMPLE_BYTES = 8 << 20


class CsvExtractor(FileDriver):
    """Reads CSV files as one stream; see :class:`~osiris.drivers.filesystem.csv_config.CsvExtractorConfig`."""

    def __init__(self) -> None:
        self._files: _CsvFiles | None = None

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> dict[str, Dataset]:
        """Open the first file, decide the types, and give a stream of all of them.

        Returns:
            ``{"df": dataset}``; the dataset can be read again.

        Raises:
            DriverError: A file is missing, unreadable or not CSV, or an option names a column that is not there.
        """
        options = CsvExtractorConfig.model_validate(config)
        self._files = _CsvFiles(locate_all(options.path, ctx), options, ctx)
        return {"df": self._files.dataset()}

    def close(self) -> None:
        """Close the open file."""
        if self._files is not None:
            self._files.close()


class _CsvFiles:
    """The files of one step: which columns, of which types, and the reading of them."""

    def __init__(self, locations: list[Location], options: CsvExtractorConfig, ctx: StepContext) -> None:
        self._locations, self._options, self._ctx = locations, options, ctx
        self._layout = _layout(options)
        self._reader: CsvReader | None = CsvReader(locations[0], self._layout)
        try:
            self._names = self._reader.names
            self._select = self._selected(self._names)
            self._texts = self._reader.batches(self._select)
            self._sample = self._read_sample()
            self._types = self._decide()
        except BaseException:
            self.close()
            raise
        chosen = [self._names[index] for index in self._select]
        self._schema = pa.schema([exact.field(name) for name, exact in zip(chosen, self._types, strict=True)])

    def dataset(self) -> Dataset:
        """All rows of all files."""
        return Dataset(self._batches, self._schema, replayable=True, source=self._source(), close=self.close)

    def close(self) -> None:
        """Close the file that was opened to decide the types, where nobody went on to read it."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # -- deciding --------------------------------------------------------------------------------

    def _selected(self, names: list[str]) -> list[int]:
        columns = self._options.columns
        if columns is None:
            return list(range(len(names)))
        if unknown := [name for name in columns if name not in names]:
            raise unknown_columns(unknown, names, self._locations[0].text, "`columns`")
        # A name that the file has twice means both.
        return [index for wanted in columns for index, name in enumerate(names) if name == wanted]

    def _read_sample(self) -> list[pa.RecordBatch]:
        """The first batches, which are given again when the rows are read."""
        sample: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in self._texts:
            sample.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if (size >= _SAMPLE_BYTES) if self._options.sample_rows is None else (rows >= self._options.sample_rows):
                break
        return sample

    def _decide(self) -> list[Exact]:
        options, chosen = self._options, [self._names[index] for index in self._select]
        types = options.types if isinstance(options.types, dict) else {}
        dates = options.parse_dates if isinstance(options.parse_dates, list) else []
        for option, wanted in (("`types`", list(types)), ("`parse_dates`", dates)):
            if unknown := [name for name in wanted if name not in self._names]:
                raise unknown_columns(unknown, self._names, self._locations[0].text, option)
        table = pa.Table.from_batches(self._sample) if self._sample else None
        decided = []
        for index, name in enumerate(chosen):
            sample = pa.nulls(0, pa.string()) if table is None else table.column(index).combine_chunks()
            if options.sample_rows is not None:
                sample = sample[: options.sample_rows]
            if name in types:
                decided.append(declared(parse_type(types[name])))
            elif name in dates:
                decided.append(declared_date(sample))
            elif isinstance(options.types, str):
                decided.append(declared(parse_type(options.types)))
            else:
                decided.append(infer(sample) if options.infer else TEXT)
        self._guessed = frozenset(
            name
            for name in chosen
            if options.infer and name not in types and name not in dates and not isinstance(options.types, str)
        )
        return decided

    def _source(self) -> FileSource | None:
        """The files themselves, where an engine that reads CSV would see the same rows."""
        options, reader = self._options, self._reader
        assert reader is not None
        simple = (
            options.columns is None
            and options.names is None
            and options.limit is None
            and options.skip_rows == 0
            and options.comment is None
            and options.escape is None
            and options.quote == '"'
            and options.empty_as_null == "unquoted"
            and options.skip_blank_lines is None
            and options.types is None
            and not options.parse_dates
            and isinstance(options.header, bool)
            and len(self._names) > 1
            and len(set(self._names)) == len(self._names)
            and not any(exact.form for exact in self._types)
        )
        files_are_plain = all(location.is_local for location in self._locations) and reader.readable_by_others
        if not (simple and files_are_plain):
            return None
        codecs = {choose_codec(options.compression, location.path) for location in self._locations}
        if len(codecs) != 1 or not codecs <= {None, "gzip", "zstd"}:
            return None
        return FileSource(
            format="csv",
            paths=tuple(location.path for location in self._locations),
            schema=self._schema,
            options={
                "delimiter": options.delimiter,
                "quote": options.quote,
                "header": options.header,
                "compression": codecs.pop(),
                "null_values": self._layout.null_values,
            },
            inferred=self._guessed,
        )

    # -- reading ---------------------------------------------------------------------------------

    def _batches(self) -> Iterator[pa.RecordBatch]:
        left = self._options.limit
        size = 0
        for location, reader, texts in self._open_files():
            row = 0
            try:
                for text in texts:
                    self._ctx.raise_if_cancelled()
                    if left is not None:
                        text = text.slice(0, left)
                        left -= text.num_rows
                    if text.num_rows:
                        yield self._convert(text, reader, row)
                    row += text.num_rows
                    if left == 0:
                        return
            finally:
                reader.close()
            size += location.size() or 0
        self._ctx.log_metric("bytes_read", size, "bytes")

    def _open_files(self) -> Iterator[tuple[Location, CsvReader, Iterator[pa.RecordBatch]]]:
        for location in self._locations:
            if self._reader is not None:  # the first file, opened and sampled by run()
                reader, self._reader = self._reader, None
                sample, self._sample = self._sample, []
                yield location, reader, chain(_given_away(sample), self._texts)
                continue
            reader = CsvReader(location, self._layout)
            try:
                self._same_header(reader)
            except BaseException:
                reader.close()
                raise
            yield location, reader, reader.batches(self._select)

    def _same_header(self, reader: CsvReader) -> None:
        if reader.names == self._names:
            return
        first = self._locations[0].text
        raise DriverError(
            f"{reader.location.text} has other columns than {first}: {_difference(self._names, reader.names)}",
            hint="read files of one kind in one step, the others in a step of their own",
            code="filesystem.csv_header_mismatch",
            path=reader.location.text,
            first=first,
            expected=self._names,
            found=reader.names,
        )

    def _convert(self, text: pa.RecordBatch, reader: CsvReader, row: int) -> pa.RecordBatch:
        columns = []
        for index, exact in enumerate(self._types):
            try:
                columns.append(exact.convert(text.column(index)))
            except Misfit as misfit:
                value = text.column(index)[misfit.index].as_py()
                raise self._mismatch(reader, row + misfit.index, index, value) from None
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _mismatch(self, reader: CsvReader, row: int, column: int, value: str) -> DriverError:
        name, kind, line = self._schema.names[column], _type_name(self._types[column].type), reader.line_of(row)
        guessed = name in self._guessed
        shown = value if len(value) <= 100 else value[:100] + "..."
        return DriverError(
            f"{reader.location.text}, line {line}: {name} is {shown!r}, "
            + (f"which as {kind}, as the rows before it, would be changed" if guessed else f"which is no {kind}"),
            hint=f"set `types: {{{name}: string}}`, or the type that fits all its values",
            code="filesystem.csv_type_mismatch",
            path=reader.location.text,
            line=line,
            column=name,
            value=shown,
            type=kind,
        )


def _given_away(sample: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each batch once, kept by nobody afterwards."""
    sample.reverse()
    while sample:
        yield sample.pop()


def _layout(options: CsvExtractorConfig) -> CsvLayout:
    header = options.header
    return CsvLayout(
        csv=CsvFormat(options.delimiter, options.quote or None, options.escape),
        encoding=options.encoding,
        compression=options.compression,
        header=header is True or (header is not None and header is not False),
        skip_lines=options.skip_rows,
        skip_records=header if isinstance(header, int) and not isinstance(header, bool) else 0,
        comment=options.comment,
        skip_blank_lines=options.skip_blank_lines,
        names=None if options.names is None else tuple(options.names),
        null_values=(*(() if options.empty_as_null == "never" else ("",)), *options.na_values),
        quoted_null=options.empty_as_null == "always",
    )


def _difference(expected: Sequence[str], found: Sequence[str]) -> str:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    parts = []
    if missing:
        parts.append(f"{', '.join(map(repr, missing))} missing")
    if extra:
        parts.append(f"{', '.join(map(repr, extra))} added")
    return "; ".join(parts) or "another order"


def _type_name(kind: pa.DataType) -> str:
    names = {"int64": "integer", "double": "number", "bool": "boolean", "date32[day]": "date"}
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp_tz"
    return names.get(str(kind), str(kind))

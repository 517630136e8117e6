"""``filesystem.jsonl_extractor``: JSON Lines files to a stream of batches, numbers exact."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem.compression import choose_codec
from osiris.drivers.filesystem.csv_inference import Misfit
from osiris.drivers.filesystem.errors import unknown_columns
from osiris.drivers.filesystem.file_driver import FileDriver
from osiris.drivers.filesystem.json_columns import JSON_TEXT, Fraction, JsonColumn, declared_column, dump, infer_column
from osiris.drivers.filesystem.jsonl_config import JsonlExtractorConfig
from osiris.drivers.filesystem.locations import Location, locate_all
from osiris.drivers.filesystem.text_source import TextSource, check_utf8
from osiris.drivers.filesystem.type_names import parse_type

__all__ = ["JsonlExtractor"]

_CHUNK = 1 << 20
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""One of a pair of surrogates, escaped: Python's parser takes it alone, too."""


class JsonlExtractor(FileDriver):
    """Reads JSON Lines; see :class:`~osiris.drivers.filesystem.jsonl_config.JsonlExtractorConfig`."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> dict[str, Dataset]:
        """Look at the first rows, decide the types, and give a stream of all files.

        Returns:
            ``{"df": dataset}``; the dataset can be read again.

        Raises:
            DriverError: A file is missing or unreadable, a line is no JSON object, or a column is not there.
        """
        options = JsonlExtractorConfig.model_validate(config)
        return {"df": _JsonlFiles(locate_all(options.path, ctx), options, ctx).dataset()}


@dataclass(frozen=True)
class _Rows:
    """Some parsed lines of a file, and the line (from 1) of each."""

    location: Location
    objects: list[dict[str, Any]]
    lines: list[int]


class _JsonlFiles:
    """The files of one step: which columns, of which types, and the reading of them."""

    def __init__(self, locations: list[Location], options: JsonlExtractorConfig, ctx: StepContext) -> None:
        self._locations, self._options, self._ctx = locations, options, ctx
        for location in locations[1:]:
            location.open().close()  # a file that cannot be read should say so before anything is written
        self._columns = self._decide(self._sample())
        self._schema = pa.schema([column.field(name) for name, column in self._columns.items()])

    def dataset(self) -> Dataset:
        """All rows of all files."""
        return Dataset(self._batches, self._schema, replayable=True)

    def _sample(self) -> list[dict[str, Any]]:
        sample: list[dict[str, Any]] = []
        for location in self._locations:
            for rows in _read(location, self._options):
                sample.extend(rows.objects)
                if len(sample) >= self._options.sample_rows:
                    return sample[: self._options.sample_rows]
        return sample

    def _decide(self, sample: list[dict[str, Any]]) -> dict[str, JsonColumn]:
        options = self._options
        types = options.types if isinstance(options.types, dict) else {}
        names = list(dict.fromkeys([*(name for row in sample for name in row), *types]))
        if options.columns is not None:
            if unknown := [name for name in options.columns if name not in names]:
                raise unknown_columns(unknown, names, self._locations[0].text, "`columns`")
            names = list(dict.fromkeys(options.columns))
        if sample and not names:
            raise self._no_keys()
        decided = {}
        for name in names:
            if name in types or isinstance(options.types, str):
                decided[name] = declared_column(parse_type(types.get(name, str(options.types))))
            elif options.infer:
                decided[name] = infer_column([row.get(name) for row in sample], nested=options.nested == "struct")
            else:
                decided[name] = JSON_TEXT
        return decided

    def _batches(self) -> Iterator[pa.RecordBatch]:
        left, size = self._options.limit, 0
        for location in self._locations:
            if left == 0:
                return
            for rows in _read(location, self._options):
                self._ctx.raise_if_cancelled()
                objects = rows.objects if left is None else rows.objects[:left]
                yield self._convert(objects, rows)
                if left is not None:
                    left -= len(objects)
                    if left == 0:
                        return
            size += location.size() or 0
        self._ctx.log_metric("bytes_read", size, "bytes")

    def _convert(self, objects: list[dict[str, Any]], rows: _Rows) -> pa.RecordBatch:
        if self._options.columns is None:
            for index, row in enumerate(objects):
                if not row.keys() <= self._columns.keys():
                    raise self._unknown_key(rows, index)
        arrays = []
        for name, column in self._columns.items():
            try:
                arrays.append(column.build([row.get(name) for row in objects]))
            except Misfit as misfit:
                raise self._mismatch(rows, misfit.index, name, objects[misfit.index][name]) from None
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _mismatch(self, rows: _Rows, index: int, name: str, value: Any) -> DriverError:
        kind, shown = self._columns[name].type, dump(value)[:100]
        return DriverError(
            f"{rows.location.text}, line {rows.lines[index]}: {name} is {shown}, which is no exact {kind}",
            hint=f"set `types: {{{name}: string}}`, or the type that fits all its values, or raise `sample_rows`",
            code="filesystem.jsonl_type_mismatch",
            path=rows.location.text,
            line=rows.lines[index],
            column=name,
            value=shown,
            type=str(kind),
        )

    def _no_keys(self) -> DriverError:
        """Rows without any column cannot be told from no rows."""
        first = self._locations[0].text
        return DriverError(
            f"{first}: no row has a key, so that there is no column that could hold the rows",
            hint="say which columns there are, as `types: {name: string}`: each row is one of NULLs then",
            code="filesystem.jsonl_no_keys",
            path=first,
        )

    def _unknown_key(self, rows: _Rows, index: int) -> DriverError:
        name = next(name for name in rows.objects[index] if name not in self._columns)
        return DriverError(
            f"{rows.location.text}, line {rows.lines[index]}: the key {name!r} is in none of the rows "
            "from which the columns were guessed",
            hint=f"declare it, as `types: {{{name}: string}}`, raise `sample_rows`, or choose `columns`",
            code="filesystem.jsonl_unknown_key",
            path=rows.location.text,
            line=rows.lines[index],
            column=name,
        )


def _read(location: Location, options: JsonlExtractorConfig) -> Iterator[_Rows]:
    """The objects of a file in blocks of about a megabyte."""
    codec = choose_codec(options.compression, location.path)
    with TextSource(location, codec, options.encoding) as source:
        rest, line = b"", 1
        while True:
            chunk = source.read(_CHUNK)
            block, mark, rest = (rest + chunk).rpartition(b"\n") if chunk else (rest, b"", b"")
            if block or mark:
                texts = _decoded(block, location, options).split("\n")
                rows = _parse(texts, line, location)
                line += len(texts)
                if rows.objects:
                    yield rows
            if not chunk:
                return


def _decoded(block: bytes, location: Location, options: JsonlExtractorConfig) -> str:
    try:
        return block.decode()
    except UnicodeDecodeError:
        with TextSource(location, choose_codec(options.compression, location.path), options.encoding) as source:
            check_utf8(source)
        raise


def _parse(texts: list[str], first: int, location: Location) -> _Rows:
    rows = _Rows(location, [], [])
    for line, text in enumerate(texts, first):
        if not text or text.isspace():
            continue
        try:
            parsed = _DECODER.decode(text)
        except _BadJson as error:
            raise _invalid(location, line, str(error)) from None
        except json.JSONDecodeError as error:
            raise _invalid(location, line, f"{error.msg} at column {error.colno}", text) from None
        except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists in lists
            raise _invalid(location, line, "a number is too long, or the nesting too deep") from None
        if type(parsed) is not dict:
            raise _invalid(location, line, f"there is {text[:60]!r} instead of an object", text)
        if _HALF.search(text) and not _is_unicode(parsed):
            raise _invalid(location, line, "a text holds half of a surrogate pair, which is no character")
        rows.objects.append(parsed)
        rows.lines.append(line)
    return rows


def _is_unicode(value: Any) -> bool:
    try:
        dump(value).encode()
    except UnicodeEncodeError:
        return False
    return True


class _BadJson(ValueError):
    """What Python's parser would let pass."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _BadJson(f"the key {twice!r} stands twice in one object")
    return made


def _constant(text: str) -> Any:
    raise _BadJson(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=Fraction, parse_constant=_constant)


def _invalid(location: Location, line: int, what: str, text: str = "") -> DriverError:
    whole = line == 1 and text.lstrip()[:1] in ("[", "{")
    return DriverError(
        f"{location.text}, line {line}: not a JSON object: {what}",
        hint="the file looks like one JSON document; JSON Lines has one object on each line"
        if whole
        else "correct the line: JSON Lines has one object on each line",
        code="filesystem.jsonl_invalid",
        path=location.text,
        line=line,
    )

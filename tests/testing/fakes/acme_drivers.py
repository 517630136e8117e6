"""Drivers of a stranger, as they should be: tables in Arrow files of a folder that a password opens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, DriverSpec, StepContext
from osiris.core.errors import DriverError


class Connection(BaseModel):
    model_config = ConfigDict(extra="forbid")

    folder: str = Field(description="Where the files are")
    password: str = Field(description="What opens it")


class PlaceConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    table: str = Field(description="The file's name without its end")


class WriterConfig(PlaceConfig):
    mode: Literal["append", "replace", "upsert", "fail"] = Field("append", description="What happens to other rows")


class PassConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    without: str | None = Field(None, description="A column to leave out")


class LaxConfig(PassConfig):
    model_config = ConfigDict(extra="ignore")


def spec(name: str, kind: str, **changes: Any) -> DriverSpec:
    """The spec of a right driver, or of one with changes."""
    models = {"extractor": "PlaceConfig", "transform": "PassConfig", "writer": "WriterConfig"}
    facts: dict[str, Any] = {
        "name": name,
        "summary": "For tests of the kit",
        "role": kind,
        "config_model": f"acme_drivers:{models[kind]}",
        "connection_model": "acme_drivers:Connection",
        "input_form": "stream",
        "outputs": () if kind == "writer" else ("df",),
        "capabilities": frozenset({"streaming"}),
    }
    return DriverSpec(**{**facts, **changes})


class PlaceDriver(Driver):
    """What all of them do."""

    def folder(self, ctx: StepContext) -> Path:
        folder = Path((ctx.connection or {})["folder"])
        if not folder.is_dir():
            raise DriverError("there is no such folder", hint="make it", code="acme.unreachable")
        return folder

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        return {"files": len(list(self.folder(ctx).iterdir()))}


class Reader(PlaceDriver):
    def run(self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext) -> Any:
        path = self.folder(ctx) / f"{PlaceConfig.model_validate(config).table}.arrow"
        if not path.exists():
            raise DriverError(f"there is no {path.name}", hint="write it first", code="acme.not_found")
        with pa.OSFile(str(path)) as file:
            schema = pa.ipc.open_file(file).schema.remove_metadata()
        return {"df": Dataset(lambda: self.batches(path, ctx), self.schema(schema))}

    def schema(self, schema: pa.Schema) -> pa.Schema:
        return schema

    def batches(self, path: Path, ctx: StepContext) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                ctx.raise_if_cancelled()
                yield reader.get_batch(number).replace_schema_metadata()


class Passer(PlaceDriver):
    def run(self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext) -> Any:
        self.folder(ctx)
        without = PassConfig.model_validate(config).without
        given = inputs["df"]
        if without is not None and without not in given.schema.names:
            raise self.missing(without, ctx)

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in self.read(given):
                yield from self.alter(pa.Table.from_batches([batch])).to_batches()

        return {"df": Dataset(batches, self.alter(given.schema.empty_table()).schema)}

    def read(self, given: Dataset) -> Any:
        return given.batches()

    def alter(self, table: pa.Table) -> pa.Table:
        return table

    def missing(self, column: str, ctx: StepContext) -> Exception:
        return DriverError(f"there is no column {column!r}", hint="give another one", code="acme.no_column")


class Writer(PlaceDriver):
    """The file appears by a rename; whose it is is noted before, with its inode."""

    def run(self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext) -> Any:
        options = WriterConfig.model_validate(config)
        target = self.folder(ctx) / f"{options.table}.arrow"
        if options.mode == "fail" and target.exists():
            raise DriverError("the file is there", hint="remove it", code="acme.exists")
        if options.table == "forbidden":
            raise DriverError("this name is not allowed", hint="give another one", code="acme.bad_name")
        rows = self.write(target, options.mode, inputs["df"], ctx)
        self.tell(target, rows, ctx)
        return {}

    def tell(self, target: Path, rows: int, ctx: StepContext) -> None:
        ctx.log_metric("rows_written", rows)
        ctx.add_output(str(target), rows=rows)

    def write(self, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        part = target.with_name(f".{ctx.session_id}.part")
        rows = self.fill(part, target, mode, data, ctx)
        self.note(part, rows, ctx)
        part.replace(target)
        return rows

    def fill(self, path: Path, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        new: set[int] = set()
        rows = 0
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, data.schema) as sink:
            for batch in self.read(data):
                sink.write_batch(batch)
                rows += batch.num_rows
                if mode == "upsert":
                    new.update(batch.column("id").to_pylist())
            if mode != "replace" and target.exists():
                for batch in stored(target).to_batches():
                    sink.write_batch(batch.filter(pc.invert(pc.is_in(batch.column("id"), pa.array(sorted(new))))))
        return rows

    def read(self, data: Dataset) -> Iterator[pa.RecordBatch]:
        yield from data.batches()

    def note(self, part: Path, rows: int, ctx: StepContext) -> None:
        whose = {"by": [ctx.session_id, ctx.step_id], "rows": rows, "file": part.stat().st_ino}
        (part.parent / ".note").write_text(json.dumps(whose))

    def committed(self, step_id: str, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any] | None:
        target = self.folder(ctx) / f"{WriterConfig.model_validate(config).table}.arrow"
        whose = noted(target)
        return {"rows": whose["rows"]} if whose.get("by") == [ctx.session_id, step_id] else None


def noted(target: Path) -> dict[str, Any]:
    """Who wrote the file, and how many rows; empty where what is noted is about a file that did not come to be."""
    note = target.parent / ".note"
    whose: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {}
    there = target.exists() and target.stat().st_ino == whose.get("file")
    return whose if there else {}


def stored(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()

"""Describing the family imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys


def test_the_plugin_is_light() -> None:
    code = (
        "import sys; from osiris.drivers.duckdb.plugin import osiris_drivers; specs = osiris_drivers();"
        "print([s.name for s in specs], sorted({'duckdb', 'pandas', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "['duckdb.processor', 'duckdb.extractor', 'duckdb.writer'] []\n"


def test_what_the_specs_name_exists_and_every_option_is_described() -> None:
    from importlib import import_module

    from osiris.drivers.duckdb.plugin import osiris_drivers

    for spec in osiris_drivers():
        module, _, name = spec.factory.partition(":")
        assert hasattr(import_module(module), name)
        for path in (spec.config_model, spec.connection_model):
            if path is not None:
                module, _, name = path.partition(":")
                model = getattr(import_module(module), name)
                assert all(field.description for field in model.model_fields.values())
                if path == spec.config_model:
                    model.model_validate(dict(spec.example))


def test_no_run_with_duckdb_imports_pandas(tmp_path: object) -> None:
    code = """
import sys, pyarrow as pa
from osiris.core.cancellation import Cancellation
from osiris.core.dataset import Dataset
from osiris.drivers.duckdb.processor import Processor
from pathlib import Path
class Context:
    base_dir = temp_dir = Path(sys.argv[1])
    def __init__(self): self.on_cancel, self.raise_if_cancelled = (c := Cancellation()).on_cancel, c.raise_if_requested
processor = Processor()
table = pa.table({"i": pa.nulls(2, pa.int64())})  # pa.array() of a list would import pandas
given = {"t": Dataset.from_batches(table.schema, iter(table.to_batches()))}
out = processor.run("s", {"query": "SELECT sum(i) FROM t"}, given, Context())["df"]
print(out.table().num_rows, "pandas" in sys.modules)
processor.close()
"""
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("1 False\n", "")


def test_every_option_is_in_the_documentation() -> None:
    from pathlib import Path

    from osiris.drivers.duckdb.file_config import ExtractorConfig, WriterConfig
    from osiris.drivers.duckdb.processor_config import ProcessorConfig

    text = Path(__file__).parents[3].joinpath("docs/drivers/duckdb.md").read_text()
    for model in (ProcessorConfig, ExtractorConfig, WriterConfig):
        assert [name for name in model.model_fields if f"`{name}`" not in text] == []

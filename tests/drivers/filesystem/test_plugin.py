"""What the family says of itself, and the options' models."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import ValidationError

from osiris.core.driver import Driver
from osiris.core.manifest import manifest_from_dict
from osiris.core.planning import make_plan
from osiris.drivers.filesystem.plugin import osiris_check_plan, osiris_drivers

SPECS = {spec.name: spec for spec in osiris_drivers()}


def load(reference):
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def test_the_six_drivers():
    assert sorted(SPECS) == [
        "filesystem.csv_extractor", "filesystem.csv_writer", "filesystem.jsonl_extractor",
        "filesystem.jsonl_writer", "filesystem.parquet_extractor", "filesystem.parquet_writer",
    ]  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_is_true(name):
    spec = SPECS[name]
    assert issubclass(load(spec.factory), Driver)
    model = load(spec.config_model)
    model.model_validate(dict(spec.example))
    assert all(field.description for field in model.model_fields.values())
    assert all(field.description for field in load(spec.connection_model).model_fields.values())
    assert model.model_json_schema()["additionalProperties"] is False


def test_describing_the_family_imports_neither_arrow_nor_pydantic():
    script = (
        "import sys; from osiris.drivers.filesystem.plugin import osiris_drivers; osiris_drivers();"
        "print([name for name in ('pyarrow', 'pydantic', 'fsspec', 'pandas') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_checking_options_does_not_import_arrow():
    script = (
        "import sys; from osiris.drivers.filesystem.csv_config import CsvExtractorConfig as C;"
        "C.model_validate({'path': 'x', 'types': {'a': 'decimal(9,2)'}}); print('pyarrow' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


@pytest.mark.parametrize(
    ("name", "config", "place"),
    [
        ("csv_extractor", {}, "path"),
        ("csv_extractor", {"path": "x", "delimeter": ";"}, "delimeter"),
        ("csv_extractor", {"path": "x", "delimiter": ";;"}, "delimiter"),
        ("csv_extractor", {"path": "x", "delimiter": "§"}, "delimiter"),
        ("csv_extractor", {"path": "x", "encoding": "utf-99"}, "encoding"),
        ("csv_extractor", {"path": "x", "encoding": "base64"}, "encoding"),
        ("csv_writer", {"path": "x", "encoding": "idna"}, "encoding"),
        ("csv_writer", {"path": "x", "encoding": "punycode"}, "encoding"),
        ("csv_extractor", {"path": "x", "encoding": "unicode_escape"}, "encoding"),
        ("jsonl_writer", {"path": "x", "encoding": "raw_unicode_escape"}, "encoding"),
        ("jsonl_extractor", {"path": "x", "encoding": "undefined"}, "encoding"),
        ("csv_extractor", {"path": "x", "types": {"a": "integr"}}, "types"),
        ("csv_extractor", {"path": "x", "types": {"a": "decimal(99,2)"}}, "types"),
        ("csv_extractor", {"path": "x", "types": {}, "dtype": {}}, ""),
        ("csv_extractor", {"path": "x", "limit": -1}, "limit"),
        ("csv_extractor", {"path": [], "limit": 1}, "path"),
        ("csv_extractor", {"path": "x", "columns": []}, "columns"),
        ("parquet_writer", {"path": "x", "columns": []}, "columns"),
        ("csv_extractor", {"path": "x", "compression": "zip"}, "compression"),
        ("csv_extractor", {"path": "x", "delimiter": '"'}, ""),
        ("csv_writer", {"path": "x", "write_mode": "replace"}, "write_mode"),
        ("csv_writer", {"path": "x", "null_value": ","}, ""),
        ("csv_writer", {"path": ["a", "b"]}, "path"),
        ("parquet_writer", {"path": "x", "row_group_size": 0}, "row_group_size"),
        ("jsonl_writer", {"path": "x", "nulls": "no"}, "nulls"),
    ],
)
def test_options_that_are_wrong(name, config, place):
    with pytest.raises(ValidationError) as caught:
        load(SPECS[f"filesystem.{name}"].config_model).model_validate(config)
    assert place in [".".join(map(str, error["loc"])).partition(".")[0] for error in caught.value.errors()]


def test_options_of_the_predecessor_are_known():
    old = {
        "path": "x", "delimiter": ",", "encoding": "utf-8", "header": True, "columns": ["a"], "skip_rows": 0,
        "limit": 5, "parse_dates": ["a"], "dtype": {"a": "str"}, "na_values": ["NA"], "comment": "#",
        "skip_blank_lines": True, "compression": "infer",
    }  # fmt: skip
    load(SPECS["filesystem.csv_extractor"].config_model).model_validate(old)
    new = {
        "path": "x",
        "delimiter": ",",
        "header": True,
        "encoding": "utf-8",
        "newline": "lf",
        "quoting": "minimal",
        "create_dirs": True,
    }
    load(SPECS["filesystem.csv_writer"].config_model).model_validate(new)


DOCS = Path(__file__).parents[3] / "docs" / "drivers" / "filesystem.md"


@pytest.mark.parametrize("name", SPECS)
def test_every_option_is_documented(name):
    text = DOCS.read_text()
    section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    shared = text.partition("\n## filesystem.csv_")[2]
    for option in load(SPECS[name].config_model).model_fields:
        assert f"`{option}`" in (section if "csv" in name else section + shared)


def test_every_error_code_is_documented():
    text = DOCS.read_text().partition("\n## Errors\n")[2]
    source = Path(import_module("osiris.drivers.filesystem.plugin").__file__).parent
    codes = {code for file in source.glob("*.py") for code in re.findall(r'"filesystem\.([a-z_]+)"', file.read_text())}
    assert len(codes) > 30
    assert [code for code in sorted(codes) if f"`{code}`" not in text and f"`filesystem.{code}`" not in text] == []


@pytest.mark.parametrize("name", SPECS)
def test_a_connection_is_tested_by_listing_its_folder(step, raises, name):
    driver = load(SPECS[name].factory)()
    step.connection = {"base_dir": "data"}
    raises("filesystem.not_found", driver.check, {}, step)
    step.file("data/x", "")
    assert driver.check({}, step) == {"base_dir": str(step.base_dir / "data"), "writable": True}
    step.connection = {"base_dir": "data/x"}
    raises("filesystem.not_a_directory", driver.check, {}, step)
    step.connection = {"base_dir": "memory://tested"}
    raises("filesystem.not_found", driver.check, {}, step)


@pytest.mark.parametrize(
    ("one", "other", "needs", "warned"),
    [
        ({"path": "out/x.csv"}, {"path": "./out//x.csv"}, [], True),
        ({"path": "x.csv"}, {"path": "x.csv"}, ["one"], True),
        ({"path": "x.csv"}, {"path": "x.csv", "write_mode": "append"}, [], True),
        ({"path": "x.csv", "write_mode": "append"}, {"path": "x.csv"}, ["one"], True),
        ({"path": "memory://b/x.csv"}, {"path": "memory://b/x.csv"}, [], True),
        ({"path": "x.csv"}, {"path": "x.csv", "write_mode": "append"}, ["one"], False),
        ({"path": "x.csv", "write_mode": "append"}, {"path": "x.csv", "write_mode": "append"}, [], False),
        ({"path": "x.csv"}, {"path": "y.csv"}, [], False),
        ({"path": "x.csv", "connection": "@filesystem.a"}, {"path": "x.csv", "connection": "@filesystem.b"}, [], False),
    ],
)
def test_two_steps_that_write_one_file_are_told(one, other, needs, warned):
    steps = [
        {"id": "other", "driver": "filesystem.csv_writer", "config": other, "inputs": {"df": "${rows.df}"}},
        {"id": "one", "driver": "filesystem.csv_writer", "config": one, "inputs": {"df": "${rows.df}"}},
        {"id": "rows", "driver": "filesystem.csv_extractor", "config": {"path": "in.csv"}},
    ]
    steps[0]["needs"] = needs
    manifest = manifest_from_dict({"version": "1.0.0", "name": "p", "steps": steps})
    warnings = make_plan(manifest, checks=[osiris_check_plan]).warnings
    assert [(warning.code, warning.severity) for warning in warnings] == [
        ("filesystem.same_target", "warning")
    ] * warned
    assert all(re.fullmatch(r"steps\[[01]\]\.config\.path", warning.path) for warning in warnings)

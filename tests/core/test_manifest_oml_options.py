"""Every option of the older dialect's components: taken with its meaning, or refused with place, reason and advice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from osiris.core.errors import InvalidPipelineError, ManifestError, Problem
from osiris.core.manifest import Manifest, parse_manifest
from osiris.core.manifest.oml_options import REFUSED, REFUSED_VALUES, RENAMED
from osiris.core.planning import make_plan, with_plan_problems

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "oml.md").read_text(encoding="utf-8")

NEEDED: dict[str, dict[str, Any]] = {
    "filesystem.csv_extractor": {"path": "a.csv"},
    "filesystem.csv_writer": {"path": "b.csv"},
    "mysql.extractor": {"connection": "@mysql.main"},
    "mysql.writer": {"connection": "@mysql.main", "table": "t"},
    "supabase.extractor": {"connection": "@supabase.main", "table": "t"},
    "supabase.writer": {"connection": "@supabase.main", "table": "t"},
    "duckdb.processor": {"query": "SELECT * FROM df_before"},
}

TAKEN: list[tuple[str, dict[str, Any]]] = [
    *(
        ("filesystem.csv_extractor", option)
        for option in (
            {"connection": "@filesystem.local"},
            {"delimiter": ";"},
            {"delimiter": "\t"},
            *({"encoding": name} for name in ("utf-8", "utf-16", "ascii", "latin-1", "iso-8859-1")),
            *({"header": value} for value in (True, False, 0, 2)),
            {"columns": ["b", "a"]},
            {"skip_rows": 2},
            {"limit": 10},
            *({"parse_dates": value} for value in (True, False, ["created_at"])),
            {"dtype": {"a": "int64", "b": "float64", "c": "object", "d": "str", "e": "bool", "f": "datetime64[ns]"}},
            {"na_values": ["N/A", "null", "-"]},
            {"comment": "#"},
            {"skip_blank_lines": True},
            {"skip_blank_lines": False},
            *({"compression": name} for name in ("infer", "gzip", "bz2", "xz")),
        )
    ),
    *(
        ("filesystem.csv_writer", option)
        for option in (
            {"delimiter": "\t"},
            {"header": False},
            *({"encoding": name} for name in ("utf-8", "utf-16", "ascii", "latin-1")),
            *({"newline": name} for name in ("lf", "crlf")),
            *({"quoting": name} for name in ("minimal", "all", "nonnumeric")),
            {"create_dirs": False},
        )
    ),
    ("mysql.extractor", {"query": "SELECT 1"}),
    ("mysql.extractor", {"table": "t", "columns": ["a", "b"], "limit": 5}),
    *(
        (f"{family}.writer", option)
        for family in ("mysql", "supabase")
        for option in (
            {"write_mode": "append"},
            {"write_mode": "replace", "primary_key": ["id"]},
            {"write_mode": "upsert", "primary_key": ["id", "day"]},
            {"write_mode": "upsert", "primary_key": "id"},
            {"mode": "upsert", "primary_key": ["id"]},
            {"batch_size": 100},
            {"create_if_missing": True},
        )
    ),
    ("mysql.writer", {"mode": "upsert", "upsert_keys": ["id"], "create_table": False}),
    ("supabase.extractor", {"limit": 100}),
]

WRONG: list[tuple[str, str, Any]] = [
    ("filesystem.csv_extractor", "chunk_size", 5),
    ("filesystem.csv_extractor", "on_bad_lines", "skip"),
    ("filesystem.csv_extractor", "discovery", True),
    ("filesystem.csv_writer", "chunk_size", 5),
    *(("mysql.extractor", name, 1) for name in ("host", "port", "database", "user", "username", "password", "schema")),
    *(("mysql.extractor", name, 1) for name in ("offset", "batch_size", "pool_size", "pool_recycle", "echo")),
    *(("mysql.writer", name, 1) for name in ("host", "port", "database", "user", "username", "password", "schema")),
    *(("mysql.writer", name, 1) for name in ("truncate_before", "pool_size", "pool_recycle", "echo")),
    *(("supabase.extractor", name, 1) for name in ("url", "key", "project_id", "schema", "select", "filter", "offset")),
    *(("supabase.extractor", name, 1) for name in ("timeout", "retries", "tables")),
    *(("supabase.writer", name, 1) for name in ("url", "key", "project_id", "schema", "returning", "timeout")),
    *(("supabase.writer", name, 1) for name in ("retries", "ddl_channel", "ddl_plan_only", "prefer")),
    *(
        (f"supabase.{role}", n, 1)
        for role in ("extractor", "writer")
        for n in ("service_role_key", "anon_key", "pg_dsn")
    ),
]


def oml(component: str, config: dict[str, Any]) -> str:
    import json

    given = {**NEEDED[component], **config}
    if component == "mysql.extractor" and not {"query", "table"} & given.keys():
        given["query"] = "SELECT 1"
    lines = [f"      {key}: {json.dumps(value)}" for key, value in given.items()]
    before = (
        "  - {id: before, component: filesystem.csv_extractor, config: {path: x.csv}}\n"
        if not component.endswith("extractor")
        else ""
    )
    return (
        f"oml_version: 0.1.0\nname: p\nsteps:\n{before}  - id: step\n    component: {component}\n    config:\n"
        + "\n".join(lines)
        + "\n"
    )


def check(text: str) -> tuple[Manifest | None, list[Problem]]:
    """The manifest, or what is wrong with it: by its own rules, and by those of the drivers that are installed."""
    try:
        manifest = parse_manifest(text, file="old.yaml")
        make_plan(manifest)
    except ManifestError as error:
        return None, list(with_plan_problems(error).problems)
    except InvalidPipelineError as error:
        return None, list(error.problems)
    return manifest, []


@pytest.mark.parametrize(("component", "config"), TAKEN, ids=lambda value: str(value))
def test_options_that_are_taken(component: str, config: dict[str, Any]) -> None:
    manifest, problems = check(oml(component, config))
    assert problems == []
    assert manifest is not None
    renamed = RENAMED.get(component, {})
    found = manifest.steps[-1]["config"]
    assert {renamed.get(key, key): value for key, value in config.items()}.items() <= found.items()
    assert all(f"`{key}`" in PAGE for key in config)


@pytest.mark.parametrize(("component", "option", "value"), WRONG)
def test_options_that_are_refused(component: str, option: str, value: Any) -> None:
    text = oml(component, {option: value})
    manifest, [problem] = check(text)
    assert manifest is None
    assert problem.code == "manifest.oml_option"
    assert problem.message.startswith(f"{component}: {option!r} cannot be carried over: ")
    assert problem.hint
    assert "{" not in problem.hint or "{column" in problem.hint
    line = text.splitlines()[(problem.line or 0) - 1]
    assert line[(problem.column or 0) - 1 :].startswith(f"{option}:")
    assert f"`{option}`" in PAGE


def test_the_tables_of_this_test_are_complete() -> None:
    assert {(component, option) for component, option, _ in WRONG} == {
        (component, option) for component, options in REFUSED.items() for option in options
    }
    assert {(c, option) for c, options in RENAMED.items() for option in options} <= {
        (component, option) for component, config in TAKEN for option in config
    }


def test_values_that_are_refused() -> None:
    for (component, option), values in REFUSED_VALUES.items():
        for value in values:
            _, [problem] = check(oml(component, {option: value}))
            assert (problem.code, problem.line) == ("manifest.oml_option", 8)


def test_two_names_for_one_option() -> None:
    _, [problem] = check(oml("mysql.writer", {"mode": "append", "write_mode": "append"}))
    assert (problem.code, problem.hint) == ("manifest.oml_option", "remove mode")


def test_a_mistake_in_a_renamed_option_stands_where_it_was_written() -> None:
    text = oml("mysql.writer", {"mode": "apend"})
    _, [problem] = check(text)
    assert (problem.code, problem.hint) == ("plan.config", "did you mean append?")
    assert text.splitlines()[(problem.line or 0) - 1].strip() == 'mode: "apend"'


def test_an_unknown_option_is_refused_with_a_suggestion() -> None:
    _, [problem] = check(oml("filesystem.csv_extractor", {"delimeter": ";"}))
    assert (problem.code, problem.hint) == ("plan.config", "did you mean delimiter?")


def test_every_mistake_is_in_one_report() -> None:
    text = """\
oml_version: "0.1.0"
schedule: daily
steps:
  - id: ../../evil
    component: filesystem.csv_extractor
    config: {path: a.csv, chunk_size: 5, limt: 3}
  - id: a
    component: filesystem.csv_extractor
    mode: write
    retry: 3
    config: {path: a.csv, chunk_size: 5, limt: 3}
  - id: a
    component: filesystem.csv_extractor
    needs: []
    config: {path: b.csv}
  - id: both
    component: filesystem.csv_writer
    needs: [a, b]
    config: {path: out.csv}
  - id: b
    component: duckdb.processor
    needs: [missing]
    config: {query: "select * from df_missing where n < ${params.n}"}
"""
    _, problems = check(text)
    assert [(problem.code, problem.line) for problem in problems] == [
        ("manifest.unknown_key", 2),
        ("manifest.step_id", 4),
        ("manifest.oml_option", 6),
        ("plan.config", 6),
        ("manifest.wrong_type", 9),
        ("manifest.unknown_key", 10),
        ("manifest.oml_option", 11),
        ("plan.config", 11),
        ("manifest.duplicate_step", 12),
        ("manifest.oml_needs", 18),
        ("plan.unknown_step", 22),
        ("manifest.param_missing", 23),
    ]

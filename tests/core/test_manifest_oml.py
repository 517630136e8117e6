"""The older dialect, translated."""

from typing import Any

import pytest

from osiris.core.errors import ManifestError
from osiris.core.manifest import parse_manifest

HEAD = 'oml_version: "0.1.0"\nname: orders-demo\nsteps:\n'
READ = "- {id: read-orders, component: filesystem.csv_extractor, mode: read, config: {path: a.csv}}\n"


def steps(text: str) -> dict[str, dict[str, Any]]:
    return {step["id"]: step for step in parse_manifest(HEAD + text).steps}


def test_the_pipeline_of_the_predecessor() -> None:
    text = """\
oml_version: "0.1.0"
name: orders-demo
params: {n: {default: 3}}
steps:
  - id: read-orders
    component: filesystem.csv_extractor
    mode: read
    config: {path: data/orders.csv, limit: "${params.n}"}
  - id: agg
    component: duckdb.processor
    mode: transform
    needs: [read-orders]
    config: {query: "SELECT * FROM df_read_orders"}
  - id: write
    component: filesystem.csv_writer
    mode: write
    needs: [agg]
    config: {path: output/out.csv}
"""
    manifest = parse_manifest(text, params={"n": "5"})
    assert manifest.to_dict() == {
        "version": "1.0.0",
        "name": "orders-demo",
        "params": {"n": 5},
        "requires": [],
        "defaults": {},
        "steps": [
            {
                "id": "read-orders",
                "driver": "filesystem.csv_extractor",
                "config": {"path": "data/orders.csv", "limit": 5},
                "inputs": {},
                "needs": [],
            },
            {
                "id": "agg",
                "driver": "duckdb.processor",
                "config": {"query": "SELECT * FROM df_read_orders"},
                "inputs": {"df_read_orders": "${read-orders.df}"},
                "needs": [],
            },
            {
                "id": "write",
                "driver": "filesystem.csv_writer",
                "config": {"path": "output/out.csv"},
                "inputs": {"df": "${agg.df}"},
                "needs": [],
            },
        ],
    }
    assert manifest.oml
    assert manifest.position(("steps", 1, "driver")) == (10, 16)
    assert manifest.position(("steps", 1, "inputs", "df_read_orders")) == (12, 13)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("select * from df_read_orders", {"df_read_orders"}),
        ("select * from DF_READ_ORDERS", {"df_read_orders"}),
        ("select * from input_df", {"input_df"}),
        ("select * from df", {"df"}),
        ("select * from df join input_df using (id)", {"df", "input_df"}),
        ("select 1", {"df"}),
    ],
)
def test_a_query_gets_its_input_under_the_names_it_uses(query: str, names: set[str]) -> None:
    found = steps(READ + f'- {{id: q, component: duckdb.processor, mode: transform, config: {{query: "{query}"}}}}\n')
    assert found["q"]["inputs"] == dict.fromkeys(names, "${read-orders.df}")


def test_other_transforms_get_both_names() -> None:
    found = steps(READ + "- {id: t, component: acme.transform, mode: transform}\n")
    assert found["t"]["inputs"] == dict.fromkeys(("df_read_orders", "df"), "${read-orders.df}")


def test_several_needs_arrive_by_name() -> None:
    other = "- {id: b, component: filesystem.csv_extractor, mode: read, needs: []}\n"
    found = steps(
        READ + other + "- {id: q, component: duckdb.processor, needs: [read-orders, b], config: {query: x}}\n"
    )
    assert found["b"]["needs"] == []
    assert found["q"]["inputs"] == {"df_read_orders": "${read-orders.df}", "df_b": "${b.df}"}
    assert found["q"]["needs"] == []


def test_a_step_without_needs_follows_the_one_before() -> None:
    write = "- {id: w, component: filesystem.csv_writer, mode: write}\n"
    second = "- {id: again, component: filesystem.csv_extractor, mode: read}\n"
    found = steps(READ + write + second)
    assert found["w"]["inputs"] == {"df": "${read-orders.df}"}
    assert found["again"]["inputs"] == {}
    assert found["again"]["needs"] == ["w"]


def test_a_writer_gives_order_alone() -> None:
    write = "- {id: w, component: filesystem.csv_writer, mode: write}\n"
    found = steps(READ + write + "- {id: t, component: acme.transform, needs: [read-orders, w]}\n")
    assert found["t"]["inputs"] == dict.fromkeys(("df_read_orders", "df"), "${read-orders.df}")
    assert found["t"]["needs"] == ["w"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('oml_version: "1.0"\nsteps: [{id: a, component: x.y}]', ("manifest.version", 1, 14)),
        ("oml_version: true\nsteps: [{id: a, component: x.y}]", ("manifest.version", 1, 14)),
        ("oml_version: 0.1.0\nprofiles: 5\nsteps: [{id: a, component: x.y}]", ("manifest.wrong_type", 2, 11)),
        ("oml_version: 0.1.0\nversion: 1\nsteps: [{id: a, component: x.y}]", ("manifest.unknown_key", 2, 1)),
        ("oml_version: 0.1.0\nsteps: [{id: a}]", ("manifest.missing_key", 2, 9)),
        ("oml_version: 0.1.0\nsteps: [{id: a, component: 5}]", ("manifest.wrong_type", 2, 28)),
        ("oml_version: 0.1.0\nsteps: [{id: a, driver: x.y}]", ("manifest.unknown_key", 2, 17)),
        ("oml_version: 0.1.0\nsteps: [{id: a, component: x.y, mode: raed}]", ("manifest.wrong_type", 2, 39)),
        ("oml_version: 0.1.0\nsteps: [{id: a, component: x.y, mode: [read]}]", ("manifest.wrong_type", 2, 39)),
        ("oml_version: 0.1.0\nsteps: [{id: a, component: x.y, needs: b}]", ("manifest.wrong_type", 2, 40)),
        ("oml_version: 0.1.0\nsteps: [{id: a, component: x.y, needs: [[b]]}]", ("manifest.wrong_type", 2, 41)),
        ("oml_version: 0.1.0\nsteps: [{id: a, component: x.y, retry: 1}]", ("manifest.unknown_key", 2, 33)),
        ("oml_version: 0.1.0\nsteps: [5]", ("manifest.wrong_type", 2, 9)),
        ("oml_version: 0.1.0\nsteps: 5", ("manifest.no_steps", 2, 8)),
        ("oml_version: 0.1.0\n", ("manifest.missing_key", 1, 1)),
    ],
)
def test_mistakes_have_their_place(text: str, expected: tuple[str, int, int]) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text)
    assert expected in [(problem.code, problem.line, problem.column) for problem in caught.value.problems]

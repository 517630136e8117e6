"""Plain data to YAML: what is read back is what was written, by readers of YAML 1.2 and of 1.1."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from osiris.core.manifest.positions import compose
from osiris.core.manifest.yaml_text import write_yaml

TEXTS = [
    *("", " ", "a", "a b", "a: b", "a #b", "- a", "? a", "x,y", "[a]", "{a}", "&a", "*a", "!a", "|", ">", "@a", "`a`"),
    *("yes", "No", "ON", "off", "y", "N", "true", "False", "null", "~", "NULL", "007", "1_000", "1:30", "1e5", "0x1f"),
    *("2024-01-31", "2024-01-31 10:00:00", ".5", "1.", "+1", "-1", ".nan", ".inf", "-.INF", "=", "<<", "---", "..."),
    *("--- a", "%a", '"', "'", "it's", 'say "hi"', "\\", "\\n", 'it\'s "x"', "${a.df}", "${params.n}", "$${x}", "a,b"),
    *(
        "\n",
        "a\n",
        "a\nb",
        "a\nb\n",
        "a\n\nb\n",
        "a\n\n",
        "\na",
        " a\nb",
        "a\n b\n",
        "a\n \nb",
        "a \nb",
        "a\nb ",
        "a\n ",
    ),
    *(
        "a\r\nb",
        "a\tb",
        "\ta\nb",
        "a\n\tb\n",
        "a\x85b",
        "a\u2028b",
        "\ufeff",
        "\x00",
        "\x7f",
        "\xa0",
        "é",
        "日本\n語\n",
    ),
    *(
        "# a\nb\n",
        "--- \na\n",
        "a\n---\nb\n",
        "...\na\n",
        "😀",
        "a" * 2000,
        "SELECT *\nFROM a -- b: c\nWHERE x = 'y'\n",
    ),
]
texts = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
keys = texts.filter(lambda key: key != "<<")  # which always merges
data = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))
documents = st.dictionaries(keys, data, min_size=1, max_size=4)


class Yaml11(yaml.SafeLoader):
    """PyYAML's reader, with keys as texts."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


Yaml11.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(documents)
@example({text: text for text in TEXTS if text != "<<"})
@example({"a": list(TEXTS)})
@example({"a": [[text, {"b": text}] for text in TEXTS]})
@example({"a": {"b": {}, "c": []}, "d": [{}, [], [{}], [[1]], [["x" * 200]], [{"a": [{"b": "c\nd"}]}]]})
def test_what_is_read_is_what_was_written(value: dict[str, Any]) -> None:
    text = write_yaml(value)
    read = compose(text)
    assert read.problems == []
    assert repr(read.value) == repr(value)
    assert repr(yaml.load(text, Yaml11)) == repr(value)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(documents)
def test_the_text_holds_no_characters_that_get_lost(value: dict[str, Any]) -> None:
    assert (
        re.search("[^\n -~\u00a1-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff\t]", write_yaml(value)) is None
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("orders", "orders"),
        ("data/orders.csv", "data/orders.csv"),
        ("filesystem.csv_extractor", "filesystem.csv_extractor"),
        ("Smallest total that counts", "Smallest total that counts"),
        ("SELECT * FROM df_orders", "SELECT * FROM df_orders"),
        ("1.0.0", '"1.0.0"'),
        ("007", '"007"'),
        ("no", '"no"'),
        ("${orders.df}", '"${orders.df}"'),
        ("@mysql.main", '"@mysql.main"'),
        (";", '";"'),
        ("\t", '"\\t"'),
        ('select "a b" from t', "'select \"a b\" from t'"),
        (1e16, "1.0e+16"),
        (2.5, "2.5"),
        (-0.0, "-0.0"),
        (9007199254740993, "9007199254740993"),
        (True, "true"),
        (None, "null"),
        ([], "[]"),
        ({}, "{}"),
        (["a", "b, c", 1], '[a, "b, c", 1]'),
    ],
)
def test_values_look_as_people_write_them(value: Any, written: str) -> None:
    assert write_yaml({"key": value}) == f"key: {written}\n"


def test_longer_things_stand_in_blocks() -> None:
    value = {
        "query": "SELECT a\n  FROM t\n\nWHERE b\n",
        "list": ["x" * 60, "y" * 60],
        "steps": [{"id": "a", "config": {"q": "one\ntwo"}}, ["p", {"r": 1}]],
    }
    assert (
        write_yaml(value)
        == f"""\
query: |
  SELECT a
    FROM t

  WHERE b
list:
  - {"x" * 60}
  - {"y" * 60}
steps:
  - id: a
    config:
      q: |-
        one
        two
  - - p
    - r: 1
"""
    )

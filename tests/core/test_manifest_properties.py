"""Whatever is read, the answer is a manifest or a ManifestError with places inside the text."""

import json
import re
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from osiris.core.errors import ManifestError, Problem
from osiris.core.manifest import Manifest, manifest_from_dict, parse_manifest

WORDS = [
    *("version", "oml_version", "name", "description", "params", "defaults", "requires", "steps", "limits", "x-a"),
    *("id", "driver", "component", "mode", "config", "inputs", "needs", "retry", "type", "default", "enum", "required"),
    *("1", "1.0.0", "0.1.0", "a", "b", "read", "write", "x.y", "duckdb.processor", "df", "<<", "5", "true", "on"),
    *("${a.df}", "${a}", "${params.a}", "${PW}", "${file:/x}", "$${", "${", "${params.zz}", "${a b}", "../../x"),
]

words = st.sampled_from(WORDS)
scalars = st.one_of(words, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5), max_leaves=15
)
steps = st.fixed_dictionaries(
    {"id": st.sampled_from("abc") | scalars, "driver": st.just("x.y") | data},
    optional={"config": data, "inputs": data, "needs": data, "component": words, "mode": words, "retry": data},
)
manifests = st.fixed_dictionaries(
    {"steps": st.lists(steps, max_size=4) | data},
    optional={"version": st.just(1) | scalars, "oml_version": words, "params": data, "requires": data, "name": scalars},
)
fragments = st.lists(
    st.one_of(
        words,
        st.sampled_from(["\n", "\n  ", "\n- ", ": ", "- ", "{", "}", "[", "]", ", ", '"', "'", "\t", "#"]),
        st.sampled_from(["&a ", "*a", "!!str ", "!x ", "? ", "|\n", ">-\n", "---\n", "%YAML 1.1\n", "\u2028", "\r"]),
    ),
    max_size=30,
).map("".join)

quick = settings(max_examples=300, deadline=None, derandomize=True)


def attempt(read: Callable[[], Manifest]) -> tuple[Manifest | None, tuple[Problem, ...]]:
    try:
        return read(), ()
    except ManifestError as error:
        return None, error.problems


def check(text: str, params: dict[str, Any] | None = None) -> None:
    manifest, problems = attempt(lambda: parse_manifest(text, params=params))
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text)
    assert (manifest is None) == bool(problems)
    for problem in problems:
        assert problem.message
        assert problem.line is not None
        assert problem.column is not None
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
    if manifest is not None:
        again = manifest_from_dict(json.loads(json.dumps(manifest.to_dict(), allow_nan=False)))
        assert again.to_dict() == manifest.to_dict()


@quick
@given(fragments)
@example("version: 1\nsteps:\n- {id: a, driver: x.y}\n\ufeff")
@example("a: 1\u2028\tb")
def test_yaml_like_text(text: str) -> None:
    check(text)


@quick
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    check(text)


@quick
@given(manifests | data, st.dictionaries(st.sampled_from("abn"), scalars, max_size=2))
def test_yaml_of_any_data(value: Any, params: dict[str, Any]) -> None:
    check(yaml.safe_dump(value, allow_unicode=True), params)


@quick
@given(manifests)
def test_any_data(value: Any) -> None:
    manifest, problems = attempt(lambda: manifest_from_dict(value))
    assert (manifest is None) == bool(problems)
    assert all(problem.message and problem.line is None for problem in problems)
    if manifest is not None:
        assert manifest_from_dict(manifest.to_dict()).to_dict() == manifest.to_dict()


@quick
@given(st.binary(max_size=80))
def test_any_bytes(content: bytes) -> None:
    text = content.decode("latin-1")
    check(text)

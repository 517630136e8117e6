"""YAML text to plain data with places."""

import pytest

from osiris.core.errors import ManifestError
from osiris.core.manifest.positions import MAX_DEPTH, compose, locate
from osiris.core.manifest.scalars import resolve_plain


def refused(text: str) -> tuple[str, int | None, int | None]:
    with pytest.raises(ManifestError) as caught:
        compose(text, "p.yaml")
    problem = caught.value.problems[0]
    assert problem.file == "p.yaml"
    return problem.code, problem.line, problem.column


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("7", 7),
        ("-7", -7),
        ("0o17", 15),
        ("0xff", 255),
        ("007", "007"),
        ("00501", "00501"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("1e5", 100000.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("2024-01-31", "2024-01-31"),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = resolve_plain(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".nan", ".inf", "-.INF", "1e999", "1" * 5000, "0x" + "f" * 5000])
def test_numbers_that_json_cannot_hold_are_refused_at_their_place(text: str) -> None:
    document = compose(f"a: 1\nb: {text}\n")
    assert [(problem.code, problem.line, problem.column) for problem in document.problems] == [
        ("manifest.number", 2, 4)
    ]


def test_quoted_scalars_are_text_and_keys_are_always_text() -> None:
    document = compose("a: '1'\n1: x\ntrue: y\non: z\n'null': \"true\"\n")
    assert document.value == {"a": "1", "1": "x", "true": "y", "on": "z", "null": "true"}


def test_places_of_values_and_keys() -> None:
    document = compose("a:\n  - b: 1\n    c: {d: x}\n  - [y,  z]\n")
    assert locate(document.place, ("a", 0, "b")) == (2, 8)
    assert locate(document.place, ("a", 0, "c", "d")) == (3, 12)
    assert locate(document.place, ("a", 0, "c", "d"), at_key=True) == (3, 9)
    assert locate(document.place, ("a", 1, 1)) == (4, 10)
    assert locate(document.place, ("a", 0)) == (2, 5)
    assert locate(document.place, ("a", 0, "missing", 3)) == (2, 5)
    assert locate(document.place, ("a", 7)) == (2, 3)
    assert locate(None, ("a",)) is None


def test_columns_count_characters() -> None:
    assert locate(compose("{řeřicha: x, b: y}").place, ("b",)) == (1, 17)


def test_every_duplicate_key_is_noted_and_the_rest_still_read() -> None:
    document = compose("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert document.value == {"a": 1, "b": {"c": 1}}
    found = [(problem.code, problem.line, problem.column) for problem in document.problems]
    assert found == [("manifest.duplicate_key", 2, 11), ("manifest.duplicate_key", 3, 1)]
    assert "line 1" in document.problems[1].message


def test_anchors_aliases_and_merge_keys() -> None:
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {<<: [{x: 9}, *b]}\nthree: *b\n"
    document = compose(text)
    assert not document.problems
    assert document.value["one"] == {"x": 1, "y": 3}
    assert document.value["two"] == {"x": 9, "y": 2}
    assert document.value["three"] == {"x": 1, "y": 2}
    assert locate(document.place, ("one", "x")) == (1, 14)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!secret", "!!binary", "!!set", "!!timestamp"])
def test_tags_are_refused(tag: str) -> None:
    [problem] = (
        compose(f"a: 1\nb: {tag} x\n").problems if "set" not in tag else compose("a: 1\nb: !!set {x}\n").problems
    )
    assert (problem.code, problem.line, problem.column) == ("manifest.tag", 2, 4)


def test_core_tags_are_understood() -> None:
    document = compose("a: !!str 5\nb: !!int 5\nc: !!float 5\nd: ! 5\ne: !!map {}\nf: !!seq []\n")
    assert not document.problems
    assert document.value == {"a": "5", "b": 5, "c": 5, "d": "5", "e": {}, "f": []}
    assert [problem.code for problem in compose("a: !!int x").problems] == ["manifest.tag"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a:\n\tb: 1\n", ("manifest.yaml", 2, 1)),
        ("a: {b: ${x}}\n", ("manifest.yaml", 1, 9)),
        ("a: @mysql\n", ("manifest.yaml", 1, 4)),
        ("a: b: c\n", ("manifest.yaml", 1, 5)),
        ("a: [1,\n", ("manifest.yaml", 2, 1)),
        ("a: 'x\n", ("manifest.yaml", 2, 1)),
        ("a: 1\n---\nb: 2\n", ("manifest.yaml", 2, 1)),
        ("a: *nobody\n", ("manifest.yaml", 1, 4)),
        ("a: &a [*a]\n", ("manifest.alias", 1, 8)),
        ("? {x: 1}\n: y\n", ("manifest.yaml", 1, 3)),
        ("a: 1\nb: \x00\n", ("manifest.encoding", 2, 4)),
        ("a: \ud800\n", ("manifest.encoding", 1, 4)),
    ],
)
def test_what_is_not_yaml_is_refused_at_its_place(text: str, place: tuple[str, int, int]) -> None:
    assert refused(text) == place


@pytest.mark.parametrize(
    ("text", "words"),
    [("a:\n\tb: 1\n", "tabs"), ("a: @mysql\n", "quotes"), ("a: {b: ${x}}\n", "quotes"), ("a: b: c\n", "colon")],
)
def test_syntax_errors_come_with_advice(text: str, words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        compose(text)
    assert words in str(caught.value.hint)


def test_nesting_is_limited_also_through_aliases() -> None:
    compose("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert refused("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == ("manifest.too_deep", 1, MAX_DEPTH + 1)
    assert refused("[" * 200_000)[0] == "manifest.too_deep"
    half = MAX_DEPTH // 2 + 1
    text = f"a: &a {'[' * half}{']' * half}\nb: {'[' * half}*a{']' * half}\n"
    assert refused(text) == ("manifest.too_deep", 2, 4 + half)


def test_a_yaml_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    code, line, _ = refused("\n".join(lines))
    assert code == "manifest.too_many_values"
    assert line == 6


def test_a_bomb_of_merges_is_refused_at_once() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: {n}" for n in range(10)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 30)]
    assert refused("\n".join(lines))[0] == "manifest.too_many_values"


def test_both_parsers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x [1, 'two', {b: ~}]\nc: |\n  block\n  text\nd: *x\ne: {<<: {f: 1}}\n"
    quick = compose(text)
    monkeypatch.delattr("yaml.CSafeLoader", raising=False)
    assert compose(text) == quick
    for broken in ("a: {b: ${x}}\n", "a: [1,\n", 'a: "\\U00110000"', "%YAML 9.9\n--- a", "a:\n\tb"):
        assert refused(broken)[0] == "manifest.yaml"


def test_an_empty_document_is_none() -> None:
    for text in ("", "\n\n", "# nothing\n", "---\n", "null"):
        assert compose(text).value is None

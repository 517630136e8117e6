"""The ${...} language."""

import pytest

from osiris.core.manifest.references import Reference, find_references, has_secret, parse, parse_input, unescape


@pytest.mark.parametrize(
    ("text", "kind", "facts"),
    [
        ("${params.limit}", "param", {"name": "limit"}),
        ("${orders}", "step", {"name": "orders", "output": "df"}),
        ("${orders.rejects}", "step", {"name": "orders", "output": "rejects"}),
        ("${read-orders.df}", "step", {"name": "read-orders", "output": "df"}),
        ("${PASSWORD}", "secret", {"scheme": "env", "name": "PASSWORD", "default": None}),
        ("${HOST:-localhost}", "secret", {"scheme": "env", "name": "HOST", "default": "localhost"}),
        ("${HOST:-}", "secret", {"scheme": "env", "name": "HOST", "default": ""}),
        ("${http_proxy:-none}", "secret", {"scheme": "env", "name": "http_proxy", "default": "none"}),
        ("${file:/run/secrets/x}", "secret", {"scheme": "file", "name": "/run/secrets/x"}),
        ("${keyring:service/name}", "secret", {"scheme": "keyring", "name": "service/name"}),
        ("${vault:a:b}", "secret", {"scheme": "vault", "name": "a:b"}),
        ("${}", "invalid", {}),
        ("${a b}", "invalid", {}),
        ("${a.b.c}", "invalid", {}),
        ("${file:}", "invalid", {}),
        ("${open", "invalid", {}),
    ],
)
def test_forms(text: str, kind: str, facts: dict[str, object]) -> None:
    [reference] = parse(text)
    assert reference.kind == kind
    assert reference.text == text
    assert {key: getattr(reference, key) for key in facts} == facts


def test_several_in_one_text_with_their_places() -> None:
    text = "a ${X}, $${Y}, ${params.z}!"
    found = parse(text)
    assert [(reference.text, reference.kind) for reference in found] == [("${X}", "secret"), ("${params.z}", "param")]
    assert all(text[reference.start :].startswith(reference.text) for reference in found)


def test_dollars_and_braces_alone_are_text() -> None:
    for text in ("$5", "{a}", "$a", "a$", "$${a}", "$$", ""):
        assert parse(text) == []


def test_an_input_is_a_step_only_as_a_whole() -> None:
    assert parse_input("${ORDERS}") == Reference("step", "${ORDERS}", name="ORDERS", output="df")
    assert parse_input("${a.x}") == Reference("step", "${a.x}", name="a", output="x")
    for plain in ("a", "${a} ", "x${a}", "$${a}", "${a", "", "${a}${b}"):
        assert parse_input(plain) is None
    assert parse_input("${params.x}") == parse("${params.x}")[0]


def test_secrets_are_found_at_any_depth() -> None:
    value = {"a": [{"b": "x ${PW}"}], "c": "$${PW}"}
    assert [path for path, _ in find_references(value)] == [("a", 0, "b")]
    assert has_secret(value)
    assert not has_secret({"a": "${step.df}", "b": 5, "c": None})


def test_unescape() -> None:
    assert unescape({"a": ["$${x}", 5], "b": "$${"}) == {"a": ["${x}", 5], "b": "${"}

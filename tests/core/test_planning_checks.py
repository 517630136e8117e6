"""Configs against their models, connections, and secrets in clear."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from osiris.core.connections import Connections
from osiris.core.driver import DriverSpec
from osiris.core.errors import OsirisError, PlanError, PluginBrokenError, Problem
from osiris.core.manifest import manifest_from_dict, parse_manifest
from osiris.core.manifest.references import parse
from osiris.core.planning import make_plan
from osiris.core.planning.models import check_model
from osiris.core.planning.secrets import find_secrets


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    quoting: Literal["all", "minimal"] = "minimal"
    width: int = 1


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    connection: Any = None
    path: str
    limit: int | None = None
    columns: str | list[str] | None = None
    password: str | None = None
    options: Options | None = None
    columns_types: dict[str, str] = Field(default_factory=dict, alias="types")
    query: str | None = None
    table: str | None = None
    header: bool | int | None = None

    @model_validator(mode="after")
    def one_source(self) -> "Config":
        if self.query and self.table:
            raise ValueError("give query or table, not both")
        return self


class Bare(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: str = ""


class Connection(BaseModel):
    model_config = ConfigDict(extra="forbid")
    host: str
    port: int = 3306
    password: str = ""


def spec(name: str, **facts: Any) -> DriverSpec:
    return DriverSpec(name=name, summary="", factory="", **facts)


SPECS = {
    "x.y": spec("x.y", config_model=f"{__name__}:Config"),
    "x.bare": spec("x.bare", config_model=f"{__name__}:Bare", connection_family="mysql"),
    "x.db": spec(
        "x.db", config_model=f"{__name__}:Config", connection_family="mysql", connection_model=f"{__name__}:Connection"
    ),
    "x.none": spec("x.none"),
    "x.gone": spec("x.gone", config_model="nowhere.at.all:Config"),
    "x.odd": spec("x.odd", config_model="json:dumps"),
}


class Drivers:
    def spec(self, name: str) -> DriverSpec:
        return SPECS[name]


def problems(config: str, driver: str = "x.y", connections: Connections | None = None) -> list[Problem]:
    text = f"version: 1\nsteps:\n- id: a\n  driver: {driver}\n  config: {config}\n"
    try:
        make_plan(parse_manifest(text, file="p.yaml"), drivers=Drivers(), connections=connections)
    except OsirisError as error:
        return [Problem(**problem) for problem in error.facts["problems"]]
    return []


ASK = "'osiris drivers show x.y' tells what may stand there"


@pytest.mark.parametrize(
    ("config", "column", "message", "hint"),
    [
        ("{}", 3, "x.y: option 'path' is missing", "add it"),
        ("{path: a, limti: 5}", 21, "x.y: unknown option 'limti'", "did you mean limit?"),
        ("{path: a, type: {}}", 21, "x.y: unknown option 'type'", "did you mean types?"),
        ("{path: a, limit: many}", 28, "x.y: limit: should be a valid integer", "write a number, as 100"),
        (
            "{path: a, limit: true}",
            28,
            "x.y: limit: should be a valid integer, but is the boolean true",
            "write a number, as 100",
        ),
        (
            "{path: a, options: {width: false}}",
            38,
            "x.y: width: should be a valid integer, but is the boolean",
            "write a number, as 100",
        ),
        ("{path: [a]}", 18, "x.y: path: should be a valid string, but is a list", "write one text, without brackets"),
        ("{path: {a: '${SECRET}'}}", 18, "x.y: path: should be a valid string, but is a mapping", ASK),
        ("{path: a, columns: 5}", 30, "x.y: columns: should be a valid string", "put it in quotes"),
        ("{path: a, columns: [b, 5]}", 34, "x.y: columns: should be a valid string", "put it in quotes"),
        ("{path: a, options: {widht: 5}}", 31, "x.y: unknown option 'widht'", "did you mean width?"),
        ("{path: a, options: {quoting: al}}", 40, "x.y: quoting: should be 'all' or 'minimal'", "did you mean all?"),
        ("{path: a, columns: {b: 1}}", 30, "x.y: columns: should be a valid string", ASK),
        ("{path: a, query: q, table: t}", 3, "x.y: give query or table, not both", ASK),
    ],
)
def test_configs_that_do_not_fit_their_model(config: str, column: int, message: str, hint: str | None) -> None:
    [problem] = problems(config)
    assert (problem.code, problem.line, problem.column) == ("plan.config", 5, column)
    assert problem.message.startswith(message)
    assert problem.hint == hint


class Raising(BaseModel):
    how: str

    @model_validator(mode="before")
    @classmethod
    def _raise(cls, value: Any) -> Any:
        raise {"bug": RuntimeError("a spanner"), "exit": SystemExit(0)}[value["how"]]


class Undefined(BaseModel):
    how: "Nowhere"  # type: ignore[name-defined]  # noqa: F821  # as a forgotten import leaves it


@pytest.mark.parametrize(
    ("model", "how", "said"),
    [
        (Raising, "bug", "RuntimeError: a spanner"),
        (Raising, "exit", "SystemExit"),
        (Undefined, "x", "not fully defined"),
    ],
)
def test_a_model_that_cannot_check_anything_is_a_broken_plugin(model: type[BaseModel], how: str, said: str) -> None:
    with pytest.raises(PluginBrokenError, match=said) as broken:
        check_model(model, {"how": how})
    assert broken.value.facts["model"].endswith(f":{model.__name__}")


def test_all_mistakes_of_a_config_are_reported() -> None:
    assert len(problems("{limti: 5, options: {width: x, q: 1}}")) == 4


@pytest.mark.parametrize(
    "config",
    [
        "{path: a, limit: 5, types: {id: int}}",
        '{path: a, limit: "5"}',
        "{path: a, header: true}",
        '{path: a, limit: "${LIMIT}"}',
        '{path: a, columns: ["${A}", b]}',
        '{path: a, options: {quoting: "${Q}", width: "${W:-2}"}}',
    ],
)
def test_what_hangs_on_a_secret_is_not_judged(config: str) -> None:
    assert problems(config) == []


def test_what_is_missing_or_unknown_is_judged_beside_a_secret() -> None:
    found = problems('{pth: "${P}"}')
    assert [problem.message for problem in found] == ["x.y: option 'path' is missing", "x.y: unknown option 'pth'"]


def test_a_driver_without_a_model_takes_any_config() -> None:
    assert problems("{anything: [1, {goes: true}]}", driver="x.none") == []


@pytest.mark.parametrize("driver", ["x.gone", "x.odd"])
def test_a_model_that_is_not_there_is_a_broken_plugin(driver: str) -> None:
    with pytest.raises(PluginBrokenError) as caught:
        make_plan(manifest_from_dict({"version": 1, "steps": [{"id": "a", "driver": driver}]}), drivers=Drivers())
    assert [problem["path"] for problem in caught.value.facts["problems"]] == ["steps[0].driver"]


FILE = """\
connections:
  mysql:
    main: {default: true, host: localhost, password: "${MYSQL_PASSWORD}"}
    wrong: {hots: localhost, port: x}
    clear: {host: localhost, password: hunter2}
"""


@pytest.fixture
def connections(tmp_path: Path) -> Connections:
    (tmp_path / "osiris_connections.yaml").write_text(FILE)
    return Connections.load(tmp_path)


@pytest.mark.parametrize("name", ['"@mysql"', '"@mysql.main"', '{host: h, port: 1, password: "${PW}"}'])
def test_connections_that_are_right(name: str, connections: Connections) -> None:
    assert problems(f"{{path: a, connection: {name}}}", "x.db", connections) == []
    assert problems(f"{{connection: {name}}}", "x.bare", connections) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ('"@mysql.mian"', "connection."),
        ('"@postgres.main"', "connection."),
        ("mysql.main", "plan.connection"),
        ("5", "plan.connection"),
        ('"@mysql.${ALIAS}"', "plan.connection"),
    ],
)
def test_connections_that_do_not_exist(name: str, code: str, connections: Connections) -> None:
    [problem] = problems(f"{{path: a, connection: {name}}}", "x.db", connections)
    assert problem.code.startswith(code)
    assert (problem.file, problem.line, problem.column) == ("p.yaml", 5, 33)
    assert problem.hint


def test_without_connections_only_their_form_is_checked() -> None:
    assert problems('{path: a, connection: "@mysql.nobody"}', "x.db") == []
    assert [problem.code for problem in problems("{path: a, connection: nobody}", "x.db")] == ["plan.connection"]


def test_an_inline_connection_is_checked_where_it_stands() -> None:
    [problem] = problems("{path: a, connection: {host: h, prot: 1}}", "x.db")
    assert (problem.code, problem.line, problem.column) == ("plan.connection", 5, 43)
    assert problem.hint == "did you mean port?"


def test_a_wrong_connection_is_reported_once_in_its_own_file(tmp_path: Path, connections: Connections) -> None:
    steps = [{"id": i, "driver": "x.db", "config": {"path": "a", "connection": "@mysql.wrong"}} for i in "abc"]
    with pytest.raises(PlanError) as caught:
        make_plan({"version": 1, "steps": steps}, drivers=Drivers(), connections=connections)
    assert len(caught.value.problems) == 3
    for problem in caught.value.problems:
        assert problem.file == str(tmp_path / "osiris_connections.yaml")
        assert problem.line == 4


def test_a_secret_in_clear_in_a_connection(connections: Connections) -> None:
    [problem] = problems('{path: a, connection: "@mysql.clear"}', "x.db", connections)
    assert (problem.code, problem.line) == ("plan.secret_in_clear", 5)
    assert "hunter2" not in problem.message + str(problem.hint)


@pytest.mark.parametrize(
    "config",
    [
        {"password": "hunter2"},
        {"a": [{"apiKey": "x"}]},
        {"service-role-key": "x"},
        {"db_password": "x"},
        {"password": 12345},
        {"secret": "x"},
        {"auth_token": "x"},
        {"access_key": "x"},
        {"private_key": "x"},
        {"url": "mysql://root:hunter2@localhost/db"},
        {"url": "postgresql+psycopg://u:p%40@h"},
        {"key": "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2lnbmF0dXJlLXg"},
    ],
)
def test_secrets_in_clear_are_found(config: dict[str, Any]) -> None:
    assert len(list(find_secrets(config))) == 1


@pytest.mark.parametrize(
    "config",
    [
        {"password": "${PW}"},
        {"password": "prefix-${PW}"},
        {"password": "${file:/run/secrets/pw}"},
        {"password": ""},
        {"password": None},
        {"password": True},
        {"primary_key": "id"},
        {"key": "id"},
        {"max_tokens": 5},
        {"token": 5},
        {"tokenizer": "x"},
        {"password_column": "pw"},
        {"url": "mysql://root@localhost/db"},
        {"url": "mysql://root:${PW}@localhost/db"},
        {"url": "https://example.org:8080/a@b"},
        {"query": "select 'a:b@c' as mail"},
        {"path": "s3://bucket/key"},
    ],
)
def test_what_only_looks_like_a_secret_is_left_alone(config: Mapping[str, Any]) -> None:
    assert list(find_secrets(config)) == []


def test_a_secret_in_clear_is_located_and_never_shown() -> None:
    [problem] = problems("{path: a, password: hunter2}")
    assert (problem.code, problem.path, problem.line, problem.column) == (
        "plan.secret_in_clear",
        "steps[0].config.password",
        5,
        31,
    )
    assert problem.hint == "keep the value in the environment or .env, and write ${PASSWORD} here"
    assert "hunter2" not in str(problem)


def test_a_secret_of_a_wrong_type_is_not_shown_either() -> None:
    found = problems("{path: a, password: 31337}")
    assert [problem.code for problem in found] == ["plan.secret_in_clear", "plan.config"]
    assert "31337" not in str(found)


@pytest.mark.parametrize(
    ("config", "instead"),
    [
        ({"password": "x"}, "${PASSWORD}"),
        ({"db": {"apiKey": "x"}}, "${API_KEY}"),
        ({"pwd": "x"}, "${PASSWORD}"),
        ({"1_password": "x"}, "${SECRET_1_PASSWORD}"),
        ({"path": "ftp://bob:hunter22@example.com/x.csv"}, "ftp://...:${FTP_PASSWORD}@..."),
        (
            {"user": ["a", "postgresql+psycopg://u:p%40@h"]},
            "postgresql+psycopg://...:${POSTGRESQL_PSYCOPG_PASSWORD}@...",
        ),
        ({"url": "redis://:hunter22@${HOST}"}, "redis://:${REDIS_PASSWORD}@..."),
        ({"home": ["eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2lnbmF0dXJlLXg"]}, "${HOME_TOKEN}"),
        ({"ключ": "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2lnbmF0dXJlLXg"}, "${TOKEN}"),
    ],
)
def test_what_is_proposed_instead_is_no_name_that_every_shell_has(config: dict[str, Any], instead: str) -> None:
    [secret] = find_secrets(config)
    assert secret.instead == instead
    assert [reference.kind for reference in parse(instead)] == ["secret"]


def test_a_secret_given_as_a_parameter_is_in_clear_too() -> None:
    text = 'version: 1\nparams: {pw: x}\nsteps: [{id: a, driver: x.none, config: {password: "${params.pw}"}}]'
    with pytest.raises(PlanError) as caught:
        make_plan(parse_manifest(text), drivers=Drivers())
    assert caught.value.code == "plan.secret_in_clear"

"""osiris_connections.yaml, and the references in it."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.connections import Connections, Redactor, SecretResolver, fill, secret_references
from osiris.core.connections.references import parse_reference
from osiris.core.errors import ConnectionConfigError, UsageError
from osiris.core.manifest.references import find_references

MYSQL = """
version: 1
connections:
  mysql:
    primary:
      default: true
      host: ${MYSQL_HOST:-localhost}
      user: app
      password: ${MYSQL_PASSWORD}
    replica: {host: r1, password: "${file:replica.txt}"}
  supabase:
    main: {url: "https://x.example.org", key: "${keyring:osiris/supabase}"}
"""


@pytest.fixture
def project(tmp_path):
    def make(text, env=None):
        (tmp_path / "osiris_connections.yaml").write_text(text)
        if env is not None:
            (tmp_path / ".env").write_text(env)
        return tmp_path

    return make


def problems_of(folder):
    with pytest.raises(ConnectionConfigError) as caught:
        Connections.load(folder)
    return [(problem.line, problem.column, problem.message, problem.hint) for problem in caught.value.problems]


def test_connections_keep_their_references(project):
    connections = Connections.load(project(MYSQL))
    assert [connection.name for connection in connections.list()] == [
        "@mysql.primary",
        "@mysql.replica",
        "@supabase.main",
    ]
    primary = connections.get("@mysql.primary", family="mysql")
    assert primary.values == {"host": "${MYSQL_HOST:-localhost}", "user": "app", "password": "${MYSQL_PASSWORD}"}
    assert (primary.default, primary.line) == (True, 5)
    assert "app" not in repr(primary)
    assert primary.lines == {("host",): (7, 13), ("user",): (8, 13), ("password",): (9, 17)}


def test_the_outer_key_may_be_left_out(project):
    connections = Connections.load(project("mysql:\n  main: {host: h}\nfilesystem:\n  local:\n"))
    assert [connection.name for connection in connections.list()] == ["@filesystem.local", "@mysql.main"]
    assert connections.get("@filesystem").values == {}


def test_scalars_are_those_of_pipeline_files(project):
    values = Connections.load(project("x:\n  y: {pin: 007, ssl: on, since: 2024-01-01, port: 3306, tls: true}\n"))
    assert values.get("@x.y").values == {"pin": "007", "ssl": "on", "since": "2024-01-01", "port": 3306, "tls": True}


@pytest.mark.parametrize("text", ["", "# nothing\n", "connections:\n", "version: 1\n"])
def test_an_empty_file_has_no_connections(project, text):
    assert Connections.load(project(text)).list() == []


def test_no_file_is_no_error_until_a_connection_is_asked_for(tmp_path):
    connections = Connections.load(tmp_path)
    assert connections.list() == []
    with pytest.raises(ConnectionConfigError) as caught:
        connections.get("@mysql.main", family="mysql")
    assert "there is no connection @mysql.main" in caught.value.message
    assert str(tmp_path / "osiris_connections.yaml") in caught.value.message
    assert "create" in caught.value.hint


@pytest.mark.parametrize(
    ("aliases", "chosen"),
    [
        ("a: {default: true}, default: {}, c: {}", "a"),
        ("a: {}, default: {}", "default"),
        ("only: {}", "only"),
        ("a: {default: false}, b: {default: true}", "b"),
    ],
)
def test_the_default_of_a_family(project, aliases, chosen):
    assert Connections.load(project(f"mysql: {{{aliases}}}")).get("@mysql").alias == chosen


@pytest.mark.parametrize(
    ("name", "family", "message", "hint"),
    [
        ("@mysql.primray", "mysql", "no connection @mysql.primray", "did you mean '@mysql.primary'?"),
        ("@mysq.primary", None, "none of family 'mysq'", "did you mean '@mysql.primary'?"),
        ("@other", None, "none of family 'other'", "there are @mysql.primary, @mysql.replica, @supabase.main"),
        ("@supabase.main", "mysql", "is a supabase connection; a mysql", "there are @mysql.primary, @mysql.replica"),
        ("@primary", "mysql", "no connection @primary", "did you mean '@mysql.primary'?"),
        ("@other.x", "mysql", "a mysql connection is needed here", "there are @mysql.primary, @mysql.replica"),
        ("primary", "mysql", "'primary' is no connection's name", "did you mean @mysql.primary?"),
        ("mysql.primary", None, "'mysql.primary' is no connection's name", "did you mean @mysql.primary?"),
        ("nobody", "mysql", "'nobody' is no connection's name", "write it as '@mysql.alias'"),
        ("@", None, "'@' is no connection's name", "write it as"),
        ("@mysql.", None, "'@mysql.' is no connection's name", "write it as"),
        ("", None, "'' is no connection's name", "write it as"),
    ],
)
def test_a_wrong_name_is_told_with_the_alternatives(project, name, family, message, hint):
    connections = Connections.load(project(MYSQL))
    with pytest.raises(ConnectionConfigError) as caught:
        connections.get(name, family=family)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3


def test_a_family_without_a_default_lists_its_connections(project):
    with pytest.raises(ConnectionConfigError, match="ambiguous") as caught:
        Connections.load(project("mysql: {a: {}, b: {}}")).get("@mysql")
    assert "@mysql.a, @mysql.b" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("- a\n", 1, 1, "must be a mapping of families", "connections:"),
        ("just text\n", 1, 1, "the file holds a text", "connections:"),
        ("version: 2\nmysql: {}\n", 1, 10, "version 2 is not understood", "version: 1"),
        ("connections: {}\nconections: {}\n", 2, 1, "unknown key 'conections'", "did you mean 'connections'?"),
        ("connections: {}\nmysql: {}\n", 2, 1, "unknown key 'mysql'", "below 'connections:'"),
        ("mysql: [a]\n", 1, 8, "mysql holds a list", None),
        ("mysql:\n  main: text\n", 2, 9, "main holds a text", None),
        ("mysql:\n  main: {default: yes}\n", 2, 19, "default is a text", "default: true"),
        ("mysql:\n  a: {default: true}\n  b: {default: true}\n", 3, 16, "a and b are both the default", "keep"),
        ("mysql:\n  a.b: {}\n", 2, 3, "'a.b' cannot be part", None),
        ("my sql:\n  a: {}\n", 1, 1, "'my sql' cannot be part", None),
        ("mysql:\n  a: {}\n  a: {}\n", 3, 3, "key 'a' is already set in line 2", None),
        ("mysql:\n  a: {password: '${MYSQL-PASSWORD}'}\n", 2, 17, "${MYSQL-PASSWORD} is no reference", "${NAME}"),
        ("mysql:\n  a: {password: 'x${MYSQL'}\n", 2, 17, "${MYSQL is no reference", "${NAME}"),
        ("mysql:\n  a: {hosts: [h, '${}']}\n", 2, 18, "${} is no reference", "${NAME}"),
        ("mysql: {\n", 2, 1, "not valid YAML", None),
    ],
)
def test_mistakes_are_told_with_their_place(project, text, line, column, message, hint):
    ((at_line, at_column, told, hinted),) = problems_of(project(text))
    assert (at_line, at_column) == (line, column)
    assert message in told
    assert hint is None or hint in hinted


def test_all_mistakes_are_told_at_once(project):
    told = problems_of(project("version: 9\nmysql:\n  a: text\n  b: {default: 3, key: '${a-b}'}\n"))
    assert [line for line, *_ in told] == [1, 3, 4, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"a: b\x00c", "U+0000"),
        (b"a: " + b"x" * 1_000_001, "larger than"),
        (b"a: &a [x, x]\nb: &b [*a, *a]\n" + b"".join(b"c%d: &c%d [*b, *b]\n" % (i, i) for i in range(9)), "list"),
    ],
)
def test_a_strange_file_is_refused(tmp_path, content, message):
    (tmp_path / "osiris_connections.yaml").write_bytes(content)
    with pytest.raises(ConnectionConfigError, match="osiris_connections") as caught:
        Connections.load(tmp_path)
    assert message in caught.value.message


def test_a_folder_of_that_name_is_refused(tmp_path):
    (tmp_path / "osiris_connections.yaml").mkdir()
    with pytest.raises(ConnectionConfigError, match="cannot be read: Is a directory"):
        Connections.load(tmp_path)


# references


def test_references_are_found_with_their_paths():
    config = {"a": "${ONE}", "b": ["x ${TWO:-2} ${file:/run/x}"], "c": {"d": "$${NOT} ${orders.df} ${params.n}"}}
    found = [(found.text, found.scheme, found.name, found.default, found.path) for found in secret_references(config)]
    assert found == [
        ("${ONE}", "env", "ONE", None, ("a",)),
        ("${TWO:-2}", "env", "TWO", "2", ("b", 0)),
        ("${file:/run/x}", "file", "/run/x", None, ("b", 0)),
    ]


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="${}AZ_09az:-./ ", max_size=30))
def test_what_manifests_call_a_secret_is_one_here(text):
    theirs = [found for _, found in find_references(text) if found.kind == "secret"]
    ours = {found.text: found for found in secret_references(text)}
    for found in theirs:
        mine = ours[found.text]
        assert (mine.scheme, mine.name, mine.default) == (found.scheme, found.name, found.default)


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="${}A_:-x", max_size=20))
def test_filling_and_finding_agree(text):
    references = secret_references(text)
    filled = fill(text, {found.text: "" for found in references})
    if not references and "$${" not in text:
        assert filled == text
    if references:
        with pytest.raises(ConnectionConfigError):
            fill(text, {})


def test_filling_replaces_and_unescapes():
    secrets = {"${A}": "1", "${B:-}": "${A}"}
    config = {"x": "${A}", "y": ["u:${A}@${B:-}", 3, None], "z": "$${A} ${orders.df}"}
    assert fill(config, secrets) == {"x": "1", "y": ["u:1@${A}", 3, None], "z": "${A} ${orders.df}"}
    assert config["x"] == "${A}"


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A", "A}", "${A}x", "${a.b}", "${:x}", "$${A}", "${A-x}"])
def test_what_is_no_reference(text):
    assert parse_reference(text) is None


# resolving


@pytest.fixture
def redactor():
    return Redactor()


def test_variables_come_from_the_context_then_the_process_then_the_file(tmp_path, monkeypatch, redactor):
    (tmp_path / ".env").write_text("A=file\nB=file\nC=\"f $A ${B}\"\nexport D='x'\nEMPTY=\nBARE\n")
    monkeypatch.setenv("A", "process")
    monkeypatch.setenv("B", "process")
    monkeypatch.delenv("C", raising=False)
    resolver = SecretResolver({"A": "context"}, tmp_path / ".env", redactor=redactor)
    found = resolver.resolve_all(["${A}", "${B}", "${C}", "${D}", "${A:-x}", "${NONE_OF_THEM:-x}", "${EMPTY:-}"])
    assert found == {
        "${A}": "context",
        "${B}": "process",
        "${C}": "f $A ${B}",
        "${D}": "x",
        "${A:-x}": "context",
        "${NONE_OF_THEM:-x}": "x",
        "${EMPTY:-}": "",
    }
    sources = [resolver.source(reference).place for reference in secret_references("${A}${B}${C}${NONE_OF_THEM:-x}")]
    assert sources == ["given with the run", "environment", str(tmp_path / ".env"), "default"]


def test_every_missing_value_is_told_with_its_place(project):
    folder = project(MYSQL, env="MYSQL_PASSWRD=x\n")
    references = [found for connection in Connections.load(folder).list() for found in connection.references()]
    with pytest.raises(ConnectionConfigError) as caught:
        SecretResolver({}, folder / ".env").resolve_all([*references, *secret_references({"a": {"b": "${ZZZ}"}})])
    told = {problem.message: problem for problem in caught.value.problems}
    password = told["variable MYSQL_PASSWORD is not set; needed by connection @mysql.primary (password)"]
    assert password.place == f"{folder / 'osiris_connections.yaml'}:9:17"
    assert "did you mean MYSQL_PASSWRD?" in password.hint
    assert str(folder / ".env") in password.hint
    missing_file = (
        f"secret file {folder / 'replica.txt'} does not exist; needed by connection @mysql.replica (password)"
    )
    assert told[missing_file].line == 10
    assert "variable ZZZ is not set; needed by (a.b)" in told
    assert len(told) == 4


def test_a_prepared_config_names_its_connection():
    configs = {"orders": {"connection": "@mysql.main", "resolved_connection": {"password": "${ZZZ}"}}}
    with pytest.raises(ConnectionConfigError, match=r"needed by connection @mysql\.main \(orders\.resolved"):
        SecretResolver().resolve_all(secret_references(configs))


def test_an_empty_variable_is_an_error_unless_it_is_meant(redactor):
    resolver = SecretResolver({"A": ""}, redactor=redactor)
    with pytest.raises(ConnectionConfigError, match="variable A is set but empty") as caught:
        resolver.resolve_all(["${A}"])
    assert "${A:-}" in caught.value.hint
    assert resolver.resolve_all(["${A:-}", "${A:-x}"]) == {"${A:-}": "", "${A:-x}": "x"}


@pytest.mark.parametrize(
    ("content", "value"), [(b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret"), (b" a\nb \n\n", " a\nb \n")]
)
def test_a_secret_file_loses_its_last_line_break(tmp_path, redactor, content, value):
    (tmp_path / "x").write_bytes(content)
    resolver = SecretResolver(base_dir=tmp_path, redactor=redactor)
    assert resolver.resolve_all(["${file:x}"]) == {"${file:x}": value}
    assert resolver.resolve_all([f"${{file:{tmp_path}/x}}"]) == {f"${{file:{tmp_path}/x}}": value}


@pytest.mark.parametrize(("content", "says"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not UTF-8")])
def test_an_unusable_secret_file_is_told(tmp_path, content, says):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConnectionConfigError, match=says):
        SecretResolver(base_dir=tmp_path).resolve_all(["${file:x}"])


def test_a_folder_is_no_secret_file(tmp_path):
    with pytest.raises(ConnectionConfigError, match="cannot be read: Is a directory"):
        SecretResolver(base_dir=tmp_path).resolve_all(["${file:.}"])


def vault(name):
    if name == "bug":
        raise RuntimeError("s3cret in the message")
    if name == "usage":
        raise UsageError("the vault is sealed", hint="unseal it", code="vault.sealed")
    return {"good": "from-the-vault", "empty": "", "number": 3}[name]


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("${vault:none}", "vault has no secret 'none'"),
        ("${vault:empty}", "${vault:empty} is empty"),
        ("${vault:number}", "returned a int"),
        ("${vault:bug}", "raised RuntimeError"),
        ("${vault:usage}", "the vault is sealed"),
        ("${vautl:good}", "there is no secret scheme 'vautl'"),
    ],
)
def test_what_a_plugins_resolver_does_wrong_is_told(reference, says):
    resolver = SecretResolver(extra_schemes={"vault": vault})
    with pytest.raises(ConnectionConfigError) as caught:
        resolver.resolve_all([reference])
    assert says in caught.value.message
    assert "s3cret" not in caught.value.message


def test_plugins_are_asked_only_when_one_is_needed(redactor):
    asked = []

    def schemes():
        asked.append(1)
        return {"vault": vault}

    resolver = SecretResolver({"A": "a"}, extra_schemes=schemes, redactor=redactor)
    resolver.resolve_all(["${A}"])
    assert asked == []
    assert resolver.resolve_all(["${vault:good}"]) == {"${vault:good}": "from-the-vault"}
    assert asked == [1]


def test_a_keyring_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(ConnectionConfigError) as caught:
        SecretResolver().resolve_all(["${keyring:osiris/main}"])
    assert caught.value.hint == "pip install 'osiris-core[keyring]'"
    with pytest.raises(ConnectionConfigError, match="names no entry"):
        SecretResolver().resolve_all(["${keyring:main}"])


def test_a_dotenv_that_is_no_text_is_told(tmp_path):
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(ConnectionConfigError, match="cannot be read"):
        SecretResolver({}, tmp_path / ".env").resolve_all(["${NONE_OF_THEM}"])


def test_a_dotenv_with_a_mistake_is_told_with_its_lines_and_without_their_text(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("A=1\nB: hush\nexport C='two\nlines'\n\n=4\n")
    with pytest.raises(ConnectionConfigError) as caught:
        SecretResolver({}, tmp_path / ".env").resolve_all(["${A}"])
    assert [(problem.code, problem.line) for problem in caught.value.problems] == [
        ("connection.dotenv", 2),
        ("connection.dotenv", 6),
    ]
    assert "hush" not in str(caught.value.to_dict())
    monkeypatch.setenv("A", "from the environment")  # which goes first, so that the file does not matter
    assert SecretResolver({}, tmp_path / ".env").resolve_all(["${A}"]) == {"${A}": "from the environment"}


# what is registered for redaction


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ({"password": "${V}"}, True),
        ({"password": "${V_USER}"}, True),
        ({"token": ["${V}"]}, True),
        ({"host": "${V}"}, False),
        ({"Database": "${V_SECRET}"}, False),
        ({"url": "https://${V_HOST}/x"}, False),
        ({"url": "https://${V}/x"}, True),
        ({"url": "${V_HOST}"}, True),
        ({"password": "${NONE_OF_THEM:-the-value}"}, False),
    ],
)
def test_values_of_public_options_are_not_hidden(redactor, value, hidden):
    environment = dict.fromkeys(("V", "V_USER", "V_HOST", "V_SECRET"), "the-value")
    resolver = SecretResolver(environment, redactor=redactor)
    resolver.resolve_all(secret_references(value))
    assert redactor.text("it is the-value") == ("it is ***" if hidden else "it is the-value")


def test_a_value_that_is_public_here_and_secret_there_is_hidden(redactor):
    resolver = SecretResolver({"V": "the-value"}, redactor=redactor)
    resolver.resolve_all(secret_references([{"user": "${V}"}, {"password": "${V}"}]))
    assert redactor.text("the-value") == "***"


def test_files_and_plugins_are_always_hidden(tmp_path, redactor):
    (tmp_path / "x").write_text("the-value")
    resolver = SecretResolver(base_dir=tmp_path, extra_schemes={"vault": vault}, redactor=redactor)
    resolver.resolve_all(secret_references({"host": "${file:x}", "user": "${vault:good}"}))
    assert redactor.text("the-value from-the-vault") == "*** ***"


def test_errors_survive_a_process_border(project):
    with pytest.raises(ConnectionConfigError) as caught:
        Connections.load(project("mysql: [a]\n"))
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems


def test_a_keyring_is_asked(redactor):
    import keyring

    class Backend(keyring.backend.KeyringBackend):
        priority = 1

        def get_password(self, service, name):
            if service == "locked":
                raise keyring.errors.KeyringLocked("enter the password")
            return {("osiris/shop", "main"): "from-the-keyring"}.get((service, name))

        def set_password(self, service, name, password):
            raise keyring.errors.PasswordSetError("read-only")

    before = keyring.get_keyring()
    keyring.set_keyring(Backend())
    try:
        resolver = SecretResolver(redactor=redactor)
        assert list(resolver.resolve_all(["${keyring:osiris/shop/main}"]).values()) == ["from-the-keyring"]
        assert redactor.text("from-the-keyring") == "***"
        with pytest.raises(ConnectionConfigError, match="the keyring has no entry 'osiris/shop/other'") as caught:
            resolver.resolve_all(["${keyring:osiris/shop/other}"])
        assert caught.value.hint == "add it: keyring set osiris/shop other"
        with pytest.raises(ConnectionConfigError, match="cannot be asked for 'locked/x': KeyringLocked"):
            resolver.resolve_all(["${keyring:locked/x}"])
    finally:
        keyring.set_keyring(before)

"""Registered values never come out in clear, in whatever form."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import textwrap
import traceback
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from osiris.core.connections import MASK, REDACTOR, Redactor, redact_error
from osiris.core.errors import DriverError, StepError

SECRET = "p@ss/w\"o'rd\\ ü+1"


@pytest.fixture
def redactor():
    made = Redactor()
    made.add(SECRET)
    return made


FORMS = {
    "plain": str,
    "quote": quote,
    "quote all": lambda text: quote(text, safe=""),
    "lower": lambda text: quote(text, safe="").lower().replace("p%40", "p%40"),
    "quote_plus": quote_plus,
    "json": json.dumps,
    "json utf-8": lambda text: json.dumps(text, ensure_ascii=False),
    "repr": repr,
    "repr bytes": lambda text: repr(text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "url-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "dsn": lambda text: f"mysql://app:{quote_plus(text)}@host/db",
    "nested": lambda text: json.dumps({"a": [text]}),
    "repr of repr": lambda text: repr(repr(text)),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "repr of json": lambda text: repr(json.dumps(text)),
    "error of an error": lambda text: str(KeyError(str(KeyError(text)))),
}


@pytest.mark.parametrize("form", FORMS)
def test_usual_forms_are_replaced(redactor, form):
    shown = FORMS[form](SECRET)
    redacted = redactor.text(f"before {shown} after")
    assert MASK in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert "w%22" not in redacted
    assert "rd" not in redacted


def test_basic_authorization_is_replaced(redactor):
    for user in ("a", "ab", "abc", "abcd"):
        header = base64.b64encode(f"{user}:{SECRET}".encode()).decode()
        redacted = redactor.text(f"Authorization: Basic {header}")
        assert MASK in redacted
        assert len(redacted) < len("Authorization: Basic ") + len(user) * 2 + 14


def test_lines_of_a_key_are_replaced():
    lines = [f"MIIEvQIBADANBgkqhkiG9w0BAQEF{i}" for i in range(3)]
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "ab", "-----END PRIVATE KEY-----"])
    redactor = Redactor()
    redactor.add(key + "\n")
    assert redactor.text(f"x {key} y") == f"x {MASK} y"
    assert redactor.text(f"in line {lines[1]}!") == f"in line {MASK}!"
    assert redactor.text("about ab") == "about ab"


def test_the_password_of_a_url_is_a_secret_by_itself():
    redactor = Redactor()
    redactor.add("postgres://app:s3cr%2Ft@db.example.org/shop")
    assert redactor.text("login with s3cr/t or s3cr%2Ft failed") == "login with *** or *** failed"
    assert redactor.text("db.example.org") == "db.example.org"


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("abc", "abc", "***"),
        ("abc", "abcdef abc", "abcdef abc"),
        ("abcd", "xabcdx", "x***x"),
        ("2026", "pin 2026.", "pin ***."),
        ("2026", "run_20261122 in 2026x", "run_20261122 in 2026x"),
        ("20261122", "run_20261122x", "run_***x"),
        ("", "", ""),
        ("      ", "a       b", "a       b"),
    ],
)
def test_short_values_are_replaced_with_care(secret, text, shown):
    redactor = Redactor()
    redactor.add(secret)
    assert redactor.text(text) == shown


def test_the_longest_goes_first():
    redactor = Redactor()
    redactor.add("secret")
    redactor.add("secret-and-more")
    assert redactor.text("secret-and-more secret-and") == "*** ***-and"


def test_nested_data_is_redacted_keys_and_values(redactor):
    data = {
        "a": SECRET,
        SECRET: 1,
        "list": [SECRET, (f"x{SECRET}",), {"k": SECRET}],
        "number": 5,
        "none": None,
        "yes": True,
        "path": Path("/x") / "y",
        "error": ValueError(f"bad {SECRET}"),
        "bytes": b"plain",
        "decimal": Decimal("1.5"),
    }
    assert redactor(data) == {
        "a": MASK,
        MASK: 1,
        "list": [MASK, [f"x{MASK}"], {"k": MASK}],
        "number": 5,
        "none": None,
        "yes": True,
        "path": Path("/x/y"),
        "error": f"bad {MASK}",
        "bytes": b"plain",
        "decimal": Decimal("1.5"),
    }
    assert data["a"] == SECRET


def test_nothing_registered_is_a_plain_copy():
    redactor = Redactor()
    data = {"a": ["x"]}
    assert redactor(data) == data
    assert redactor(data) is not data
    assert redactor(data)["a"] is data["a"]
    assert not redactor.active
    redactor.add("secret")
    assert redactor
    redactor.clear()
    assert redactor.text("secret") == "secret"


TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0In0.N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("LINE 1: ...n3I9PlFUP0THsR8U', ENDPOINT 'x'", "LINE 1: ...***', ENDPOINT 'x'"),
        ("LINE 1: SECRET 'eyJhbGciOiJIUzI1...", "LINE 1: SECRET '***..."),
        # Another character stands before the end: it was not cut from the secret.
        (
            "input_value='eyJhbGciOiJIUzI1NiIsInR5...5N_XgL0n3I9PlFUP0THsR8U', x",
            "input_value='***...5N_XgL0n3I9PlFUP0THsR8U', x",
        ),
        ("input_value='eyJhbGciOiJIUzI1NiIsInR5...N_XgL0n3I9PlFUP0THsR8U', x", "input_value='***...***', x"),
        ("eyJhbGci…HsR8U and more", "***…*** and more"),
        ("near ...IkpXVCJ9.eyJzdWIi...", "near ...***..."),
        ("a ...IkpXVCJ9... b ...HsR8U c", "a ...***... b ...*** c"),
        ("near 'eyJhbGciOiJIUzI1NiIsInR5cCI6Ikp' at line 1", "near '***' at line 1"),
        ("eyJhbGciOiJIUzI1 eyJhbGciOiJIUzI1N", "*** ***"),
        ("eyJhbGciOiJI and so on", "eyJhbGciOiJI and so on"),
        ("wait ... and see...", "wait ... and see..."),
        ("...", "..."),
        ("R8U... of ...eyJ", "R8U... of ...eyJ"),
    ],
)
def test_pieces_of_a_secret_are_replaced_where_a_text_was_cut(text, shown):
    redactor = Redactor()
    redactor.add(TOKEN)
    assert redactor.text(text) == shown


def test_addresses_that_begin_as_a_secret_one_are_kept():
    redactor = Redactor()
    redactor.add("https://hooks.example.org/services/T0001/B0002/x9y8z7w6v5u4")
    redactor.add("/home/somebody/projects/secret/place")
    text = "see https://hooks.example.org/docs and /home/somebody/projects/shop"
    assert redactor.text(text) == text
    assert redactor.text("at https://hooks.example.org/services/T0001/B0...") == "at ***..."


@settings(deadline=None, derandomize=True)
@given(st.text("abAB12+/=-_", min_size=8, max_size=60), st.integers(4, 60), st.integers(4, 60), st.booleans())
def test_what_a_library_keeps_of_a_secret_is_not_told(secret, first, last, marked):
    """As pydantic, reprlib and pyarrow shorten: the beginning, a mark, the end."""
    redactor = Redactor()
    redactor.add(secret)
    begin, end = secret[:first], secret[-last:]
    mark = "…" if marked else "..."
    redacted = redactor.text(f"value is '{begin}{mark}{end}' here")
    assert redacted.startswith("value is '***")
    assert redacted.endswith("***' here")


def test_what_real_libraries_keep_of_a_secret_is_not_told():
    duckdb, pydantic = pytest.importorskip("duckdb"), pytest.importorskip("pydantic")
    key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEYzz" * 2
    redactor = Redactor()
    redactor.add(key)
    told = []
    unfinished = f"create secret x (type s3, secret '{key}', endpoint 'y' use_ssl)"
    for sql in (unfinished, f"select '{key}'::int", f"select '{key}"):
        with pytest.raises(duckdb.Error) as failed:
            duckdb.sql(sql).fetchall()
        told.append(str(failed.value))
    with pytest.raises(pydantic.ValidationError) as failed:
        pydantic.create_model("M", delimiter=(int, ...)).model_validate({"delimiter": key})
    told.append(str(failed.value))
    for text in told:
        redacted = redactor.text(text)
        assert redacted != text
        assert not [at for at in range(len(key) - 5) if key[at : at + 6] in redacted], redacted


@settings(deadline=None, derandomize=True)
@example(["aaaa", "aaaab", "aaab"], "xaaaabx")
@given(st.lists(st.text(alphabet="ab/+ %\n", min_size=4, max_size=8), min_size=1, max_size=5), st.text("ab/+ %\n"))
def test_no_registered_value_is_left(secrets, text):
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    redacted = redactor.text(f"{text}{secrets[0]}{text}")
    # What the masks stand between may be next to each other, but no secret is whole any more.
    assert not [secret for secret in secrets if secret in redacted]


def test_a_traceback_is_redacted():
    program = f"""
        import logging, sys, threading, warnings
        from osiris.core.connections import REDACTOR, install_log_filter, redacted_traceback
        REDACTOR.add({SECRET!r})
        install_log_filter()
        install_log_filter()
        logging.basicConfig(level="DEBUG", stream=sys.stderr)
        log = logging.getLogger("some.library")
        log.warning("connecting with %s", {SECRET!r})
        log.info("plain %d", 3)
        warnings.warn("deprecated: " + {SECRET!r})
        log.info("wrong %d %d", {SECRET!r})
        def connect(password):
            raise ConnectionError("no login with " + password)
        try:
            connect({SECRET!r})
        except ConnectionError as error:
            log.exception("it failed")
            print(redacted_traceback(error), file=sys.stderr)
        thread = threading.Thread(target=connect, args=({SECRET!r},))
        thread.start()
        thread.join()
        connect({SECRET!r})
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 1
    told = finished.stderr
    assert "connecting with ***" in told
    assert "plain 3" in told
    assert "UserWarning: deprecated: ***" in told
    assert told.count("ConnectionError: no login with ***") == 4
    assert told.count("Traceback") >= 4
    # Python shows source lines: of a program given with -c there are none.
    for form in ("plain", "repr", "quote", "json"):
        assert FORMS[form](SECRET).strip("'\"") not in told


def test_what_is_printed_is_redacted():
    program = f"""
        import sys
        from osiris.core.connections import REDACTOR, redacted_streams
        stdout, stderr = sys.stdout, sys.stderr
        with redacted_streams():
            print("early", {SECRET!r}[:1])
            REDACTOR.add({SECRET!r})
            print("user", {SECRET!r}, sep="=", file=sys.stderr)
            sys.stdout.writelines(["lines ", {SECRET!r}, "\\n"])
            assert sys.stdout.encoding == stdout.encoding and sys.stdout.fileno() == 1
        assert sys.stdout is stdout and sys.stderr is stderr
        sys.stdout = None
        with redacted_streams():
            print("to nobody")
            sys.stderr = stdout
        assert sys.stderr is stdout
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "early p\nlines ***\n", "user=***\n")


def test_log_records_without_a_secret_keep_their_arguments():
    program = """
        import logging
        from osiris.core.connections import REDACTOR, install_log_filter
        REDACTOR.add("s3cret-value")
        install_log_filter()
        records = []
        handler = logging.Handler()
        handler.emit = records.append
        log = logging.getLogger("x")
        log.addHandler(handler)
        log.warning("%s rows", 3)
        log.warning("%s", "s3cret-value")
        print([(record.msg, record.args) for record in records])
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout == "[('%s rows', (3,)), ('***', ())]\n"


class Stubborn(Exception):
    """Its text comes from elsewhere than its arguments."""

    def __init__(self, said: str) -> None:
        super().__init__("refused")
        self.said = said

    def __str__(self) -> str:
        return f"refused: {self.said}"


@pytest.fixture
def secret():
    REDACTOR.add("s3cr3t-canary")
    yield "s3cr3t-canary"
    REDACTOR.clear()


def test_an_error_stays_the_same_object_without_the_secret(secret):
    error = DriverError(f"no access with {secret}", hint=f"is {secret} right?", path=secret, retry_after=3)
    error.add_note(f"while {secret}")
    assert redact_error(error) is error
    assert (str(error), error.args, error.hint) == ("no access with ***", ("no access with ***",), "is *** right?")
    assert (error.facts, error.__notes__) == ({"path": "***", "retry_after": 3}, ["while ***"])


def test_what_an_error_came_from_tells_no_secret(secret):
    error, cause = StepError("it failed"), ConnectionError(f"cannot reach u:{secret}@host")
    error.__cause__, cause.__cause__ = cause, Stubborn(secret)
    told = "".join(traceback.format_exception(redact_error(error)))
    assert secret not in told
    assert "cannot reach u:***@host" in told
    assert "Stubborn" not in told


def test_an_error_that_cannot_be_changed_is_told_by_another(secret):
    told = redact_error(Stubborn(secret))
    assert type(told) is RuntimeError
    assert str(told).startswith("Stubborn: refused: ***")


def test_an_error_without_secrets_is_as_it_was():
    error = Stubborn("nothing")
    assert redact_error(error) is error
    assert str(error) == "refused: nothing"


def test_an_error_that_tells_no_secret_keeps_its_arguments(secret):
    arguments = ({"a", "b"}, ["c"], 1)
    error = ValueError(*arguments)
    assert redact_error(error) is error
    assert error.args == arguments

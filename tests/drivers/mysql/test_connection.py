"""Logging in: what the options mean, what goes wrong and how it is told, TLS, and what the check finds out."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from mariadb_server import MariaDBServer
from pydantic import ValidationError

from osiris.core.errors import DriverError
from osiris.drivers.mysql.client import connect
from osiris.drivers.mysql.config import MySqlConnection
from osiris.drivers.mysql.connection import connection_of
from osiris.drivers.mysql.errors import explain
from osiris.drivers.mysql.extractor import MySqlExtractor
from osiris.drivers.mysql.plugin import osiris_drivers

SECRET = "c4n4ry-Geheim"


def refused(ctx, **options) -> DriverError:
    ctx.connection = {**ctx.connection, **options}
    with pytest.raises(DriverError) as caught:
        connect(connection_of(ctx), ctx)
    assert caught.value.hint
    return caught.value


# What the options mean


def options(**values) -> MySqlConnection:
    return MySqlConnection.model_validate(values)


@pytest.mark.parametrize(
    "password", ["p@ss", "a/b", "x#y?z=1", "50%", "a:b:c", "k&l", "ž🐎", "'\"\\`", " space ", "${no}", "p%40q"]
)
def test_a_password_of_any_characters(ctx, database, password):
    user = database.name.replace("osiris_test", "u")
    database.execute(f"CREATE USER '{user}'@'%%' IDENTIFIED BY %s", [password])
    ctx.connection = {**ctx.connection, "user": user, "password": password, "database": None}
    ctx.connection = {key: value for key, value in ctx.connection.items() if value is not None}
    connect(connection_of(ctx), ctx).close()


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("mysql://u:p@h:3307/d", ("u", "p", "h", 3307, "d")),
        ("mysql://u:p%40q@h/d", ("u", "p@q", "h", 3306, "d")),
        ("mysql://u:p@q/r#s?t@h/d", ("u", "p@q/r#s?t", "h", 3306, "d")),
        ("mariadb+pymysql://u@[::1]:3307", ("u", "", "::1", 3307, None)),
        ("mysql://h", ("", "", "h", 3306, None)),
        ("mysql://u:@h/?connect_timeout=3", ("u", "", "h", 3306, None)),
    ],
)
def test_urls(url, wanted):
    for name in ("url", "dsn"):
        one = options(**{name: url})
        assert (one.user, one.password.get_secret_value(), one.host, one.port, one.database) == wanted


def test_what_stands_beside_a_url_goes_before_it():
    one = options(url="mysql://u:p@h/d", password="other", username="me")
    assert (one.user, one.password.get_secret_value(), one.host) == ("me", "other", "h")


@pytest.mark.parametrize(
    "values",
    [
        {"url": f"postgres://u:{SECRET}@h"},
        {"url": f"mysql://u:{SECRET}@h:port"},
        {"url": f"mysql://u:{SECRET}@h?x=1"},
        {"url": f"{SECRET}"},
        {"password": SECRET, "charset": "latin1"},
        {"password": SECRET, "port": 0},
        {"password": SECRET, "prot": 1},
        {"password": [SECRET]},
        {"password": SECRET, "ssl": {"key": "k.pem"}},
    ],
)
def test_a_wrong_option_is_told_without_the_secret(ctx, values):
    ctx.connection = values
    with pytest.raises(DriverError) as caught:
        connection_of(ctx)
    assert caught.value.code == "mysql.bad_connection"
    assert SECRET not in str(caught.value.to_dict())
    assert caught.value.__cause__ is None


def test_secrets_are_not_shown():
    for one in (options(user="u", password=SECRET), options(url=f"mysql://u:{SECRET}@h/d")):
        assert SECRET not in repr(one) + str(one) + one.place + str(one.model_dump())


def test_a_number_is_a_password_too():
    assert options(password=12345).password.get_secret_value() == "12345"


def test_no_connection(ctx):
    ctx.connection = None
    with pytest.raises(DriverError) as caught:
        connection_of(ctx)
    assert caught.value.code == "mysql.no_connection"


@pytest.mark.parametrize(
    ("values", "encrypted"),
    [
        ({"host": "db.example.org"}, True),
        ({"host": "10.0.0.1"}, True),
        ({"host": "localhost"}, False),
        ({"host": "127.0.0.2"}, False),
        ({"host": "::1"}, False),
        ({"unix_socket": "/s"}, False),
        ({"host": "db.example.org", "ssl": False}, False),
        ({"host": "localhost", "ssl": True}, True),
        ({"host": "localhost", "ssl": {"verify": True}}, True),
    ],
)
def test_tls_is_on_unless_the_server_is_this_machine(values, encrypted):
    assert (options(**values).tls is not None) is encrypted


@pytest.mark.parametrize(
    ("values", "verified"),
    [
        ({"host": "db.example.org"}, True),
        ({"host": "db.example.org", "ssl": True}, True),
        ({"host": "10.0.0.1", "ssl": {"cert": "c.pem"}}, True),
        ({"host": "10.0.0.1", "ssl": {"ca": "ca.pem"}}, True),
        ({"host": "db.example.org", "ssl": {"verify": False}}, False),  # only where it was asked for
        ({"host": "db.example.org", "ssl": {"ca": "ca.pem", "verify": False}}, False),
        ({"url": "mysql://u@db.example.org/shop"}, True),
        ({"host": "localhost", "ssl": True}, False),
        ({"host": "127.0.0.1", "ssl": {"ca": "ca.pem"}}, True),
        ({"host": "localhost", "ssl": {"verify": True}}, True),
    ],
)
def test_a_server_elsewhere_has_to_show_who_it_is(values, verified):
    tls = options(**values).tls
    assert tls is not None
    assert tls.verify is verified


# The session


def test_a_session_is_the_same_on_every_server(ctx, database):
    database.execute("SET GLOBAL sql_mode = 'ANSI', GLOBAL time_zone = '-07:00'")
    try:
        with closing(connect(connection_of(ctx), ctx)) as session:
            assert session.server.time_zone == "+00:00"
            assert set(session.server.sql_mode.split(",")) >= {"STRICT_TRANS_TABLES", "NO_ENGINE_SUBSTITUTION"}
            assert session.execute("SELECT @@character_set_connection, @@autocommit").rows == (("utf8mb4", 1),)
    finally:
        database.execute("SET GLOBAL sql_mode = DEFAULT, GLOBAL time_zone = DEFAULT")


def test_the_check_tells_what_matters(ctx, database):
    told = MySqlExtractor().check({}, ctx)
    assert told["server"] in {"MariaDB", "MySQL"}
    assert told["version"] == database.execute("SELECT VERSION()")[0][0]
    assert told["latency_ms"] > 0
    assert told["local_infile"] is True
    assert told["max_allowed_packet"] == database.execute("SELECT @@max_allowed_packet")[0][0]
    assert told["database"] == database.name
    assert "ALL PRIVILEGES" in told["rights"]
    assert told["tls"] is None


def test_the_check_tells_few_rights(ctx, database):
    user = database.name.replace("osiris_test", "u")
    database.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 'p'")
    database.execute(f"GRANT SELECT, INSERT ON `{database.name}`.* TO '{user}'@'%'")
    ctx.connection = {**ctx.connection, "user": user, "password": "p"}
    assert MySqlExtractor().check({}, ctx)["rights"] == ["SELECT", "INSERT"]


# What goes wrong


def test_a_wrong_password(ctx, database):
    begun = time.monotonic()
    error = refused(ctx, password=SECRET)
    assert error.code == "mysql.access_denied"
    assert error.facts["number"] in {1045, 1698}
    assert not error.retryable
    assert SECRET not in str(error.to_dict())
    assert time.monotonic() - begun < 2


def test_an_unknown_database(ctx):
    error = refused(ctx, database="nobody_has_this")
    assert error.code == "mysql.unknown_database"
    assert "nobody_has_this" in error.message


def test_a_port_where_nobody_listens(ctx):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        error = refused(ctx, host="127.0.0.1", port=probe.getsockname()[1])
    assert error.code == "mysql.unreachable"
    assert error.retryable


def test_a_host_that_does_not_exist(ctx):
    error = refused(ctx, host="no-such-host.invalid")
    assert error.code == "mysql.unreachable"
    assert "no-such-host.invalid" in error.message


def test_a_socket_that_does_not_exist(ctx, tmp_path):
    assert refused(ctx, unix_socket=str(tmp_path / "none")).code == "mysql.unreachable"


def test_a_server_that_says_nothing(ctx):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        error = refused(ctx, host="127.0.0.1", port=silent.getsockname()[1], connect_timeout=0.3)
    assert error.code in {"mysql.connection_lost", "mysql.unreachable"}
    assert error.retryable
    assert time.monotonic() - begun < 5


def test_something_else_listens(ctx):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def greet() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 9)

        thread = threading.Thread(target=greet)
        thread.start()
        error = refused(ctx, host="127.0.0.1", port=other.getsockname()[1], connect_timeout=2)
        thread.join()
    assert error.code.startswith("mysql.")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nothing", "mysql.unknown_table"),
        ("SELECT nothing FROM t", "mysql.unknown_column"),
        ("SELEC 1", "mysql.syntax"),
        ("SELECT nothing()", "mysql.unknown_function"),
        ("INSERT INTO t VALUES (1, 'x')", "mysql.duplicate_key"),
        ("INSERT INTO t VALUES (2, 'longer than it may be')", "mysql.data_truncated"),
        ("INSERT INTO t VALUES (99999999999, 'x')", "mysql.out_of_range"),
        ("INSERT INTO t VALUES ('seven', 'x')", "mysql.data_truncated"),
        ("INSERT INTO t VALUES (NULL, 'x')", "mysql.null_value"),
        ("INSERT INTO c VALUES (77)", "mysql.foreign_key"),
        ("INSERT INTO k VALUES (-1)", "mysql.check_failed"),
        ("CREATE TABLE t (a INT)", "mysql.table_exists"),
        ("SELECT 'a' COLLATE utf8mb4_czech_ci = 'b' COLLATE utf8mb4_polish_ci", "mysql.collation"),
    ],
)
def test_errors_by_number(ctx, database, sql, code):
    database.execute("CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(5))")
    database.execute("INSERT INTO t VALUES (1, 'x')")
    database.execute("CREATE TABLE c (a INT, FOREIGN KEY (a) REFERENCES t (a))")
    database.execute("CREATE TABLE k (a INT CHECK (a > 0))")
    with closing(connect(connection_of(ctx), ctx)) as session:
        with pytest.raises(DriverError) as caught:
            session.execute(sql)
        assert caught.value.code == code
        assert caught.value.hint
        assert caught.value.facts["number"]
        assert session.execute("SELECT 1").rows == ((1,),), "the session still works"


def test_a_lock_that_is_held(ctx, database):
    database.execute("CREATE TABLE t (a INT PRIMARY KEY)")
    database.execute("INSERT INTO t VALUES (1)")
    with closing(database.connect(autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("UPDATE t SET a = 2")
        with closing(connect(connection_of(ctx), ctx)) as session:
            session.execute("SET SESSION innodb_lock_wait_timeout = 1")
            with pytest.raises(DriverError) as caught:
                session.execute("UPDATE t SET a = 3")
    assert caught.value.code == "mysql.lock_wait"
    assert caught.value.retryable


def test_a_user_without_rights(ctx, database):
    database.execute("CREATE TABLE t (a INT)")
    user = database.name.replace("osiris_test", "u")
    database.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 'p'")
    database.execute(f"GRANT INSERT ON `{database.name}`.* TO '{user}'@'%'")
    ctx.connection = {**ctx.connection, "user": user, "password": "p"}
    with pytest.raises(DriverError) as caught:
        MySqlExtractor().run("read", {"table": "t"}, {}, ctx)
    assert caught.value.code == "mysql.not_allowed"


def test_a_lost_connection_may_be_tried_again_only_where_nothing_is_doubled():
    assert not explain(2013, "Lost connection").retryable
    assert explain(2013, "Lost connection", lost_is_retryable=True).retryable
    assert explain(1213, "Deadlock").retryable
    assert explain(99999, "who knows").code == "mysql.failed"


def test_a_server_that_asks_for_a_file_gets_none(ctx, tmp_path):
    """Where no file was offered, LOAD DATA LOCAL is refused; where one was, any other is."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    with closing(connect(connection_of(ctx), ctx)) as session:
        session.execute("CREATE TEMPORARY TABLE t (a TEXT)")
        with pytest.raises((DriverError, RuntimeError)):
            session.execute(f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE t")
    with closing(connect(connection_of(ctx), ctx, local_files=True)) as session:
        session.execute("CREATE TABLE t (a TEXT)")
        assert session.load("LOAD DATA LOCAL INFILE 'rows' INTO TABLE t", "rows", [b"x\n", b"", b"y\n"]).affected == 2
        with pytest.raises(DriverError) as caught:
            session.load(f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE t", "rows", [b"z\n"])
        assert caught.value.code == "mysql.hostile_server"
    with closing(connect(connection_of(ctx), ctx)) as session:
        assert session.execute("SELECT a FROM t").rows == (("x",), ("y",))


# TLS


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory):
    """A server with a certificate for ``localhost``, signed by an authority that nobody knows."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("ours", "other"):
        make_authority(folder, name)
    make_certificate(folder, "server", "ours", "localhost")
    make_certificate(folder, "client", "ours", "me")
    settings = {"ssl_ca": folder / "ours.pem", "ssl_cert": folder / "server.pem", "ssl_key": folder / "server.key"}
    with MariaDBServer(folder / "db", settings) as running:
        with closing(running.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER tls@'%' IDENTIFIED BY 'p' REQUIRE SSL")
            cursor.execute("CREATE USER cert@'%' IDENTIFIED BY 'p' REQUIRE X509")
        yield running, folder


def make_authority(folder: Path, name: str) -> None:
    openssl("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30", "-subj",
            f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")  # fmt: skip


def make_certificate(folder: Path, name: str, authority: str, host: str) -> None:
    openssl("req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", f"/CN={host}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")  # fmt: skip
    (folder / "names").write_text(f"subjectAltName=DNS:{host}\n")
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{authority}.pem", "-CAkey",
            folder / f"{authority}.key", "-CAcreateserial", "-days", "30", "-extfile", folder / "names",
            "-out", folder / f"{name}.pem")  # fmt: skip


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def secured(tls_server, tmp_path, new_context):
    """A context whose connection is the TLS server, and a function that logs in with an ``ssl`` option."""
    running, folder = tls_server
    ctx = new_context(tmp_path)
    ctx.base_dir = folder

    def log_in(ssl, user="tls", host="localhost"):
        ctx.connection = {"host": host, "port": running.port, "user": user, "password": "p"}
        if ssl is not None:
            ctx.connection = {**ctx.connection, "ssl": ssl}
        with closing(connect(connection_of(ctx), ctx)) as session:
            return session.server.tls

    return log_in


@pytest.mark.parametrize("ssl", [True, {"ca": "ours.pem"}, {"ca": "ours.pem", "verify": True}, {"verify": False}])
def test_an_encrypted_connection(secured, ssl):
    assert secured(ssl).startswith("TLSv1.")


def test_a_client_certificate(secured):
    assert secured({"ca": "ours.pem", "cert": "client.pem", "key": "client.key"}, user="cert")


@pytest.mark.parametrize(
    ("ssl", "user", "host", "code"),
    [
        ({"ca": "other.pem"}, "tls", "localhost", "mysql.tls_certificate"),
        ({"verify": True}, "tls", "localhost", "mysql.tls_certificate"),
        ({"ca": "ours.pem"}, "tls", "127.0.0.1", "mysql.tls_certificate"),
        ({"ca": "ours.pem"}, "cert", "localhost", "mysql.access_denied"),
        ({"ca": "missing.pem"}, "tls", "localhost", "mysql.tls_files"),
        ({"ca": "ours.key"}, "tls", "localhost", "mysql.tls_files"),
        (False, "tls", "localhost", "mysql.access_denied"),
    ],
)
def test_a_certificate_that_does_not_fit(secured, ssl, user, host, code):
    with pytest.raises(DriverError) as caught:
        secured(ssl, user, host)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_server_without_tls(ctx):
    error = refused(ctx, ssl=True)
    assert error.code == "mysql.tls"


def test_both_drivers_say_what_they_are():
    extractor, writer = osiris_drivers()
    assert (extractor.name, writer.name) == ("mysql.extractor", "mysql.writer")
    with pytest.raises(ValidationError):
        MySqlConnection.model_validate({"hots": "x"})

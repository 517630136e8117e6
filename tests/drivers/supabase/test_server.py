"""The test server itself behaves as the tests take for granted."""

from __future__ import annotations

import psycopg
import pytest

pytestmark = pytest.mark.service


def test_a_database_looks_like_a_project(database):
    roles = dict(database.execute("select rolname, rolbypassrls from pg_roles"))
    assert roles["service_role"]
    assert roles["postgres"]
    assert not roles["anon"]
    assert not roles["authenticator"]
    ((superuser,),) = database.execute("select rolsuper from pg_roles where rolname = 'postgres'")
    assert not superuser
    with psycopg.connect(database.dsn(), autocommit=True) as listening:
        listening.execute("listen pgrst")
        database.execute("create table t (id int)")
        (told,) = listening.notifies(timeout=120, stop_after=1)
        assert told.payload == "reload schema"
    ((allowed,),) = database.execute("select has_table_privilege('anon', 't', 'select')")
    assert allowed


def test_what_was_committed_outlives_a_crash():
    from postgres_server import PostgresServer

    with PostgresServer() as server:
        with server.connect() as admin:
            admin.execute("create table kept (id int); insert into kept values (1)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            server.connect()
        server.restart()
        with server.connect() as admin:
            assert admin.execute("select id from kept").fetchall() == [(1,)]
    assert not server.folder.exists()

"""The oldest PyMySQL that is supported, whose inner parts reading and loading use."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
sys.path.insert(0, {here!r})
from contextlib import closing
from pathlib import Path
from conftest import make_context
from importlib.metadata import version
from osiris.core.errors import DriverError
from osiris.drivers.mysql.client import connect
from osiris.drivers.mysql.connection import connection_of
from osiris.drivers.mysql.extractor import MySqlExtractor

assert version('pymysql') == {version!r}, version('pymysql')
ctx = make_context(Path({folder!r}))
ctx.connection = {connection!r}
with closing(connect(connection_of(ctx), ctx, local_files=True)) as session:
    session.execute("CREATE TABLE t (a INT UNSIGNED, b TEXT, c DECIMAL(40,3))")
    into = "INTO TABLE t CHARACTER SET utf8mb4"
    assert session.load("LOAD DATA LOCAL INFILE 'rows' " + into, "rows", [b"4294967295\\tx\\t1.5\\n"] * 2).affected == 2
    try:
        session.load("LOAD DATA LOCAL INFILE '/etc/hostname' " + into, "rows", [b"1\\tx\\t1\\n"])
    except DriverError as error:
        assert error.code == "mysql.hostile_server", error.code
    else:
        raise AssertionError("any file was served")
tables = []
for protocol in ("binary", "text"):
    driver = MySqlExtractor()
    tables.append(driver.run("read", {{"table": "t", "protocol": protocol}}, {{}}, ctx)["df"].table())
    driver.close()
assert tables[0].equals(tables[1])
assert tables[0].num_rows == 2
assert tables[0]["a"].to_pylist() == [4294967295, 4294967295]
"""


@pytest.mark.install
@pytest.mark.slow
def test_the_oldest_pymysql(database, tmp_path):
    root = Path(__file__).parents[3]
    asked = (root / "osiris-drivers" / "mysql" / "pyproject.toml").read_text()
    (oldest,) = re.findall(r'"pymysql>=([\d.]+)"', asked)
    version = f"{oldest}.0"
    place = tmp_path / "old"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", place, f"pymysql=={version}"],
        check=True,
        capture_output=True,
    )
    program = PROGRAM.format(
        here=str(Path(__file__).parent), version=version, folder=str(tmp_path), connection=dict(database.options)
    )
    path = os.pathsep.join([str(place), str(root / "tests" / "services")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr

"""What the numbers that servers and the client library give mean, in our words. Text never decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass

__all__ = ["LOST", "explain", "not_a_query"]

LOST = "mysql.connection_lost"


@dataclass(frozen=True)
class _Meaning:
    code: str
    hint: str
    retryable: bool = False


_TABLE: tuple[tuple[Iterable[int], _Meaning], ...] = (
    (
        (1045, 1698, 1251, 1130, 3118, 4151, 1820, 1862),
        _Meaning("access_denied", "check user and password of the connection, and from where that user may connect"),
    ),
    (
        (1044, 1142, 1143, 1227, 1370, 1419, 4042),
        _Meaning("not_allowed", "the user lacks a right: have it granted, or use another connection"),
    ),
    ((1129,), _Meaning("host_blocked", "the server has blocked this host after many failures: FLUSH HOSTS there")),
    ((1049,), _Meaning("unknown_database", "check `database` of the connection; the user may not see it")),
    ((1046,), _Meaning("no_database", "give the connection a `database`, or write database.table")),
    ((1146, 1051, 1109, 1347), _Meaning("unknown_table", "check the name; case matters on most servers")),
    ((1054, 1072, 1166), _Meaning("unknown_column", "check the names of the columns")),
    ((1064, 1149, 1065), _Meaning("syntax", "check the SQL at the place that the server names")),
    (
        (1305, 1128, 1327),
        _Meaning("unknown_function", "check its name; MySQL and MariaDB, and their versions, differ in functions"),
    ),
    ((1060, 1110), _Meaning("duplicate_column", "give each column a name of its own")),
    (
        (1205, 3572, 1203),
        _Meaning("lock_wait", "another session holds a lock: run again, or look for who it is", retryable=True),
    ),
    ((1213, 1020), _Meaning("deadlock", "two sessions waited for each other: run again", retryable=True)),
    (
        (2006, 2013, 2055, 1927, 1053, 1080, 1152, 1158, 1159, 1160, 1161, 1184),
        _Meaning("connection_lost", "the server or the network ended it; see the server's log"),
    ),
    ((1317,), _Meaning("interrupted", "somebody killed the query on the server")),
    ((1969, 3024, 1907), _Meaning("timeout", "raise query_timeout, or make the query do less")),
    (
        (1153, 2020, 1301, 1162),
        _Meaning("packet_too_large", "raise max_allowed_packet on the server, or lower batch_rows"),
    ),
    ((1062, 1022, 1169, 1586, 1557), _Meaning("duplicate_key", "a row with this key is there: see write_mode")),
    (
        (1021, 1114, 20, 3, 1026),
        _Meaning("disk_full", "the server cannot write: make room on its disk, or raise the limit of the table"),
    ),
    ((1265, 1366, 1292, 1406, 1411, 1525, 3140), _Meaning("data_truncated", "the value does not fit its column")),
    ((1264, 1690, 1441), _Meaning("out_of_range", "the value does not fit its column; use a wider type")),
    ((1048, 1263, 1364, 1171), _Meaning("null_value", "the column needs a value: it is NOT NULL without a default")),
    ((3819, 4025), _Meaning("check_failed", "a CHECK of the table refuses the row")),
    ((1451, 1452, 1216, 1217, 1701), _Meaning("foreign_key", "write the rows of the other table first")),
    (
        (1792, 1290, 1836, 3989, 1223),
        _Meaning("read_only", "the session or the server only reads: nothing was changed"),
    ),
    (
        (1040, 1226, 1135),
        _Meaning("too_many_connections", "wait, lower partitions, or raise the server's limit", retryable=True),
    ),
    ((1148, 3948, 4166, 2068), _Meaning("local_infile", "the server allows no LOAD DATA LOCAL: local_infile is off")),
    ((3159, 2026), _Meaning("tls", "give the connection `ssl: true`, or `ssl: {ca: file.pem}`")),
    (
        (1267, 1270, 1271, 1253, 1273, 1115),
        _Meaning("collation", "name the collation: COLLATE utf8mb4_general_ci, or make the columns alike"),
    ),
    ((1461,), _Meaning("too_many_statements", "raise max_prepared_stmt_count on the server", retryable=True)),
    ((1295, 1235, 1289), _Meaning("not_supported", "this server cannot do it, or not in this way")),
    ((1050,), _Meaning("table_exists", "drop it, or use another name")),
    ((1118, 1117, 1074, 1071, 1059, 1103, 1163, 1170), _Meaning("table_limits", "a limit of MySQL for tables")),
    ((1524, 2059, 2061), _Meaning("login_method", "the user logs in by a method that PyMySQL does not know")),
    ((2002, 2003, 2005), _Meaning("unreachable", "check host and port, and that the server runs", retryable=True)),
    ((2014, 2027, 2000, 1047, 1156, 1157), _Meaning("protocol", "what answers there does not speak as MySQL does")),
    ((1210, 1243, 1615), _Meaning("statement", "give as many params as there are `?`")),
    ((1028, 1030, 1034, 1194, 1877, 1932), _Meaning("storage", "the storage engine failed: see the server's log")),
)
_BY_NUMBER = {number: meaning for numbers, meaning in _TABLE for number in numbers}
_OTHER = _Meaning("failed", "see the message, and the number in the server's manual")


def explain(
    number: int, text: str, *, what: str = "MySQL", lost_is_retryable: bool = False, **facts: Any
) -> DriverError:
    """An error of the server or of the client library, in our words.

    Args:
        number: As the server gives it (``1045``), or the client library's (from 2000).
        text: What was said, for people.
        what: What was being done, or with what; begins the message.
        lost_is_retryable: Whether a connection that went away may be tried again: only where nothing can be doubled.
        facts: For programs.
    """
    meaning = _BY_NUMBER.get(number, _OTHER)
    code = f"mysql.{meaning.code}"
    retryable = lost_is_retryable if code == LOST else meaning.retryable
    said = text.strip() or "the connection was closed"
    return DriverError(
        f"{what}: {said} ({number})" if number else f"{what}: {said}",
        hint=meaning.hint,
        code=code,
        retryable=retryable,
        number=number,
        **facts,
    )


def not_a_query(what: str) -> DriverError:
    """What was run gives no rows."""
    return DriverError(
        f"{what}: the statement gives no rows",
        hint="query is one SELECT (or WITH, VALUES, TABLE)",
        code="mysql.not_a_query",
    )

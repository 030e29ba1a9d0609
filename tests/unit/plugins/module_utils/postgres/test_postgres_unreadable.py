"""A count that failed: damage only when PostgreSQL says so of its data, otherwise a person's to look at."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError, ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import CommandError, HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import diagnose, live

PAGE = "psql:<stdin>:6: ERROR:  XX001: invalid page in block 0 of relation base/5/16384\nLOCATION:  WaitReadBuffers, bufmgr.c:1\n"


class Client:
    """psql in a pod that ends with this on its error stream."""

    def __init__(self, said: str) -> None:
        self.said, self.sql = said, ""

    def exec(self, _namespace: str, _pod: str, argv: list[str], *, stdin: bytes, timeout: float) -> Result:
        self.sql = stdin.decode()
        return Result(argv, 3, "", self.said, 0.0)


def counted(said: str) -> tuple[HoldfastError, str]:
    client: Any = Client(said)
    with pytest.raises(live.SqlError) as caught:
        live.counts(
            live.Psql(client, "n", "postgres-0", "u"), "shop", [{"schema": "public", "table": "t", "rows": 1}]
        )
    return caught.value, client.sql


@pytest.mark.parametrize(
    ("said", "damage"),
    [
        (PAGE, True),
        ("psql:<stdin>:6: FEHLER:  XX001: ungültige Seite in Block 0", True),
        ('ERROR:  could not read block 3 in file "base/5/16384": read only 0 of 8192 bytes', True),
        ('ERROR:  58P01: could not open file "base/5/16384": No such file or directory', True),
        ("ERROR:  missing chunk number 0 for toast value 16390 in pg_toast_16384", True),
        ("ERROR:  XX001: compressed pglz data is corrupt", True),
        ("psql:<stdin>:6: ERROR:  55P03: canceling statement due to lock timeout", False),
        ("ERROR:  57014: canceling statement due to user request", False),
        ("ERROR:  42501: permission denied for table t", False),
        ("ERROR:  53200: out of memory", False),
        ('ERROR:  53000: could not open file "base/5/16384": Too many open files', False),
        ('ERROR:  58P01: could not access file "$libdir/postgis-3": No such file or directory', False),
        ("FATAL:  57P03: the database system is starting up", False),
        ("", False),
    ],
)
def test_what_psql_says(said: str, damage: bool) -> None:
    failure, _sql = counted(said)
    found = diagnose.unreadable(failure)
    assert (found["cause"], found["remedy"]) == (
        ("unreadable", "restore") if damage else ("unknown", "person")
    )


@pytest.mark.parametrize(
    "failure",
    [
        CommandError("env in the pod did not end within 300 s"),
        ApiError(500, "InternalError", "error dialing backend"),
        ApiUnreachable("the API does not answer"),
        HoldfastError("psql in pod x: invalid page"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_is_no_word_of_postgres_is_no_damage(failure: HoldfastError) -> None:
    found = diagnose.unreadable(failure)
    assert (found["cause"], found["remedy"]) == ("unknown", "person") and failure.msg in found["why"]


def test_the_count_says_codes_and_waits_for_no_lock() -> None:
    failure, sql = counted(PAGE)
    assert "invalid page in block 0" in str(failure) and "LOCATION" not in str(failure)
    assert "\\set VERBOSITY verbose\n" in sql and "SET lock_timeout = '30s';" in sql

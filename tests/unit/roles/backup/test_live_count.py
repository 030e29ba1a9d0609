"""The count through the pod's own psql, against a real server: what damage looks like, and what only looks like it."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import live

from .server import Server

TABLES = [{"schema": "public", "table": "whole"}, {"schema": "public", "table": "gone"}]


class Pod:
    """A pod whose commands run here."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def exec(self, _namespace: str, _pod: str, argv: list[str], *, stdin: bytes, timeout: float) -> Result:
        done = subprocess.run(argv, input=stdin, capture_output=True, env=self.server.env(), timeout=timeout)
        return Result(argv, done.returncode, done.stdout.decode(), done.stderr.decode(), 0.0)


def test_a_file_that_is_gone_is_damage_and_a_lack_of_rights_is_none(pg: Server) -> None:
    pg.sql("postgres", "CREATE DATABASE counted")
    pg.sql("counted", "CREATE TABLE whole AS SELECT generate_series(1, 7) i")
    pod: Any = Pod(pg)
    assert live.counts(live.Psql(pod, "n", "p", "postgres"), "counted", TABLES) == {
        "public.whole": 7,
        "public.gone": None,
    }
    with pytest.raises(live.SqlError, match="FATAL") as caught:
        live.counts(live.Psql(pod, "n", "p", "nobody-of-this-name"), "counted", TABLES)
    assert not caught.value.damage
    path = pg.sql("counted", "CHECKPOINT; SELECT pg_relation_filepath('whole')").strip()
    (pg.home / "data" / path.splitlines()[-1]).unlink()
    with pytest.raises(live.SqlError, match="58P01: could not open file") as caught:
        live.counts(live.Psql(pod, "n", "p", "postgres"), "counted", TABLES)
    assert caught.value.damage
    pg.sql("postgres", "DROP DATABASE counted")

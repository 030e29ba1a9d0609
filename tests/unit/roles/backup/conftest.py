"""One server for all tests of the backup scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import NASTY, Server

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def pg() -> Iterator[Server]:
    """A running server with an ordinary database (shop), the nasty one, and an empty one."""
    server = Server.start()
    try:
        quoted = NASTY.replace('"', '""')
        server.sql(
            "postgres",
            f"""
CREATE ROLE "Odd Owner" LOGIN; CREATE ROLE reader NOLOGIN;
CREATE DATABASE shop; CREATE DATABASE nothing;
CREATE DATABASE "{quoted}" TEMPLATE template0;
CREATE DATABASE latin ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
ALTER DATABASE "{quoted}" SET search_path = '$user', public, "Ünï Schema";
ALTER DATABASE "{quoted}" SET work_mem = '5MB';
REVOKE CONNECT ON DATABASE "{quoted}" FROM PUBLIC; GRANT CONNECT ON DATABASE "{quoted}" TO reader;
COMMENT ON DATABASE "{quoted}" IS 'it''s mine';
""",
        )
        server.sql(
            "shop",
            """
CREATE TABLE artists (id int PRIMARY KEY, name text);
CREATE TABLE tracks (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text, artist int REFERENCES artists);
INSERT INTO artists SELECT i, 'artist ' || i FROM generate_series(1, 200) i;
INSERT INTO tracks (title, artist) SELECT md5(i::text), 1 + i % 200 FROM generate_series(1, 20000) i;
""",
        )
        server.sql("latin", 'CREATE TABLE "é" (a text); INSERT INTO "é" VALUES (\'ñ\');')
        server.sql(NASTY, (HERE / "nasty.sql").read_text(encoding="utf-8"))
        yield server
    finally:
        server.stop()

"""table.sh against a real server: one table or some rows of a backup, beside the live ones; nothing is changed unless asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .server import NASTY, Server

ODD = '"Ünï Schema"."we ""ird"" \'T\'\ttab"'


@pytest.fixture
def backup(pg: Server) -> str:
    done = pg.script("backup.sh", DATABASES="shop")
    assert done.code == 0, done.text
    return str(done.result["backup"])


@pytest.fixture(autouse=True)
def _as_before(pg: Server) -> Iterator[None]:
    """Changes of one test are undone by its own copies of the tables."""
    pg.sql("shop", "CREATE TABLE kept_artists AS TABLE artists; CREATE TABLE kept_tracks AS TABLE tracks;")
    yield
    pg.sql(
        "shop",
        """TRUNCATE tracks, artists; INSERT INTO artists TABLE kept_artists;
INSERT INTO tracks OVERRIDING SYSTEM VALUE TABLE kept_tracks; DROP TABLE kept_artists, kept_tracks;""",
    )
    for schema in schemas(pg, "shop"):
        pg.sql("shop", f"DROP SCHEMA {schema} CASCADE")


def schemas(pg: Server, database: str) -> list[str]:
    return pg.sql(
        database, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast%' ORDER BY 1"
    ).split()


def ask(stamp: str, backup: str, **env: str) -> dict[str, str]:
    return {"DATABASE": "shop", "BACKUP": backup, "STAMP": stamp, "TABLE": "tracks", **env}


def hurt(pg: Server) -> None:
    pg.sql(
        "shop",
        "DELETE FROM tracks WHERE id <= 100; UPDATE tracks SET title = 'wrong' WHERE id BETWEEN 101 AND 150;"
        " INSERT INTO tracks (title, artist) VALUES ('newer than the backup', 1);",
    )


@pytest.mark.req("SN-41", "CAP-54")
def test_a_preview_changes_nothing_and_says_what_differs(pg: Server, backup: str) -> None:
    hurt(pg)
    before = pg.sql("shop", "SELECT count(*), sum(hashtext(t::text)) FROM tracks t")
    done = pg.script("table.sh", **ask("20260301T000000Z", backup))
    assert done.code == 0, done.text
    found = done.result
    assert (found["missing"], found["different"], found["extra"], found["left"]) == (100, 50, 1, 150)
    assert found["applied"] is False and found["rows"] == 20000
    assert any(e["kind"] == "different" and e["columns"] == ["title"] for e in found["examples"]) or all(
        e["kind"] == "missing" for e in found["examples"]
    )
    assert pg.sql("shop", "SELECT count(*), sum(hashtext(t::text)) FROM tracks t") == before
    shown = pg.sql("shop", f"SELECT backup ->> 'title' <> live ->> 'title' FROM {found['schema']}.diff WHERE kind = 'different' LIMIT 1")  # fmt: skip
    assert shown == "t" and not [
        d for d in pg.sql("postgres", "TABLE pg_database").split() if "__restore" in d
    ]
    pg.sql("shop", found["sql"])  # what it says is what is missing
    assert pg.sql("shop", f"SELECT count(*) FROM {found['schema']}.diff WHERE kind <> 'extra'") == "0"


def test_applied_it_puts_rows_back_keeps_newer_ones_and_what_it_replaced(pg: Server, backup: str) -> None:
    hurt(pg)
    done = pg.script("table.sh", **ask("20260301T000001Z", backup, APPLY="1"))
    assert done.code == 0, done.text
    assert (done.result["missing"], done.result["different"], done.result["left"]) == (100, 50, 0)
    wrong = "SELECT count(*) FROM kept_tracks k WHERE NOT EXISTS (SELECT FROM tracks t WHERE t.id = k.id AND t.title = k.title)"
    assert pg.sql("shop", wrong) == "0"
    assert pg.sql("shop", "SELECT count(*) FROM tracks WHERE title LIKE 'newer%'") == "1"
    assert pg.sql("shop", f"SELECT count(*), min(title) FROM {done.result['schema']}.replaced") == "50|wrong"
    again = pg.script("table.sh", **ask("20260301T000002Z", backup, APPLY="1"))
    assert (again.result["missing"], again.result["different"]) == (0, 0)


def test_single_rows_by_key(pg: Server, backup: str) -> None:
    hurt(pg)
    rows = json.dumps([{"id": 7}, {"id": "120"}, {"id": 999999}])
    done = pg.script("table.sh", **ask("20260301T000003Z", backup, ROWS=rows, APPLY="1"))
    assert done.code == 0, done.text
    assert (done.result["rows"], done.result["missing"], done.result["different"]) == (2, 1, 1)
    assert pg.sql("shop", "SELECT count(*) FROM tracks WHERE id <= 100") == "1"
    assert pg.sql("shop", "SELECT count(*) FROM tracks WHERE title = 'wrong'") == "49"


def test_the_server_refuses_a_row_and_nothing_is_changed(pg: Server, backup: str) -> None:
    pg.sql("shop", "DELETE FROM tracks; DELETE FROM artists WHERE id = 5")
    done = pg.script("table.sh", **ask("20260301T000004Z", backup, APPLY="1"))
    assert done.code == 1 and "nothing was changed" in done.error and "foreign key" in done.error, done.text
    assert pg.sql("shop", "SELECT count(*) FROM tracks") == "0" and schemas(pg, "shop") == []


def test_a_nasty_table(pg: Server) -> None:
    name = pg.script("backup.sh", DATABASES=NASTY).result["backup"]
    good = pg.content(NASTY)
    pg.sql(NASTY, f'DELETE FROM {ODD} WHERE t < 10; UPDATE {ODD} SET "t.*" = NULL WHERE t = 20;')
    odd = {"DATABASE": NASTY, "SCHEMA": "Ünï Schema", "TABLE": "we \"ird\" 'T'\ttab"}
    done = pg.script("table.sh", **ask("20260301T000005Z", str(name), APPLY="1", **odd))
    assert done.code == 0 and (done.result["missing"], done.result["different"]) == (9, 1), done.text
    gen = {"DATABASE": NASTY, "TABLE": "gen"}
    pg.sql(NASTY, "DELETE FROM gen WHERE id = 1; UPDATE gen SET a = 900 WHERE id = 2")
    done = pg.script("table.sh", **ask("20260301T000006Z", str(name), APPLY="1", **gen))
    assert done.code == 0 and (done.result["missing"], done.result["different"]) == (1, 1), done.text
    for schema in schemas(pg, NASTY):
        pg.sql(NASTY, f"DROP SCHEMA {schema} CASCADE")
    assert pg.content(NASTY) == good


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"TABLE": "nowhere"}, "has no table public.nowhere"),
        ({"TABLE": "kept_tracks"}, "no primary key"),
        ({"ROWS": '[{"nothing": 1}]'}, "has no column nothing"),
        ({"BACKUP": "20200101T000000Z"}, "there is no backup"),
        ({"DATABASE": "nothing"}, "there is no backup"),
        ({"DATABASE": "nowhere"}, "unknown database"),
    ],
    ids=["no table", "no key", "no column", "no backup", "no backup of it", "no database"],
)
def test_what_cannot_be_matched_is_refused(pg: Server, backup: str, env: dict[str, str], says: str) -> None:
    done = pg.script("table.sh", **{**ask("20260301T000007Z", backup), **env})
    assert done.code == 65 and says in done.error, done.text
    assert schemas(pg, "shop") == []


def test_a_table_that_the_backup_lacks_is_refused(pg: Server, backup: str) -> None:
    pg.sql("shop", "CREATE TABLE younger (id int PRIMARY KEY)")
    try:
        done = pg.script("table.sh", **ask("20260301T000008Z", backup, TABLE="younger"))
        assert done.code == 65 and "has no table public.younger" in done.error, done.text
        assert schemas(pg, "shop") == []
    finally:
        pg.sql("shop", "DROP TABLE younger")


@pytest.mark.parametrize("step", ["create", "load", "copy", "compare", "apply"])
def test_killed_at_any_step_a_second_run_completes(pg: Server, backup: str, step: str) -> None:
    hurt(pg)
    at = "20260301T000009Z"
    first = pg.script("table.sh", kill_at=lambda e: e.get("step") == step, **ask(at, backup, APPLY="1"))
    assert first.killed
    done = pg.script("table.sh", **ask(at, backup, APPLY="1"))
    assert done.code == 0 and done.result["left"] == 0, done.text


def test_what_was_replaced_outlives_a_failure_after_the_upsert(pg: Server, backup: str) -> None:
    hurt(pg)
    at, report = "20260301T000012Z", pg.home / "scripts/table-report.sql"
    whole = report.read_text()
    report.write_text("SELECT 1 / 0;")
    try:
        first = pg.script("table.sh", **ask(at, backup, APPLY="1"))
    finally:
        report.write_text(whole)
    assert first.code == 1 and "cannot be read back" in first.error, first.text
    replaced = f"SELECT count(*), min(title) FROM holdfast_{at.lower()}.replaced"
    assert pg.sql("shop", replaced) == "50|wrong"
    again = pg.script("table.sh", **ask(at, backup, APPLY="1"))
    assert again.code == 0 and again.result["applied"] is True, again.text
    assert (again.result["missing"], again.result["different"], again.result["left"]) == (100, 50, 0)
    assert pg.sql("shop", replaced) == "50|wrong"


def test_the_cleanup_drops_the_schema_when_its_time_is_over(pg: Server, backup: str) -> None:
    hurt(pg)
    for number, hours in ((10, "-1"), (11, "1")):
        done = pg.script("table.sh", **ask(f"20260301T0000{number}Z", backup, KEEP_HOURS=hours))
        assert done.code == 0, done.text
    assert len(schemas(pg, "shop")) == 2
    assert pg.script("cleanup.sh", DATABASES="shop\nnowhere").code == 0
    assert schemas(pg, "shop") == ["holdfast_20260301t000011z"]

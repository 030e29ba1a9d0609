"""prepare.sh, swap.sh and cleanup.sh against a real server: the live database is whole at every moment."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import NASTY, Run, Server, binaries

FULL = os.environ.get("HOLDFAST_FULL") == "1"
PREPARE_STEPS = ["preflight", "safety", "snapshot", "dump", "rename", "create", "load", "verify", "analyze"]
STAMPS = (
    f"20260101T{number // 3600:02d}{number // 60 % 60:02d}{number % 60:02d}Z" for number in range(80000)
)


def stamp() -> str:
    return next(STAMPS)


def backup_of(pg: Server, database: str) -> str:
    done = pg.script("backup.sh", DATABASES=database)
    assert done.code == 0, done.text
    return str(done.result["backup"])


def databases(pg: Server) -> set[str]:
    return set(pg.sql("postgres", "SELECT datname FROM pg_database").splitlines())


def ours(pg: Server) -> set[str]:
    return {name for name in databases(pg) if "__" in name}


@pytest.fixture(autouse=True)
def _tidy(pg: Server) -> Iterator[None]:
    yield
    for name in ours(pg):
        pg.sql("postgres", f'DROP DATABASE IF EXISTS "{name.replace(chr(34), chr(34) * 2)}" WITH (FORCE)')


def reseal(backup: Path) -> None:
    """Make the checksums true again, so that only the changed fact is wrong."""
    names = [line[66:] for line in (backup / "SHA256SUMS").read_text().splitlines()]
    lines = [f"{hashlib.sha256((backup / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (backup / "SHA256SUMS").write_text("".join(lines))


def compare(pg: Server, expected: Path, actual: Path) -> str:
    """What lib.sh says of two directories of facts."""
    argv = ["sh", "-c", '. "$SCRIPTS/lib.sh"; compare "$1" "$2"', "sh", str(expected), str(actual)]
    env = pg.env(SCRIPTS=str(pg.home / "scripts"))
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout


def swap(pg: Server, database: str, at: str, **env: str) -> Run:
    return pg.script("swap.sh", DATABASE=database, STAMP=at, **env)


@pytest.mark.req("SN-41", "SN-42", "CAP-54", "CAP-55", "BR-08")
def test_a_restore_and_its_undo_keep_everything(pg: Server) -> None:
    name = backup_of(pg, NASTY)
    good = pg.content(NASTY)
    pg.sql(NASTY, 'DELETE FROM "Ünï Schema"."we ""ird"" \'T\'\ttab" WHERE t < 10; DROP TABLE rls;')
    damaged = pg.content(NASTY)
    at = stamp()
    ready = pg.script("prepare.sh", DATABASE=NASTY, BACKUP=name, STAMP=at)
    assert ready.code == 0, ready.text
    assert pg.content(NASTY) == damaged, "preparing must not touch the live database"
    done = swap(pg, NASTY, at)
    assert done.code == 0 and done.result["downtime_ms"] >= 0, done.text
    assert pg.content(NASTY) == good
    facts = pg.sql(
        "postgres",
        "SELECT shobj_description(oid, 'pg_database'), datacl::text FROM pg_database WHERE datname LIKE 'ö%DROP)'",
    )
    assert facts.startswith("it's mine|") and "reader=c/" in facts and "=Tc/" not in facts
    assert pg.sql(NASTY, "SHOW search_path") == '"$user", public, "Ünï Schema"'
    assert swap(pg, NASTY, at).result["already"] is True
    back = swap(pg, NASTY, stamp(), MODE="undo")
    assert back.code == 0, back.text
    assert pg.content(NASTY) == damaged
    assert swap(pg, NASTY, stamp(), MODE="undo").code == 65
    # and for good, so that the other tests find the whole database
    at = stamp()
    assert pg.script("prepare.sh", DATABASE=NASTY, BACKUP=name, STAMP=at, SAFETY="skip").code == 0
    assert swap(pg, NASTY, at).code == 0 and pg.content(NASTY) == good


@pytest.mark.parametrize("step", PREPARE_STEPS if FULL else ["safety", "load", "verify"])
def test_a_restore_killed_while_preparing_leaves_the_live_database_whole(pg: Server, step: str) -> None:
    name, good, at = backup_of(pg, "shop"), pg.content("shop"), stamp()
    done = pg.script(
        "prepare.sh", kill_at=lambda e: e.get("step") == step, DATABASE="shop", BACKUP=name, STAMP=at
    )
    assert done.killed and pg.content("shop") == good
    again = pg.script("prepare.sh", DATABASE="shop", BACKUP=name, STAMP=at)
    assert again.code == 0, again.text
    assert swap(pg, "shop", at).code == 0 and pg.content("shop") == good


@pytest.mark.parametrize("how", ["script", "server"])
def test_a_killed_swap_is_completed_by_the_next_run(pg: Server, how: str) -> None:
    name, good, at = backup_of(pg, "shop"), pg.content("shop"), stamp()
    assert pg.script("prepare.sh", DATABASE="shop", BACKUP=name, STAMP=at, SAFETY="skip").code == 0
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2) if FULL else (0.0, 0.05):

        def crash(event: dict[str, object], delay: float = delay) -> None:
            if event.get("step") == "swap":
                time.sleep(delay)
                if how == "server":
                    pg.crash()

        def kill(event: dict[str, object]) -> bool:
            return how == "script" and event.get("step") == "swap"

        pg.script("swap.sh", on_event=crash, kill_at=kill, DATABASE="shop", STAMP=at)
    done = swap(pg, "shop", at)
    assert done.code == 0, done.text
    assert pg.content("shop") == good
    assert {name for name in databases(pg) if name.startswith("shop")} == {"shop", f"shop__before_{at}"}


def test_a_fence_that_a_killed_swap_left_is_opened_by_the_cleanup(pg: Server) -> None:
    backup_of(pg, "shop")
    pg.sql(
        "postgres",
        """ALTER DATABASE shop ALLOW_CONNECTIONS false; COMMENT ON DATABASE shop IS '{"holdfast":"fenced","since":1,"comment":"mine"}'""",
    )
    done = pg.script("cleanup.sh")
    assert done.code == 0 and done.result["changed"] == 1, done.text
    assert pg.sql("shop", "SELECT count(*) FROM artists") == "200"
    assert (
        pg.sql(
            "postgres", "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'"
        )
        == "mine"
    )
    pg.sql("postgres", "COMMENT ON DATABASE shop IS NULL")


def test_the_cleanup_drops_what_was_kept_long_enough_and_nothing_else(pg: Server) -> None:
    name = backup_of(pg, "shop")
    first, second = stamp(), stamp()
    for at, hours in ((first, "0"), (second, "1")):
        assert pg.script("prepare.sh", DATABASE="shop", BACKUP=name, STAMP=at, SAFETY="skip").code == 0
        assert swap(pg, "shop", at, KEEP_HOURS=hours).code == 0
    pg.sql("postgres", "CREATE DATABASE shop__before_somebodys")
    time.sleep(1.1)
    assert pg.script("cleanup.sh").code == 0
    assert ours(pg) == {f"shop__before_{second}", "shop__before_somebodys"}


@pytest.mark.req("SN-41")
@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("truncated", "damaged"),
        ("manifest", "damaged"),
        ("missing", "there is no backup"),
        ("foreign", "is of database nothing"),
        ("empty", "no rows at all"),
        ("newer", "never goes back a major version"),
        ("extension", "cannot provide the extensions"),
    ],
)
def test_a_backup_that_does_not_fit_is_refused_and_nothing_is_touched(
    pg: Server, case: str, says: str
) -> None:
    source = "nothing" if case in ("foreign", "empty") else "shop"
    name, good, before = backup_of(pg, source), pg.content("shop"), databases(pg)
    home = pg.home / "backups"
    there = home / "shop" / "20990101T000000Z"
    shutil.copytree(home / source / name, there)
    env = {"DATABASE": "shop", "BACKUP": there.name, "STAMP": stamp()}
    if case == "truncated":
        victim = max((there / "dump").glob("*.gz"), key=lambda path: path.stat().st_size)
        victim.write_bytes(victim.read_bytes()[:-1])
    elif case == "manifest":
        (there / "manifest.json").unlink()
    elif case == "missing":
        env["BACKUP"] = "20200101T000000Z"
    elif case == "empty":
        env.update(DATABASE="nothing", BACKUP=name)
    elif case in ("newer", "extension"):
        change = (
            ('"server_version_num" : ', '"server_version_num" : 9')
            if case == "newer"
            else ("plpgsql", "flux_core")
        )
        victim = there / "facts" / ("database.json" if case == "newer" else "extensions.jsonl")
        victim.write_text(victim.read_text().replace(*change))
        reseal(there)
    try:
        for path in [there, *there.rglob("*")]:
            if pg.prefix:
                shutil.chown(path, "postgres", "postgres")
        done = pg.script("prepare.sh", **env)
        assert done.code == 65 and says in done.error, done.text
        assert databases(pg) == before and pg.content("shop") == good
    finally:
        shutil.rmtree(there)


def locked(path: Path) -> bool:
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("into", ["shop", "shop2"])
def test_nothing_removes_the_backup_that_is_being_restored(pg: Server, into: str) -> None:
    home, old, at = pg.home / "backups/shop", "20150110T020000Z", stamp()
    shutil.copytree(home / backup_of(pg, "shop"), home / old)
    (home / old / "VERIFIED.json").unlink(missing_ok=True)
    for path in [home / old, *(home / old).rglob("*")]:
        if pg.prefix:
            shutil.chown(path, "postgres", "postgres")
    if into != "shop":
        pg.sql("postgres", f"CREATE DATABASE {into}")
    none = {"KEEP_DAILY": "1", "KEEP_WEEKLY": "0", "KEEP_MONTHLY": "0", "KEEP_RECENT_HOURS": "0"}
    held: list[bool] = []

    def look(event: dict[str, object]) -> None:
        if event.get("step") == "create":
            held.append(locked(home / ".restore.lock"))

    env = {"DATABASE": into, "SOURCE": "shop", "BACKUP": old, "STAMP": at, **none}
    try:
        done = pg.script("prepare.sh", on_event=look, **env)
        assert done.code == 0 and held == [True], done.text
        assert (home / old).is_dir(), "the safety backup must not push out what is restored"
        with (home / ".restore.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            during = pg.script("backup.sh", DATABASES="shop", **none)
        assert during.code == 0 and "a restore is at work" in during.text and (home / old).is_dir()
        assert pg.script("backup.sh", DATABASES="shop", **none).code == 0
        assert not (home / old).exists(), "afterwards it goes as the retention has it"
    finally:
        shutil.rmtree(home / old, ignore_errors=True)
        pg.sql("postgres", "DROP DATABASE IF EXISTS shop2")


def test_a_database_comes_back_with_its_own_way_of_sorting(pg: Server) -> None:
    pg.sql("postgres", "CREATE DATABASE sorted TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE'")
    try:
        pg.sql("sorted", "CREATE TABLE t AS SELECT unnest(ARRAY['z', 'ö', 'O']) AS a")
        name, at = backup_of(pg, "sorted"), stamp()
        proof = pg.script("verify.sh", DATABASES="sorted")
        assert proof.code == 0, proof.text
        pg.sql("postgres", "DROP DATABASE sorted")
        assert pg.script("prepare.sh", DATABASE="sorted", BACKUP=name, STAMP=at).code == 0
        assert swap(pg, "sorted", at).code == 0
        kept = "SELECT datlocprovider, daticulocale FROM pg_database WHERE datname = 'sorted'"
        assert pg.sql("postgres", kept) == "i|sv-SE"
        assert pg.sql("sorted", "SELECT string_agg(a, '' ORDER BY a) FROM t") == "Ozö"

        # A copy that sorts another way is noticed; a backup from before this was written down is not held against it.
        facts = pg.home / "backups/sorted" / name / "facts"
        whole = (facts / "database.json").read_text()
        other = shutil.copytree(facts, pg.home / "tmp/other")
        for changed, wrong in (("sv", "no"), ('"provider" : "i"', '"provider" : "c"')):
            (other / "database.json").write_text(whole.replace(changed, wrong))
            assert wrong in compare(pg, facts, other)
        upgraded = whole.replace("sv-SE", "sv_SE").replace('num" : 15', 'num" : 14')
        (other / "database.json").write_text(upgraded)
        assert compare(pg, other, facts) == ""
        (facts / "database.json").write_text(whole.replace('"locale" :', '"before" :'))
        reseal(facts.parent)
        old = pg.script("prepare.sh", DATABASE="sorted", BACKUP=name, STAMP=stamp(), SAFETY="skip")
        assert old.code == 0, old.text
    finally:
        shutil.rmtree(pg.home / "tmp/other", ignore_errors=True)
        pg.sql("postgres", "DROP DATABASE IF EXISTS sorted")


def test_a_database_that_is_gone_comes_back(pg: Server) -> None:
    name, good, at = backup_of(pg, "shop"), pg.content("shop"), stamp()
    pg.sql("postgres", "DROP DATABASE shop WITH (FORCE)")
    done = pg.script("prepare.sh", DATABASE="shop", BACKUP=name, STAMP=at)
    assert done.code == 0, done.text
    swapped = swap(pg, "shop", at)
    assert swapped.code == 0 and swapped.result["kept"] == "", swapped.text
    assert pg.content("shop") == good


def test_writers_get_through_while_a_restore_prepares_and_after_it_swapped(pg: Server) -> None:
    name, at = backup_of(pg, "shop"), stamp()
    stop, writes = threading.Event(), []

    def write() -> None:
        argv = [
            str(binaries() / "psql"),
            "-X",
            "-q",
            "-c",
            "INSERT INTO artists SELECT max(id) + 1, 'new' FROM artists",
        ]
        while not stop.is_set():
            done = subprocess.run(argv, env=pg.env(PGDATABASE="shop"), capture_output=True, timeout=90)
            if done.returncode == 0:
                writes.append(time.monotonic())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        began = time.monotonic()
        assert pg.script("prepare.sh", DATABASE="shop", BACKUP=name, STAMP=at, SAFETY="skip").code == 0
        prepared = time.monotonic()
        done = swap(pg, "shop", at)
        assert done.code == 0, done.text
        swapped, end = time.monotonic(), time.monotonic() + 90
        while not any(write > swapped for write in writes) and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        stop.set()
        writer.join()
    assert any(began < write < prepared for write in writes), "no write while the restore was prepared"
    assert any(write > swapped for write in writes), "no write within 90 s after the swap"
    assert done.result["downtime_ms"] < 1000 * (swapped - prepared), done.text
    pg.sql("shop", "DELETE FROM artists WHERE name = 'new'")

"""What is decided without a server: names, schedules, settings, choosing a backup, the plan of a restore, the remedy."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_settings import GIVEN

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    backups,
    diagnose,
    live,
    names,
    restore_plan,
    settings,
    undo,
)


def backup(name: str = "20261120T020000Z", verified: Optional[str] = None, **manifest: Any) -> backups.Backup:
    base: dict[str, Any] = {
        "format": 1,
        "rows": 10,
        "database_bytes": 1024 * 1024,
        "database_info": {"server_version_num": 150004},
        "tables": [{"schema": "public", "table": "t", "kind": "r", "rows": 10}],
    }
    return backups.Backup(name, "shop", "/nowhere", {**base, **manifest}, verified)


def server(**facts: Any) -> live.Server:
    known = {"shop": {"name": "shop", "open": True, "sessions": 3, "comment": None}}
    return live.Server(
        **{"pod": "postgres-0", "version_num": 150004, "free_kb": 10**6, "databases": known, **facts}
    )


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00\n"), min_size=1, max_size=63))
def test_side_names_fit_and_are_recognised(name: str) -> None:
    side = names.side(name, "restore", "20261120T020000Z")
    assert len(side.encode()) <= 63 and names.side_of(side) == ("restore", "20261120T020000Z")
    assert "/" not in names.directory(name) and not names.directory(name).startswith(".")


@pytest.mark.parametrize(
    ("name", "directory"), [("shop", "shop"), ("a b/ö", "a%20b%2F%C3%B6"), (".x", "%2Ex"), ("%", "%25")]
)
def test_directories_of_odd_names(name: str, directory: str) -> None:
    assert names.directory(name) == directory


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 64, "ö" * 32])
def test_names_that_no_database_has(name: str) -> None:
    with pytest.raises(HoldfastError):
        names.check_database(name)


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ("0 2 * * *", 24.0),
        ("0 * * * *", 1.0),
        ("*/15 * * * *", 0.25),
        ("0 */6 * * *", 6.0),
        ("0 2,14 * * *", 12.0),
        ("0 2 * * 0", 168.0),
        ("@hourly", 1.0),
        ("0 2 1 * *", None),
        ("nonsense", None),
    ],
)
def test_the_gap_of_a_schedule(schedule: str, hours: Optional[float]) -> None:
    assert settings.hours_between(schedule) == hours


@pytest.mark.req("SC-94")
def test_a_schedule_that_cannot_keep_the_rpo_is_refused() -> None:
    with pytest.raises(HoldfastError, match="schedule"):
        settings.load({**GIVEN, "rpo_hours": 2})
    hourly = {"rpo_hours": 2, "schedule": "0 * * * *"}
    with pytest.raises(HoldfastError, match="a trial restore every 24 h"):
        settings.load({**GIVEN, **hourly})
    assert settings.load({**GIVEN, **hourly, "verify_schedule": "30 * * * *"}).rpo_hours == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"databases": []}, "databases"),
        ({"secret": ""}, "secret"),
        ({"name": "Bad"}, "name"),
        ({"nmae": "x"}, "nmae"),
    ],
)
def test_settings_that_cannot_work_name_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(HoldfastError) as caught:
        settings.load({**GIVEN, **change})
    assert caught.value.field == field


def test_what_a_restore_replaced_is_chosen_by_name_or_time_only() -> None:
    damage, good = backup("20261122T020000Z", "then", reason="safety"), backup("20261121T020000Z", "then")
    for wanted in ("latest", "latest verified"):
        assert backups.choose([damage, good], wanted) is good
    for wanted in ("20261122T020000Z", "2026-11-22T02:00"):
        assert backups.choose([damage, good], wanted) is damage
    with pytest.raises(Refused):
        backups.choose([damage], "latest verified")


def test_choosing_a_backup() -> None:
    found = [
        backup("20261122T020000Z"),
        backup("20261121T020000Z", "then"),
        backup("20261120T020000Z", "then"),
    ]
    for wanted, name in (
        ("latest", "20261122T020000Z"),
        ("latest verified", "20261121T020000Z"),
        ("20261120T020000Z", "20261120T020000Z"),
        ("2026-11-21T02:00", "20261121T020000Z"),
        ("2026-11-21T03:59:00+02:00", "20261120T020000Z"),
    ):
        assert backups.choose(found, wanted).name == name
    for wanted in ("20200101T000000Z", "2001-01-01", "yesterday"):
        with pytest.raises(HoldfastError):
            backups.choose(found, wanted)
    with pytest.raises(Refused):
        backups.choose([], "latest")
    assert backups.age_hours(found[0], datetime(2026, 11, 22, 5, 30, tzinfo=timezone.utc)) == 3.5


def test_reading_and_checking_a_volume(tmp_path: Path) -> None:
    home = tmp_path / "shop" / "20261120T020000Z"
    (home / "dump").mkdir(parents=True)
    (home / "dump/toc.dat").write_text("toc")
    entry = {"path": "dump/toc.dat", "bytes": 3, "sha256": backups.sha256(home / "dump/toc.dat")}
    (home / "manifest.json").write_text(json.dumps({"format": 1, "database": "shop", "files": [entry]}))
    (home / "SHA256SUMS").write_text(f"{backups.sha256(home / 'manifest.json')}  manifest.json\n")
    (tmp_path / "shop/20261121T020000Z").mkdir()
    (tmp_path / "shop/.tmp-20261122T020000Z").mkdir()
    found, broken = backups.read(str(tmp_path), "shop")
    assert [b.name for b in found] == [home.name] and [b["name"] for b in broken] == ["20261121T020000Z"]
    assert backups.check(found[0], full=True) == []
    (home / "dump/toc.dat").write_text("tok")
    assert backups.check(found[0], full=False) == [] and "changed" in backups.check(found[0], full=True)[0]
    (home / "dump/toc.dat").write_text("to")
    assert "2 bytes instead of 3" in backups.check(found[0], full=False)[0]


@pytest.mark.parametrize(
    ("wish", "chosen", "seen", "problems", "says"),
    [
        ({}, backup(), server(), ["x is missing"], "damaged"),
        ({"database": "other"}, backup(), server(), [], "not of"),
        ({}, backup(rows=0), server(), [], "no rows"),
        ({"database": "postgres", "source_database": "shop"}, backup(), server(), [], "maintenance"),
        ({}, backup(database_info={"server_version_num": 160001}), server(), [], "PostgreSQL 16"),
        ({}, backup(extensions=[{"extension": "postgis"}]), server(), [], "postgis"),
        ({}, backup(), server(holders={"shop": ["slot s"]}), [], "slot s"),
        ({}, backup(), server(free_kb=1000), [], "no space"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_touched(
    wish: dict[str, Any], chosen: backups.Backup, seen: live.Server, problems: list[str], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        restore_plan.preflight(
            restore_plan.Wish(**{"database": "shop", **wish}), chosen, problems, seen, "postgres"
        )


def test_a_plan_shrinks_as_phases_pass() -> None:
    wish = restore_plan.Wish("shop", stop=("api",))
    kinds = {}
    for phase in restore_plan.PHASES:
        record = restore_plan.Record("20261120T020000Z", "b", phase, {"api": 2})
        kinds[phase] = [a.kind for a in restore_plan.plan(wish, backup(), server(), record)]
    assert kinds["preparing"] == ["prepare", "stop", "swap", "start"]
    assert kinds["prepared"] == ["stop", "swap", "start"]
    assert kinds["stopped"] == ["swap", "start"] and kinds["swapped"] == ["start"]
    notes = restore_plan.preflight(wish, backup(), [], live.Server(why="down"), "postgres")
    assert any("not been proven" in note for note in notes) and any("down" in note for note in notes)


@pytest.mark.req("CAP-55")
@pytest.mark.parametrize(
    ("after", "quiet", "wrong"),
    [
        ({"public.t": 10}, True, 0),
        ({"public.t": 11}, True, 1),
        ({"public.t": 11}, False, 0),
        ({"public.t": 0}, False, 1),
        ({}, False, 1),
    ],
)
def test_the_independent_count(after: dict[str, Optional[int]], quiet: bool, wrong: int) -> None:
    assert len(restore_plan.judge(backup().manifest, after, quiet)) == wrong


@pytest.mark.parametrize(
    ("seen", "counts", "claims", "cause", "remedy"),
    [
        (server(), {"public.t": 10}, {}, "none", "none"),
        (server(), {"public.t": 0}, {}, "tables empty", "restore"),
        (server(), {}, {}, "tables missing", "restore"),
        (server(databases={}), {}, {}, "database missing", "restore"),
        (live.Server(why="no ready pod"), {}, {}, "pod", "pods"),
        (server(), {}, {"data": "Missing"}, "volume", "person"),
        (server(databases={"shop": {"open": False}}), {}, {}, "database closed", "reopen"),
    ],
)
def test_the_cause_and_its_remedy(
    seen: live.Server, counts: dict[str, Optional[int]], claims: dict[str, str], cause: str, remedy: str
) -> None:
    found = diagnose.judge("shop", seen, backup().manifest, counts, claims)
    assert (found["cause"], found["remedy"]) == (cause, remedy)


@pytest.mark.req("BR-05", "SN-07", "SN-48")
def test_what_a_restore_has_set_aside() -> None:
    def state(stamp: str, of: str = "shop") -> dict[str, Any]:
        return {"comment": json.dumps({"holdfast": "before", "of": of, "stamp": stamp})}

    known = {
        "a": state("1"),
        "b": state("2"),
        "c": state("3", "other"),
        "d": {"comment": "mine"},
        "e": {"comment": None},
    }
    assert undo.kept(server(databases=known), "shop") == ["b", "a"]

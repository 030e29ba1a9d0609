"""A restore that an earlier run began: continued when it is the same one, else ended and begun anew."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Optional

import pytest
from sample_settings import Api

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    backups,
    live,
    names,
    record,
    restore,
    resume,
    writers,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import run as runs
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.restore_plan import Record, Wish
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.resume import Seen

MARCH, NOVEMBER, STAMP = "20260301T020000Z", "20261120T020000Z", "20260302T090000Z"
NOW = datetime(2026, 11, 28, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("phase", "chosen", "seen", "on"),
    [
        ("swapped", MARCH, Seen(True, running=True, loaded=True), False),
        ("preparing", NOVEMBER, Seen(True), False),
        ("preparing", MARCH, Seen(False), False),  # killed before its job was made, or a load that failed
        ("preparing", MARCH, Seen(True), True),  # half loaded: its space is used again
        ("preparing", MARCH, Seen(False, running=True), True),
        ("preparing", MARCH, Seen(True, loaded=True), True),
        ("preparing", MARCH, Seen(False, loaded=True), False),  # dropped since
        ("preparing", MARCH, Seen(None), False),
        ("preparing", MARCH, Seen(None, loaded=True), True),
        ("prepared", MARCH, Seen(None), True),
        ("prepared", MARCH, Seen(True, loaded=True), True),
        ("prepared", MARCH, Seen(False, loaded=True), False),
        ("prepared", MARCH, Seen(False), False),
        ("prepared", MARCH, Seen(False, running=True), True),  # killed while it swapped
        ("prepared", MARCH, Seen(False, loaded=True, swapped_ago=30), True),
        ("prepared", MARCH, Seen(False, loaded=True, swapped_ago=86400), False),
        ("prepared", MARCH, Seen(None, loaded=True, swapped_ago=86400), False),
        ("prepared", NOVEMBER, Seen(True), False),
    ],
)
def test_what_goes_on(phase: str, chosen: str, seen: Seen, on: bool) -> None:
    assert resume.goes_on(Record(STAMP, MARCH, phase), chosen, seen) is on


def job(script: str, end: Optional[str] = None) -> dict[str, Any]:
    env = [{"name": "DATABASE", "value": "shop"}, {"name": "STAMP", "value": STAMP}]
    status = {"conditions": [{"type": "Complete", "status": "True"}], "completionTime": end} if end else {}
    return {"spec": {"template": {"spec": {"containers": [{"env": env}]}}}, "status": status, "s": script}


def test_what_its_jobs_say() -> None:
    api: Any = Api()

    def listed(path: str, label_selector: str = "") -> list[dict[str, Any]]:
        return [one for one in api.jobs.values() if f"script={one['s']}" in label_selector]

    api.list = listed
    api.jobs = {"p": job("prepare", "2026-11-27T23:00:00Z"), "s": job("swap")}
    assert resume.look_at_jobs(api, "n", "b", "shop", STAMP, NOW) == Seen(None, True, True)
    api.jobs["s"] = job("swap", "2026-11-27T23:59:00Z")
    assert resume.look_at_jobs(api, "n", "b", "shop", STAMP, NOW) == Seen(None, False, True, 60)
    assert resume.look_at_jobs(api, "n", "b", "shop", NOVEMBER, NOW) == Seen(None)


class World:
    """A cluster of one database, one Deployment, two backups and one record; what happened is in `did`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, phase: str, replicas: int, there: bool) -> None:
        self.kept: Optional[Record] = Record(STAMP, MARCH, phase, {"api": 2})
        self.replicas, self.did, self.broken = replicas, list[str](), set[str]()
        names_there = ["shop", *([names.side("shop", "restore", STAMP)] if there else [])]
        databases = {name: {"name": name, "open": True, "sessions": 0} for name in names_there}
        table = {"schema": "public", "table": "t", "kind": "r", "rows": 3}
        found = [
            backups.Backup(name, "shop", "/nowhere", {"rows": 3, "tables": [table]}, "then")
            for name in (NOVEMBER, MARCH)
        ]
        server = live.Server("postgres-0", 150004, 10**6, [], databases)
        pod = {"spec": {"containers": [{"env": []}]}}
        cron = {"spec": {"jobTemplate": {"spec": {"template": pod}}}, "metadata": {"namespace": "n"}}
        for module, name, fake in (
            (runs, "observe", lambda *_a: runs.Target(cron, ["shop"], "/volume", {})),
            (backups, "read", lambda *_a: (found, [])),
            (backups, "check", lambda *_a, **_k: []),
            (live, "pod_of", lambda *_a: "postgres-0"),
            (live, "look", lambda *_a: server),
            (live, "counts", lambda *_a: self.count()),
            (writers, "replicas", lambda *_a: self.replicas),
            (writers, "scale", lambda _c, _n, _name, wanted: self.scale(wanted)),
            (writers, "ready_now", lambda *_a: []),
            (writers, "wait_ready", lambda *_a: []),
            (record, "read", lambda *_a: self.kept if self.kept and self.kept.phase != "done" else None),
            (record, "write", lambda _c, _n, _b, _d, note: setattr(self, "kept", note)),
            (resume, "look_at_jobs", lambda *_a: Seen(None)),
            (restore, "run_once", lambda _c, _cron, base, *_a: self.work(base)),
        ):
            monkeypatch.setattr(module, name, fake)

    def scale(self, wanted: int) -> None:
        self.replicas = wanted
        self.did.append(f"scale {wanted}")

    def count(self) -> dict[str, Optional[int]]:
        if "count" in self.broken:
            raise HoldfastError("no answer")
        return {"public.t": 3}

    def work(self, base: str) -> dict[str, Any]:
        script = "swap" if "-swap-" in base else "prepare"
        if script in self.broken:
            raise Refused("nothing to swap in")
        self.did.append(f"{script} {'old' if STAMP.lower() in base else 'new'}")
        return {"kept": "k", "downtime_ms": 1}

    def restore(
        self, tmp: Any, stop: tuple[str, ...] = (), check: bool = False, wanted: str = "latest verified"
    ) -> Any:
        asked = restore.Restore(None, "n", "b", Wish("shop", stop=stop), wanted, str(tmp), FakeClock(NOW))  # type: ignore[arg-type]
        return asked.run(runs.Limits(check, 60))


@pytest.mark.parametrize("phase", ["preparing", "prepared", "swapped"])
def test_an_old_record_neither_hides_a_new_request_nor_blocks_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, phase: str
) -> None:
    world = World(monkeypatch, phase, 0, there=True)
    looked = world.restore(tmp_path, check=True)
    assert world.did == [] and [action.kind for action in looked.plan] == ["prepare", "swap"]
    assert any(f"backup {MARCH}" in said for said in looked.extra["notes"])
    done = world.restore(tmp_path)
    assert world.did == ["scale 2", "prepare new", "swap new"] and done.verified
    assert done.extra["backup"]["name"] == NOVEMBER and done.extra["resumed"] is False
    assert world.kept is not None and (world.kept.phase, world.kept.backup) == ("done", NOVEMBER)


def test_a_run_that_was_killed_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    world = World(monkeypatch, "prepared", 0, there=True)
    assert world.kept is not None
    world.kept.backup = NOVEMBER
    done = world.restore(tmp_path, ("api",))
    assert world.did == ["scale 0", "swap old", "scale 2"] and done.verified and done.extra["resumed"]


def test_a_restore_at_work_is_followed_though_another_backup_is_the_newest_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    world = World(monkeypatch, "preparing", 2, there=False)
    monkeypatch.setattr(resume, "look_at_jobs", lambda *_a: Seen(None, running=True))
    with pytest.raises(Refused, match=f"a restore of backup {MARCH} is at work"):
        world.restore(tmp_path, wanted=NOVEMBER)
    assert world.did == []
    done = world.restore(tmp_path)
    assert world.did == ["prepare old", "swap old", "scale 2"] and done.extra["resumed"]
    assert done.verified and done.extra["backup"]["name"] == MARCH


def test_a_deployment_that_was_started_since_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    world = World(monkeypatch, "swapped", 3, there=False)
    world.restore(tmp_path)
    assert "scale 2" not in world.did and world.replicas == 3


def test_a_count_that_fails_after_the_swap_keeps_nothing_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    world = World(monkeypatch, "done", 2, there=False)
    world.broken.add("count")
    done = world.restore(tmp_path, ("api",))
    assert world.did == ["prepare new", "scale 0", "swap new", "scale 2"]
    assert not done.verified and "could not be counted" in done.extra["problems"][0]
    assert world.kept is not None and world.kept.phase == "done"


def test_a_swap_that_is_refused_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    world = World(monkeypatch, "done", 2, there=False)
    world.broken.add("swap")
    with pytest.raises(Refused):
        world.restore(tmp_path, ("api",))
    assert world.replicas == 2 and world.kept is not None and world.kept.phase == "done"

"""The smallest rung first, nothing against a fault that only a person can resolve."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.node import ladder
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Options

sys.path.insert(0, str(Path(__file__).parent))
from sample_facts import NOW, facts, hanging, looping

STALE = [{"file": "/f", "address": "10.42.0.9", "sandbox": "gone"}]
CLEAN = ["stop_unit", "stop_containers", "killall", "start_unit"]
STOPPED_CRI = {"pid": 710, "start": 12, "state": "T", "comm": "containerd", "role": "containerd"}


def kinds(broken: dict[str, Any], **options: Any) -> list[str]:
    return [one.kind for one in ladder.plan(broken, Options(**options))[1]]


CASES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    (facts(), {}, []),
    (facts(processes=[STOPPED_CRI]), {"allow_killall": False, "allow_containerd_reset": False},
     ["continue_process", "restart_unit"]),
    (facts(unit__active="failed", unit__main_pid=0), {"allow_containerd_reset": False}, ["start_unit", *CLEAN]),
    (hanging(runtime__socket=True, runtime__cri={"ok": True}), {}, ["restart_unit", *CLEAN]),
    (hanging(runtime__socket=True, runtime__cri={"ok": True}), {"allow_reboot": True}, ["restart_unit", *CLEAN, "reboot"]),
    (hanging(datastore__quick_check="file is not a database"), {}, ["copy_aside"]),
    (hanging(datastore__quick_check="file is not a database"), {"datastore_repair": "recover", "allow_killall": False,
     "allow_containerd_reset": False}, ["copy_aside", "stop_unit", "repair_datastore", "start_unit"]),
    (hanging(datastore__quick_check="page 7", datastore__quick_check_without_wal="ok"), {}, ["copy_aside"]),
    (looping("bootstrap data already found and encrypted with different token"), {}, []),
    (facts(cni__taken=253, cni__stale=STALE), {}, ["free_addresses"]),
    (facts(cni__taken=253, cni__stale=None), {}, CLEAN),
    (facts(cni__taken=253, cni__stale=[]), {}, []),
    (facts(host__disks=[{"path": "/", "free_percent": 1.0, "inodes_free_percent": 50.0, "read_only": False}]), {},
     ["prune_own", "vacuum_journal"]),
    (facts(certificates__items=[{"path": "/x/client-admin.crt", "not_before": 0.0, "not_after": NOW - 9, "ca": False}]), {},
     ["restart_unit", "stop_unit", "rotate_certificates", "start_unit"]),
    (facts(host__inotify={"max_user_instances": 128, "instances": 128}), {}, ["raise_inotify"]),
    (facts(datastore__size=3 << 30), {}, []),
    (facts(datastore__size=3 << 30), {"allow_vacuum": True}, ["stop_unit", "vacuum_datastore", "start_unit"]),
    (looping("nothing known", unit__n_restarts=1), {}, ["wait_ready", "restart_unit", *CLEAN]),
    (facts(runtime__cri={"ok": False, "error": "x"}, runtime__socket=False,
           runtime__meta_db={"exists": True, "magic_ok": False}), {},
     ["stop_unit", "stop_containers", "killall", "reset_containerd", "start_unit"]),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "options", "expected"), CASES, ids=range(len(CASES)))
def test_plan(broken: dict[str, Any], options: dict[str, Any], expected: list[str]) -> None:
    assert kinds(broken, **options) == expected


@pytest.mark.req("SN-35")
def test_a_forced_restart_is_stop_killall_start_in_this_order() -> None:
    order = [one for one in kinds(facts(cni__taken=253, cni__stale=None)) if one != "stop_containers"]
    assert order == ["stop_unit", "killall", "start_unit"]


def test_nothing_destructive_without_mark() -> None:
    plan = ladder.plan(hanging(), Options(allow_reboot=True))[1]
    assert {one.kind for one in plan if one.destructive} == {"killall", "reboot"}


def test_rungs_never_go_down() -> None:
    for broken, options, _expected in CASES:
        rungs = [ladder.rung(one) for one in ladder.plan(broken, Options(**options))[1]]
        assert rungs == sorted(rungs)


def test_a_person_is_told_what_to_type() -> None:
    findings, plan = ladder.plan(
        looping("bootstrap data already found and encrypted with different token"), Options()
    )
    assert plan == []
    assert "systemctl restart k3s" in findings[0].needs_person


def test_general_rungs_end_when_their_reason_is_gone() -> None:
    plan = ladder.plan(facts(processes=[STOPPED_CRI]), Options())[1]
    general = [one for one in plan if not ladder.causes(one)]
    assert general and not any(ladder.still_needed(one, {"DISK-FULL"}) for one in general)
    assert all(ladder.still_needed(one, {"API-DOWN"}) for one in general)


def test_the_summary_is_short() -> None:
    findings, _plan = ladder.plan(facts(unit__result="oom-kill"), Options())
    assert ladder.summary(findings).startswith("UNIT-OOM — ")
    assert ladder.summary([]) == "nothing is wrong"

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every finding from the facts that cause it, and a verdict with the API up, down, and slow to come."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.health import (
    assess,
    checks_cluster,
    checks_host,
    checks_pods,
    host_facts,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.health.cluster_facts import (
    ClusterFacts,
    count_rows,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import SPEC, HostFacts
from ansible_collections.holdfast.k3s.plugins.module_utils.health.quantity import to_bytes
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts

CLOCK = FakeClock()
NOW = CLOCK.now()
PARAMS: dict[str, Any] = {name: option.get("default") for name, option in SPEC.items()}
GOOD_UNIT = {"ActiveState": "active", "SubState": "running", "LoadState": "loaded"}
DISK = {"path": "/", "percent": 10, "inode_percent": 1, "free_mb": 5, "size_mb": 9}


def epoch(hours_ago: float) -> int:
    return int((NOW - timedelta(hours=hours_ago)).timestamp())


def iso(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def backup(newest: float, verified: float, **more: Any) -> dict[str, Any]:
    times = {"newest_at": epoch(newest) if newest else 0, "verified_at": epoch(verified) if verified else 0}
    return {"database": "db", "rpo_hours": 26, **times, **more}


HOST = [
    ({"unit": GOOD_UNIT}, []),
    ({"unit": {}}, ["unit_unknown/note"]),
    ({"unit": {"ActiveState": "activating", "SubState": "auto-restart"}}, ["unit_down/down"]),
    ({"unit": {"LoadState": "not-found", "ActiveState": "inactive"}}, ["unit_missing/down"]),
    ({"disks": [{**DISK, "percent": 86}]}, ["disk_space/degraded"]),
    ({"disks": [{**DISK, "inode_percent": 99}]}, ["disk_inodes/down"]),
    ({"memory": {"total_mb": 1000, "available_mb": 50}}, ["memory_host/degraded"]),
    ({"memory": {"total_mb": 1000, "available_mb": 500}, "pressure": 40.0}, ["memory_stall/degraded"]),
    ({"certificates": [{"file": "a", "days": 300}, {"file": "b", "days": -2}]}, ["certificate_expired/down"]),
    ({"certificates": [{"file": "a", "days": 3}]}, ["certificate_expiring/degraded"]),
    ({"datastore": {"size_mb": 2000, "wal_mb": 100}}, ["datastore_big/degraded"]),
    ({"clock": {"behind": 9000}}, ["clock_behind/degraded"]),
    ({"clock": {"behind": 0, "synchronized": False}}, ["clock_free/note"]),
    ({"registry": {"ok": False, "url": "u", "error": "refused"}}, ["registry_down/degraded"]),
    ({"registry": {"ok": True}}, []),
    ({"backups": [backup(3, 20)]}, []),
    ({"backups": [backup(30, 20)]}, ["backup_old/degraded"]),
    ({"backups": [backup(3, 200)]}, ["backup_unverified/degraded"]),
    ({"backups": [backup(0, 0)]}, ["backup_old/degraded", "backup_unverified/degraded"]),
    ({"backups": [backup(3, 20, unproven="b-1")]}, ["backup_unproven/degraded"]),
    ({"backups": [backup(3, 20, offsite_at=0, offsite_hours=50)]}, ["backup_offsite/degraded"]),
    ({"backups": [backup(3, 20, offsite_at=epoch(20), offsite_hours=50)]}, []),
    ({"backups": [{"database": "db", "error": "x"}]}, ["backup_unknown/degraded"]),
    ({"reboot": "packages"}, ["reboot_pending/note"]),
]


@pytest.mark.req("SN-49", "SN-58")
@pytest.mark.parametrize(("facts", "expected"), HOST)
def test_host(facts: dict[str, Any], expected: list[str]) -> None:
    found = checks_host.check(HostFacts(**{"unit": GOOD_UNIT, **facts}), PARAMS, NOW)
    assert [f"{f.id}/{f.severity}" for f in found] == expected
    assert all(f.text and (f.fix or f.severity == "note") for f in found)


def node(**conditions: str) -> dict[str, Any]:
    listed = [{"type": kind, "status": status, "message": "m"} for kind, status in conditions.items()]
    return {"metadata": {"name": "n"}, "status": {"conditions": listed}}


def claim(name: str, phase: str = "Bound", size: str = "10Gi") -> dict[str, Any]:
    status = {"phase": phase, "capacity": {"storage": size}}
    return {"metadata": {"namespace": "s", "name": name, "uid": f"u-{name}"}, "status": status}


def job(name: str, outcome: str, age: float, owner: str | None = "cj") -> dict[str, Any]:
    meta: dict[str, Any] = {"namespace": "s", "name": name, "uid": name, "creationTimestamp": iso(age)}
    if owner:
        meta["ownerReferences"] = [{"uid": owner, "kind": "CronJob", "controller": True}]
    condition = {"type": outcome, "status": "True", "reason": "BackoffLimitExceeded"}
    return {"kind": "Job", "metadata": meta, "spec": {}, "status": {"conditions": [condition]}}


def flux(applied: str) -> list[dict[str, Any]]:
    """A repository that holds revision a, and what runs an applied revision of it."""
    there = {"namespace": "f", "name": "apps"}
    ready = [{"type": "Ready", "status": "True"}]
    return [
        {
            "kind": "GitRepository",
            "metadata": there,
            "status": {"conditions": ready, "artifact": {"revision": "main@sha1:a"}},
        },
        {
            "kind": "Kustomization",
            "metadata": there,
            "spec": {"sourceRef": {"kind": "GitRepository", "name": "apps"}},
            "status": {"conditions": ready, "lastAppliedRevision": applied},
        },
    ]


CRONJOB = {"metadata": {"namespace": "s", "name": "backup", "uid": "cj"}, "spec": {}}


def cluster(**given: Any) -> ClusterFacts:
    look = Facts(now=NOW)
    for key in ("pvcs", "owners", "events"):
        if key in given:
            setattr(look, key, given.pop(key))
    return ClusterFacts(look=look, **given)


FULL_VOLUME = {
    "pvcRef": {"namespace": "s", "name": "data"},
    "capacityBytes": 1000,
    "availableBytes": 100,
    "usedBytes": 900,
}
BIG_POD = {"podRef": {"namespace": "s", "name": "big"}, "memory": {"workingSetBytes": 900 * 2**20}}
MUSIC = {"namespace": "music", "database": "musicdb"}
FEWER = [
    {"table": "public.tracks", "rows": 3, "expected": 8},
    *({"table": f"public.t{number}", "rows": None, "expected": 1} for number in range(6)),
]
CLUSTER = [
    (cluster(nodes=[node(Ready="True")]), {}, []),
    (cluster(error="nobody answers"), {}, ["api_down/down"]),
    (cluster(readyz=["[-]etcd failed"]), {}, ["api_not_ready/down"]),
    (cluster(nodes=[node(Ready="False")]), {}, ["node_not_ready/down"]),
    (
        cluster(nodes=[{**node(Ready="True"), "spec": {"unschedulable": True}}]),
        {},
        ["node_cordoned/degraded"],
    ),
    (cluster(nodes=[node(Ready="True", MemoryPressure="True")]), {}, ["memorypressure/degraded"]),
    (cluster(nodes=[node(Ready="True", DiskPressure="True")]), {}, ["diskpressure/degraded"]),
    (cluster(nodes=[node(Ready="True")], stats={"n": {"error": "x"}}), {}, ["kubelet_silent/degraded"]),
    (cluster(pvcs={("s", "data"): claim("data", "Pending")}), {}, ["claim_unbound/degraded"]),
    (
        cluster(
            pvcs={("s", "data"): claim("data", "Pending")},
            events={"u-data": [{"reason": "WaitForFirstConsumer"}]},
        ),
        {},
        ["claim_unbound/note"],
    ),
    (cluster(), {"expected_claims": [{"namespace": "s", "name": "data"}]}, ["claim_missing/degraded"]),
    (
        cluster(pvcs={("s", "data"): claim("data")}),
        {"expected_claims": [{"namespace": "s", "name": "data", "size": "20Gi"}]},
        ["claim_small/degraded"],
    ),
    (
        cluster(pvcs={("s", "data"): claim("data")}),
        {"expected_claims": [{"namespace": "s", "name": "data", "size": "10Gi"}]},
        [],
    ),
    (cluster(stats={"n": {"pods": [{**BIG_POD, "volume": [FULL_VOLUME]}]}}), {}, ["claim_full/degraded"]),
    (
        cluster(cronjobs=[CRONJOB], owners={"a": job("a", "Complete", 900), "b": job("b", "Failed", 10)}),
        {},
        ["cronjob_failed/degraded"],
    ),
    (
        cluster(cronjobs=[CRONJOB], owners={"a": job("a", "Failed", 900), "b": job("b", "Complete", 10)}),
        {},
        [],
    ),
    (cluster(owners={"a": job("a", "Failed", 10, owner=None)}), {}, ["job_failed/note"]),
    (cluster(cronjobs=[{**CRONJOB, "spec": {"suspend": True}}]), {}, ["cronjob_suspended/note"]),
    (
        cluster(
            flux=[
                {
                    "kind": "HelmRelease",
                    "metadata": {"name": "x", "namespace": "f"},
                    "status": {"conditions": [{"type": "Ready", "status": "False", "message": "no"}]},
                }
            ]
        ),
        {},
        ["flux_not_ready/degraded"],
    ),
    pytest.param(cluster(flux=flux("main@sha1:a")), {}, [], marks=pytest.mark.req("SN-60")),
    pytest.param(cluster(flux=flux("main@sha1:b")), {}, ["flux_behind/note"], marks=pytest.mark.req("SN-60")),
    (
        cluster(
            rows=[{"namespace": "s", "pod": "p", "database": "d", "table": "t", "min_rows": 5, "rows": 4}]
        ),
        {},
        ["rows_low/down"],
    ),
    (
        cluster(
            rows=[{"namespace": "s", "pod": "p", "database": "d", "table": "t", "min_rows": 5, "error": "e"}]
        ),
        {},
        ["rows_unknown/degraded"],
    ),
    (cluster(backup_rows=[{**MUSIC, "backup": "b", "tables": 2, "fewer": []}]), {}, []),
    (cluster(backup_rows=[{**MUSIC, "backup": "b", "tables": 2, "fewer": FEWER}]), {}, ["rows_lost/down"]),
    (cluster(backup_rows=[{**MUSIC, "unproven": "no backup"}]), {}, ["rows_unproven/note"]),
    (cluster(backup_rows=[{**MUSIC, "error": "no pod"}]), {}, ["rows_unknown/degraded"]),
]


@pytest.mark.req("SN-08", "SN-31", "SN-46", "SN-47", "SN-51")
@pytest.mark.parametrize(("facts", "given", "expected"), CLUSTER)
def test_cluster(facts: ClusterFacts, given: dict[str, Any], expected: list[str]) -> None:
    found = checks_cluster.check(facts, {**PARAMS, **given})
    assert [f"{f.id}/{f.severity}" for f in found] == expected


@pytest.mark.req("SN-31")
def test_lost_rows_are_named_with_both_numbers_and_the_backup() -> None:
    facts = cluster(backup_rows=[{**MUSIC, "backup": "20261120T020000Z", "tables": 9, "fewer": FEWER}])
    found = checks_cluster.check(facts, PARAMS)[0]
    assert "music/musicdb has fewer rows than its newest backup 20261120T020000Z" in found.text
    assert (
        "public.tracks has 3 instead of 8, public.t0 is gone" in found.text and "2 more tables" in found.text
    )
    assert "restore" in found.fix


def test_memory_has_a_plan_that_names_the_consumers() -> None:
    facts = cluster(nodes=[node(Ready="True", MemoryPressure="True")], stats={"n": {"pods": [BIG_POD]}})
    plan = checks_cluster.check(facts, PARAMS)[0].plan
    assert "s/big 900 MB" in plan[0] and any("one replica" in step for step in plan)


def make_pod(name: str, containers: list[dict[str, Any]], ready: bool = True, **more: Any) -> dict[str, Any]:
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "startTime": iso(5000),
        **more.pop("status", {}),
    }
    meta = {"namespace": "s", "name": name, "uid": f"u-{name}", "creationTimestamp": iso(5000)}
    return {"metadata": meta, "spec": {"containers": containers, **more}, "status": status}


FULL_LIMITS = {"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
HALF_LIMITS = {"name": "h", "resources": {"limits": {"memory": "1Gi"}}}


@pytest.mark.req("SN-45")
def test_limits_are_asked_of_every_container_and_init_container() -> None:
    pods = [
        make_pod("fine", [FULL_LIMITS]),
        make_pod("init", [FULL_LIMITS], initContainers=[HALF_LIMITS]),
        make_pod("second", [FULL_LIMITS, {"name": "x"}]),
    ]
    found = checks_pods.without_limits(pods, ["kube-system"])
    assert found == [
        {"pod": "s/init", "container": "h", "missing": "cpu"},
        {"pod": "s/second", "container": "x", "missing": "cpu, memory"},
    ]
    assert checks_pods.without_limits(pods, ["s"]) == []
    assert checks_pods.check(Facts(now=NOW, pods=pods), PARAMS)[0].id == "limits_missing"


def pulling(minutes: float) -> Facts:
    pod = make_pod("slow", [FULL_LIMITS], ready=False, status={"phase": "Pending"}, nodeName="n")
    event = {"reason": "Pulling", "message": "image", "lastTimestamp": iso(60 * minutes)}
    return Facts(now=NOW, pods=[pod], events={"u-slow": [event]})


@pytest.mark.req("SN-30", "SN-59")
def test_a_slow_pull_is_waited_for_then_acted_on() -> None:
    found = [checks_pods.check(pulling(minutes), PARAMS)[0] for minutes in (15, 31)]
    assert [(f.id, f.severity) for f in found] == [("pod_pulling", "note"), ("pod_pulling", "degraded")]


def test_a_restart_that_is_over_is_told_not_judged() -> None:
    last = {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": iso(600)}}

    def restarted(count: int, ready: bool) -> list[str]:
        status = {
            "name": "c",
            "restartCount": count,
            "ready": ready,
            "lastState": last,
            "state": {"running": {}},
        }
        pod = make_pod("r", [FULL_LIMITS], ready=ready, status={"containerStatuses": [status]})
        found = checks_pods.check(Facts(now=NOW, pods=[pod]), PARAMS)
        return [f.severity for f in found if f.id == "pod_restarted"]

    assert [restarted(1, True), restarted(9, True), restarted(9, False)] == [["note"], ["note"], ["degraded"]]


def test_a_pod_that_died_of_memory_and_runs_again_is_told() -> None:
    def told(reason: str, minutes: float, state: dict[str, Any]) -> list[str]:
        last = {"terminated": {"reason": reason, "exitCode": 137, "finishedAt": iso(60 * minutes)}}
        status = {"name": "c", "restartCount": 2, "ready": True, "lastState": last, "state": state}
        pod = make_pod("m", [FULL_LIMITS], status={"containerStatuses": [status]})
        found = checks_pods.check(Facts(now=NOW, pods=[pod]), PARAMS)
        return [f"{f.severity}: {f.text}" for f in found if f.id == "pod_oom"]

    running: dict[str, Any] = {"running": {}}
    assert told("OOMKilled", 10, running) == [
        "note: s/m: container c was killed for using more memory than its limit of 1Gi 10 min ago, "
        "restarted 2 times, runs again"
    ]
    assert told("Error", 10, running) == told("OOMKilled", 61, running) == []


class Commands:
    """systemctl, k3s and timedatectl, as far as health asks them."""

    def run(self, argv: list[str], **_options: Any) -> Result:
        if "systemctl" in argv:
            return Result(argv, 0, out="ActiveState=active\nSubState=running\nLoadState=loaded\n")
        if "certificate" in argv:
            leaf = {"Filename": "a.crt", "Usages": ["ServerAuth"], "ResidualTime": 10 * 86400 * 10**9}
            authority = {"Filename": "a.crt", "Usages": ["CertSign"], "ResidualTime": 0}
            return Result(argv, 0, out=json.dumps({"Certificates": [leaf, authority]}))
        raise HoldfastError("no such program")


def test_the_host_tells_what_it_can_and_nothing_raises(tmp_path: Path) -> None:
    (tmp_path / "proc/pressure").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n")
    (tmp_path / "proc/pressure/memory").write_text("some avg10=1.50 avg60=0 avg300=0 total=0\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/reboot-required").write_text("")
    state = tmp_path / "var/lib/holdfast/backups"
    state.mkdir(parents=True)
    volume = tmp_path / "vol"
    (volume / "db").mkdir(parents=True)
    (volume / "db/status.json").write_text(json.dumps({"newest_at": 5, "verified_at": 0}))
    databases = [{"database": "db", "directory": "db"}, {"database": "other", "directory": "other"}]
    (state / "s.backup.json").write_text(
        json.dumps({"namespace": "s", "volume": "/vol", "databases": databases})
    )
    (state / "torn.json").write_text("{")
    facts = host_facts.gather(Commands(), {**PARAMS, "registry_url": ""}, str(tmp_path))  # type: ignore[arg-type]
    assert facts.unit["ActiveState"] == "active"
    assert facts.memory == {"total_mb": 2000, "available_mb": 1000} and facts.pressure == 1.5
    assert facts.certificates == [{"file": "a.crt", "days": 10}]
    assert facts.reboot == "the system asks for it" and facts.registry == {}
    by_name = {entry["database"]: entry for entry in facts.backups}
    assert by_name["db"]["newest_at"] == 5 and "error" in by_name["other"] and "error" in by_name["torn"]
    assert facts.disks and facts.clock == {"synchronized": None, "behind": 0}


def test_a_dead_api_is_a_finding_and_waiting_ends(tmp_path: Path) -> None:
    clock = FakeClock()

    def connect() -> Any:
        raise ApiUnreachable("the API does not answer")

    params = {**PARAMS, "registry_url": "", "api_timeout": 1, "wait": 10, "areas": ["k3s", "api"]}
    commands: Any = Commands()
    result = assess.assess(params, connect=connect, commands=commands, clock=clock, root=str(tmp_path))
    assert (result["verdict"], result["healthy"]) == ("down", False)
    assert result["reasons"] == ["the API does not answer"] and result["waited"] >= 10
    assert {f["area"] for f in result["findings"]} <= {"k3s", "api"}


def test_rows_are_compared_once_when_all_else_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[float] = []
    clock, began = FakeClock(), FakeClock().monotonic()

    def gather(*_arguments: Any) -> ClusterFacts:
        late = clock.monotonic() - began >= 6
        return cluster(nodes=[node(Ready="True" if late else "False")])

    def count(_connect: Any, facts: ClusterFacts, _params: dict[str, Any]) -> None:
        compared.append(clock.monotonic() - began)
        facts.backup_rows = [{**MUSIC, "backup": "b", "tables": 7, "fewer": FEWER}]

    monkeypatch.setattr(assess.cluster_facts, "gather", gather)
    monkeypatch.setattr(assess.cluster_facts, "count_backup_rows", count)
    areas = ["node", "database"]
    params = {**PARAMS, "registry_url": "", "api_timeout": 1, "wait": 60, "areas": areas, "backup_rows": True}
    commands: Any = Commands()
    result = assess.assess(params, connect=None, commands=commands, clock=clock, root=str(tmp_path))
    assert result["verdict"] == "down" and len(compared) == 1
    assert 6 <= result["waited"] < 60, "lost rows do not come back: there is nothing to wait for"
    assert not assess.assess(
        {**params, "backup_rows": False}, connect=None, commands=commands, clock=clock, root=str(tmp_path)
    )["reasons"]


def test_rows_are_counted_with_quoted_names() -> None:
    asked: list[list[str]] = []

    class Client:
        def exec(self, namespace: str, pod: str, argv: list[str], **_options: Any) -> Result:
            asked.append(argv)
            return Result(argv, 0, out="60000\n") if len(asked) == 1 else Result(argv, 2, err="no such table")

    wanted = {"namespace": "s", "pod": "p", "container": None, "user": "u", "database": "d", "min_rows": 1}
    client: Any = Client()
    assert count_rows(client, {**wanted, "table": 'public.a"b'})["rows"] == 60000
    assert asked[0][-1] == 'SELECT count(*) FROM "public"."a""b"'
    assert count_rows(client, {**wanted, "table": "t"})["error"] == "no such table"


def test_quantities() -> None:
    assert [to_bytes(text) for text in ("1", "1k", "1Ki", "2Gi", "1.5M")] == [
        1,
        1000,
        1024,
        2 * 2**30,
        1500000,
    ]
    with pytest.raises(HoldfastError, match="size = 'big': is not a quantity"):
        to_bytes("big")

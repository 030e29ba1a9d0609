# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every finding from the facts of the cluster, and how rows are counted."""

from __future__ import annotations

from typing import Any

import pytest
from sample_health import FEWER, MUSIC, PARAMS, cluster, iso, node

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.health import (
    checks_cluster,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.health.cluster_facts import (
    ClusterFacts,
    count_rows,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.health.quantity import to_bytes


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


FULL_VOLUME = {
    "pvcRef": {"namespace": "s", "name": "data"},
    "capacityBytes": 1000,
    "availableBytes": 100,
    "usedBytes": 900,
}
BIG_POD = {"podRef": {"namespace": "s", "name": "big"}, "memory": {"workingSetBytes": 900 * 2**20}}


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
    assert to_bytes("2Pi") == 2 * 2**50 and to_bytes("1Ei") == 2**60
    assert to_bytes("3P") == 3e15 and to_bytes("1E") == 1e18 and to_bytes("1E3") == 1000
    with pytest.raises(HoldfastError, match="size = 'big': is not a quantity"):
        to_bytes("big")

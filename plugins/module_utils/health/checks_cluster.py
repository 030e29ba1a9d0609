# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings from the API: nodes and kubelet statistics, jobs and Flux here, storage and rows in their own files. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import predicates
from ansible_collections.holdfast.k3s.plugins.module_utils.health import checks_database, checks_storage
from ansible_collections.holdfast.k3s.plugins.module_utils.health.cluster_facts import ClusterFacts
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import Finding

PRESSURES = {
    "MemoryPressure": ("memory", "the node is short of memory"),
    "DiskPressure": ("disk", "the node is short of disk space"),
    "PIDPressure": ("node", "the node is short of process ids"),
    "NetworkUnavailable": ("node", "the node's network is not set up"),
}
TOP = 5


def check(facts: ClusterFacts, params: dict[str, Any]) -> list[Finding]:
    """All of them; with the API down only that."""
    if facts.error:
        return [
            Finding(
                "api_down",
                "api",
                "down",
                facts.error,
                "ansible-playbook holdfast.k3s.recover works without it",
            )
        ]
    found = []
    if facts.readyz:
        found.append(
            Finding(
                "api_not_ready",
                "api",
                "down",
                f"the API is not ready: {'; '.join(facts.readyz)}",
                "ansible-playbook holdfast.k3s.recover",
            )
        )
    for node in facts.nodes:
        found += _node(node, facts)
    return [
        *found,
        *checks_storage.check(facts, params),
        *_cronjobs(facts),
        *_flux(facts),
        *checks_database.check(facts),
    ]


def consumers(facts: ClusterFacts) -> list[dict[str, Any]]:
    """The pods that use most memory, largest first."""
    pods: list[dict[str, Any]] = [
        {
            "pod": f"{pod['podRef']['namespace']}/{pod['podRef']['name']}",
            "memory_mb": int((pod.get("memory") or {}).get("workingSetBytes") or 0) // 2**20,
        }
        for stats in facts.stats.values()
        for pod in stats.get("pods") or []
    ]
    return sorted(pods, key=lambda entry: -entry["memory_mb"])[:TOP]


def _node(node: dict[str, Any], facts: ClusterFacts) -> list[Finding]:
    name, found = node["metadata"]["name"], []
    ready, why = predicates.node_ready(node)
    if not ready:
        found.append(
            Finding(
                "node_not_ready",
                "node",
                "down",
                f"node {name}: {why}",
                "ansible-playbook holdfast.k3s.recover",
            )
        )
    if (node.get("spec") or {}).get("unschedulable"):
        found.append(
            Finding(
                "node_cordoned", "node", "degraded", f"node {name} is cordoned", f"kubectl uncordon {name}"
            )
        )
    for kind, (area, text) in PRESSURES.items():
        condition = predicates.condition(node, kind)
        if condition and condition.get("status") == "True":
            plan: tuple[str, ...] = ()
            if area == "memory":
                plan = memory_plan(facts)
            found.append(
                Finding(
                    kind.lower(),
                    area,
                    "degraded",
                    f"{text}: {condition.get('message')}",
                    "see the plan",
                    plan,
                )
            )
    if "error" in facts.stats.get(name, {}):
        found.append(
            Finding(
                "kubelet_silent",
                "node",
                "degraded",
                f"the kubelet of {name} gives no statistics: {facts.stats[name]['error'][:200]}",
                "ansible-playbook holdfast.k3s.recover",
            )
        )
    return found


def memory_plan(facts: ClusterFacts) -> tuple[str, ...]:
    """What to do when memory is short: nothing by hand on live pods, everything through the inventory."""
    top = ", ".join(f"{entry['pod']} {entry['memory_mb']} MB" for entry in consumers(facts))
    return (
        f"largest consumers now: {top or 'not known'}",
        "in the inventory: one replica each, no autoscaling",
        "then lower memory limits of the largest, and deploy",
        "evict nothing by hand: the owner would create it again",
    )


def _cronjobs(facts: ClusterFacts) -> list[Finding]:
    found = []
    jobs = [owner for owner in (facts.look.owners if facts.look else {}).values() if owner["kind"] == "Job"]
    for cronjob in facts.cronjobs:
        where = f"{cronjob['metadata']['namespace']}/{cronjob['metadata']['name']}"
        if (cronjob.get("spec") or {}).get("suspend"):
            found.append(
                Finding(
                    "cronjob_suspended",
                    "jobs",
                    "note",
                    f"CronJob {where} is suspended",
                    "resume it when it should run",
                )
            )
            continue
        own = [
            job
            for job in jobs
            if cronjob["metadata"]["uid"] in {r["uid"] for r in job["metadata"].get("ownerReferences") or []}
        ]
        finished = [job for job in own if predicates.job_done(job)[0] or predicates.job_failed(job)[0]]
        if not finished:
            continue
        newest = max(finished, key=lambda job: str(job["metadata"].get("creationTimestamp") or ""))
        failed, why = predicates.job_failed(newest)
        if failed:
            text = f"the last run of CronJob {where} ({newest['metadata']['name']}) {why}"
            found.append(
                Finding(
                    "cronjob_failed",
                    "jobs",
                    "degraded",
                    text,
                    "read its log, repair the cause, run it once by hand",
                )
            )
    for job in jobs:
        owned = job["metadata"].get("ownerReferences") or []
        failed, why = predicates.job_failed(job)
        if failed and not owned:
            where = f"{job['metadata']['namespace']}/{job['metadata']['name']}"
            found.append(
                Finding(
                    "job_failed",
                    "jobs",
                    "note",
                    f"Job {where} {why}",
                    "read its log; delete it when it is dealt with",
                )
            )
    return found


def _flux(facts: ClusterFacts) -> list[Finding]:
    found = []
    revisions = {
        _flux_key(item): ((item.get("status") or {}).get("artifact") or {}).get("revision")
        for item in facts.flux
    }
    for item in facts.flux:
        spec, status, meta = item.get("spec") or {}, item.get("status") or {}, item["metadata"]
        if spec.get("suspend"):
            continue
        where = f"{item['kind']} {meta.get('namespace')}/{meta['name']}"
        ready, why = predicates.condition_true(item, "Ready")
        applied = status.get("lastAppliedRevision")
        source = spec.get("sourceRef") or {}
        held = revisions.get(
            (source.get("kind"), source.get("namespace") or meta.get("namespace"), source.get("name"))
        )
        if not ready:
            found.append(
                Finding(
                    "flux_not_ready",
                    "gitops",
                    "degraded",
                    f"{where}: {why}",
                    "flux reconcile, after the cause is repaired",
                )
            )
        elif applied and held and applied != held:
            found.append(
                Finding(
                    "flux_behind",
                    "gitops",
                    "note",
                    f"{where} runs {applied}, and Git has {held}",
                    "it is applied within the interval; at once by flux reconcile",
                )
            )
    return found


def _flux_key(item: dict[str, Any]) -> tuple[Any, Any, Any]:
    return item.get("kind"), item["metadata"].get("namespace"), item["metadata"].get("name")

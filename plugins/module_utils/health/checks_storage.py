# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings from claims and the space on their volumes. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import predicates
from ansible_collections.holdfast.k3s.plugins.module_utils.health.cluster_facts import ClusterFacts
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.health.quantity import to_bytes


def check(facts: ClusterFacts, params: dict[str, Any]) -> list[Finding]:
    """Claims that are missing, unbound, smaller than declared, or full."""
    return [*_claims(facts, params), *_volumes(facts, params)]


def volumes(facts: ClusterFacts) -> list[dict[str, Any]]:
    """Use of every mounted claim, by the kubelet's statistics."""
    found = {}
    for stats in facts.stats.values():
        for pod in stats.get("pods") or []:
            for volume in pod.get("volume") or []:
                claim = volume.get("pvcRef")
                if claim and volume.get("capacityBytes"):
                    capacity, free = int(volume["capacityBytes"]), int(volume.get("availableBytes") or 0)
                    found[f"{claim['namespace']}/{claim['name']}"] = {
                        "used_mb": int(volume.get("usedBytes") or 0) // 2**20,
                        "capacity_mb": capacity // 2**20,
                        "percent": round(100 * (1 - free / capacity)),
                    }
    return [{"claim": name, **found[name]} for name in sorted(found)]


def _claims(facts: ClusterFacts, params: dict[str, Any]) -> list[Finding]:
    seen = facts.look.pvcs if facts.look else {}
    found = []
    for (namespace, name), claim in sorted(seen.items()):
        bound, why = predicates.pvc_bound(claim)
        events = (facts.look.events if facts.look else {}).get(str(claim["metadata"].get("uid"))) or []
        waits = bool(events) and events[-1].get("reason") == "WaitForFirstConsumer"
        if not bound:
            severity = "note" if waits else "degraded"
            found.append(
                Finding(
                    "claim_unbound",
                    "storage",
                    severity,
                    f"claim {namespace}/{name} {why}",
                    "see its events: storage class, free space, or no pod that uses it",
                )
            )
    for wanted in params["expected_claims"]:
        claim_seen = seen.get((wanted["namespace"], wanted["name"]))
        where = f"{wanted['namespace']}/{wanted['name']}"
        if claim_seen is None:
            found.append(
                Finding(
                    "claim_missing",
                    "storage",
                    "degraded",
                    f"claim {where} is missing",
                    "deploy it, or restore it",
                )
            )
        elif wanted.get("size"):
            has = str(((claim_seen.get("status") or {}).get("capacity") or {}).get("storage") or "0")
            if to_bytes(has) < to_bytes(wanted["size"]):
                found.append(
                    Finding(
                        "claim_small",
                        "storage",
                        "degraded",
                        f"claim {where} has {has}, declared are {wanted['size']}",
                        "expand it, or correct the inventory",
                    )
                )
    return found


def _volumes(facts: ClusterFacts, params: dict[str, Any]) -> list[Finding]:
    found = []
    for volume in volumes(facts):
        if volume["percent"] >= params["disk_percent"]:
            severity = "down" if volume["percent"] >= params["disk_percent_down"] else "degraded"
            text = f"claim {volume['claim']} is {volume['percent']} % full"
            found.append(
                Finding(
                    "claim_full",
                    "storage",
                    severity,
                    text,
                    "expand the claim, or remove what it does not need",
                    value=volume["percent"],
                )
            )
    return found

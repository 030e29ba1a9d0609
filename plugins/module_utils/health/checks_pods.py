# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings from pods: broken ones with their reason, restarts, slow pulls, missing limits. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.info import (
    blocked_workloads,
    describe,
    is_broken,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import (
    Facts,
    Options,
    Pod,
    name,
    seconds_since,
    statuses,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.why import survived_oom

MAX_NAMED = 20


def check(facts: Facts, params: dict[str, Any]) -> list[Finding]:
    """All of them."""
    return [*_broken(facts, params), *_blocked(facts), *_restarts(facts, params), *_limits(facts, params)]


def without_limits(pods: list[Pod], system: list[str]) -> list[dict[str, str]]:
    """Every container and init container without a CPU or memory limit, outside of the system's namespaces."""
    found = []
    for pod in pods:
        if pod["metadata"].get("namespace") in system or (pod.get("status") or {}).get("phase") in (
            "Succeeded",
            "Failed",
        ):
            continue
        spec = pod.get("spec") or {}
        for container in (spec.get("initContainers") or []) + (spec.get("containers") or []):
            limits = (container.get("resources") or {}).get("limits") or {}
            missing = [resource for resource in ("cpu", "memory") if resource not in limits]
            if missing:
                found.append(
                    {"pod": name(pod), "container": container["name"], "missing": ", ".join(missing)}
                )
    return found


def counts(facts: Facts) -> dict[str, int]:
    """Pods by class or phase: what an operator would count."""
    options = Options()
    counted: Counter[str] = Counter()
    for pod in facts.pods:
        if is_broken(pod, facts, options):
            counted[describe(pod, facts, options)["class"]] += 1
        else:
            counted["succeeded" if (pod.get("status") or {}).get("phase") == "Succeeded" else "ready"] += 1
    return dict(counted)


def _broken(facts: Facts, params: dict[str, Any]) -> list[Finding]:
    options = Options()
    found = []
    broken = [pod for pod in facts.pods if is_broken(pod, facts, options)]
    for pod in broken[:MAX_NAMED]:
        shown = describe(pod, facts, options)
        finding_id, severity = f"pod_{shown['class']}", "degraded"
        if shown["cause"] == "pulling":
            finding_id = "pod_pulling"
            severity = "degraded" if _waiting(pod, facts) >= params["slow_pull"] else "note"
        elif (
            shown["class"] == "not_ready"
            and _age(pod, facts) < params["start_grace"]
            and shown["cause"] in ("not_ready", "init")
        ):
            severity = "note"  # it has only just been created
        elif _finished_job(pod) or (shown["class"] == "not_ready" and shown["cause"] == "terminating"):
            severity = "note"  # the Job's matter; or it is ending and has not overdrawn its time by much
        found.append(Finding(finding_id, "pods", severity, f"{name(pod)}: {shown['why']}", shown["fix"]))
    if len(broken) > MAX_NAMED:
        text = f"and {len(broken) - MAX_NAMED} more broken pods"
        found.append(
            Finding(
                "pods_more", "pods", "degraded", text, "holdfast.k3s.pod_info lists them", value=len(broken)
            )
        )
    return found


def _finished_job(pod: Pod) -> bool:
    """A failed pod of a Job is that Job's matter; the Job itself is judged under jobs."""
    owners = pod["metadata"].get("ownerReferences") or []
    return (pod.get("status") or {}).get("phase") == "Failed" and any(o.get("kind") == "Job" for o in owners)


def _blocked(facts: Facts) -> list[Finding]:
    return [
        Finding(
            f"blocked_{entry['cause']}",
            "pods",
            "degraded",
            f"{entry['kind']} {entry['namespace']}/{entry['name']}: {entry['why']}",
            entry["fix"],
        )
        for entry in blocked_workloads(facts, Options())
    ]


def _restarts(facts: Facts, params: dict[str, Any]) -> list[Finding]:
    found = []
    for pod in facts.pods:
        oom = survived_oom(pod, facts)
        if oom is not None:
            found.append(Finding("pod_oom", "pods", "note", f"{name(pod)}: {oom.text}", oom.fix))
        for _role, status in statuses(pod):
            ended = (status.get("lastState") or {}).get("terminated") or {}
            since = seconds_since(facts.now, ended.get("finishedAt"))
            restarts = int(status.get("restartCount") or 0)
            if since is None or since > 3600 or restarts == 0:
                continue
            many = restarts >= params["restarts_per_hour"]
            text = (
                f"{name(pod)}: container {status['name']} restarted within the hour ({restarts} times in all, "
                f"last: {ended.get('reason')}, exit code {ended.get('exitCode')})"
            )
            # One that is Ready again is told, not judged: after a reboot every container has restarted once.
            severity = "degraded" if many and not status.get("ready") else "note"
            found.append(
                Finding("pod_restarted", "pods", severity, text, "see holdfast.k3s.pod_info", value=restarts)
            )
    return found[:MAX_NAMED]


def _limits(facts: Facts, params: dict[str, Any]) -> list[Finding]:
    missing = without_limits(facts.pods, params["system_namespaces"])
    if not missing:
        return []
    first = missing[0]
    text = f"{len(missing)} containers have no complete limits, first {first['container']} of {first['pod']} ({first['missing']})"
    return [
        Finding(
            "limits_missing",
            "limits",
            "note",
            text,
            "give every container requests and limits in the inventory",
            value=len(missing),
        )
    ]


def _waiting(pod: Pod, facts: Facts) -> float:
    pulling = [
        e for e in facts.events.get(str(pod["metadata"].get("uid")), []) if e.get("reason") == "Pulling"
    ]
    since = seconds_since(facts.now, pulling[-1].get("lastTimestamp")) if pulling else None
    return since if since is not None else _age(pod, facts)


def _age(pod: Pod, facts: Facts) -> float:
    started = (pod.get("status") or {}).get("startTime") or pod["metadata"].get("creationTimestamp")
    return seconds_since(facts.now, started) or 0

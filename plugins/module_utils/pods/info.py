# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pod_info from its options to its result: every broken pod, its class, why, and the smallest safe fix."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import predicates
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import facts as look
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import options, why
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.classify import classify, selected
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import (
    Facts,
    Options,
    Pod,
    controller,
    name,
    statuses,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.reap import shorten

MAX_LOGS = 30
LOG_LINES = 40


def info(params: dict[str, Any], *, client: Client, clock: Optional[Clock] = None) -> dict[str, Any]:
    """Run the module; changes nothing. params: its options."""
    clock = clock or Clock()
    wanted = options.from_params(params)
    facts = gather(client, clock, wanted)
    broken = [pod for pod in facts.pods if selected(pod, facts.now, wanted) and is_broken(pod, facts, wanted)]
    logs = _logs(client, broken) if params["logs"] else {}
    listed = [describe(pod, facts, wanted, logs.get(name(pod))) for pod in broken]
    listed.sort(key=lambda entry: (entry["namespace"], entry["name"]))
    workloads = blocked_workloads(facts, wanted)
    shown = {name(pod) for pod in broken}
    running = [pod for pod in facts.pods if selected(pod, facts.now, wanted) and name(pod) not in shown]
    result = {
        "changed": False,
        "total": sum(selected(pod, facts.now, wanted) for pod in facts.pods),
        "broken": len(listed),
        "counts": dict(Counter(entry["class"] for entry in listed)),
        "causes": dict(Counter(entry["cause"] for entry in listed)),
        "pods": listed,
        "workloads": workloads,
        "survived": [entry for pod in running for entry in survived(pod, facts)],
    }
    return shorten(result, params["list_limit"])


def gather(client: Client, clock: Clock, wanted: Options) -> Facts:
    """Everything that explaining needs: one list per kind."""
    facts = Facts(now=clock.now(), pods=list(look.pods(client, wanted)))
    nodes = client.list("/api/v1/nodes", limit=look.PAGE)
    facts.nodes = {node["metadata"]["name"]: predicates.node_ready(node)[0] for node in nodes}
    facts.events = look.events(client, wanted.namespaces)
    facts.owners = look.owners(client, wanted.namespaces)
    facts.pvcs = look.claims(client, wanted.namespaces)
    return facts


def is_broken(pod: Pod, facts: Facts, wanted: Options) -> bool:
    """Neither Ready nor finished with success, or in a class that waits to be reaped."""
    finding = classify(pod, facts.now, wanted)
    if finding is not None:
        return finding.kind != "completed"
    return not predicates.pod_settled(pod)[0]


def survived(pod: Pod, facts: Facts) -> list[dict[str, Any]]:
    """What a pod that runs again should still be told for: nothing, or that its memory did not suffice."""
    reason = why.survived_oom(pod, facts)
    if reason is None:
        return []
    namespace, pod_name = pod["metadata"].get("namespace"), pod["metadata"]["name"]
    return [
        {
            "namespace": namespace,
            "name": pod_name,
            "cause": reason.cause,
            "why": reason.text,
            "fix": reason.fix,
        }
    ]


def describe(pod: Pod, facts: Facts, wanted: Options, log: Optional[str] = None) -> dict[str, Any]:
    """One broken pod as a result shows it."""
    finding = classify(pod, facts.now, wanted)
    reason = why.explain(pod, facts, log)
    owner = controller(pod)
    return {
        "namespace": pod["metadata"].get("namespace"),
        "name": pod["metadata"]["name"],
        "class": finding.kind if finding else "not_ready",
        "phase": (pod.get("status") or {}).get("phase"),
        "restarts": sum(int(s.get("restartCount") or 0) for _role, s in statuses(pod)),
        "owner": f"{owner['kind']}/{owner['name']}" if owner else None,
        "cause": reason.cause,
        "why": redact_text(reason.text),
        "fix": reason.fix,
    }


def blocked_workloads(facts: Facts, wanted: Options) -> list[dict[str, Any]]:
    """Controllers with fewer pods than they want because the API refuses to create them (quota, webhook, admission)."""
    found = []
    for owner_uid, owner in facts.owners.items():
        namespace = owner["metadata"].get("namespace")
        if namespace in wanted.excluded or _has_all(owner):
            continue
        blocked = why.creation_failure(facts.events.get(owner_uid) or [])
        if blocked is not None:
            found.append(
                {
                    "kind": owner["kind"],
                    "namespace": namespace,
                    "name": owner["metadata"]["name"],
                    "cause": blocked.cause,
                    "why": redact_text(blocked.text),
                    "fix": blocked.fix,
                }
            )
    return sorted(found, key=lambda entry: (str(entry["namespace"]), entry["name"]))


def _has_all(owner: dict[str, Any]) -> bool:
    status, spec = owner.get("status") or {}, owner.get("spec") or {}
    if owner["kind"] == "DaemonSet":
        return int(status.get("currentNumberScheduled") or 0) >= int(
            status.get("desiredNumberScheduled") or 0
        )
    if owner["kind"] == "Job":
        return bool(status.get("completionTime") or status.get("active") or spec.get("suspend"))
    return int(status.get("replicas") or 0) >= int(1 if spec.get("replicas") is None else spec["replicas"])


def _logs(client: Client, broken: list[Pod]) -> dict[str, str]:
    """The last lines of containers that ended badly, previous run first where there is one."""
    asked = []
    for pod in broken:
        for _role, status in statuses(pod):
            ended = (status.get("state") or {}).get("terminated") or {}
            if status.get("restartCount") or ended.get("exitCode"):
                asked.append((pod, str(status["name"]), not ended))
                break

    def fetch(item: tuple[Pod, str, bool]) -> tuple[str, str]:
        pod, container, previous = item
        try:
            text = client.logs(
                pod["metadata"]["namespace"],
                pod["metadata"]["name"],
                container=container,
                previous=previous,
                tail_lines=LOG_LINES,
            )
        except HoldfastError:
            text = ""
        return name(pod), text

    with ThreadPoolExecutor(8) as pool:
        return dict(pool.map(fetch, asked[:MAX_LOGS]))

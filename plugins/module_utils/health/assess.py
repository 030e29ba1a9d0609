# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""host_health from its options to its result."""

from __future__ import annotations

from typing import Any, Callable, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text
from ansible_collections.holdfast.k3s.plugins.module_utils.health import (
    checks_cluster,
    checks_host,
    checks_pods,
    checks_storage,
    cluster_facts,
    host_facts,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import (
    SEVERITIES,
    Finding,
    HostFacts,
    verdict,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.facts import event_time

NEWEST_EVENTS = 20
INTERVAL = 3.0


def assess(
    params: dict[str, Any],
    *,
    connect: Callable[[], Any],
    commands: Optional[Commands] = None,
    clock: Optional[Clock] = None,
    root: str = "/",
) -> dict[str, Any]:
    """Look at everything and judge it. connect: makes a client; it may fail, which is a finding.

    With `wait` it looks again until the verdict is healthy or so many seconds have passed.
    """
    clock, commands = clock or Clock(), commands or Commands()
    deadline = Deadline(clock, params["wait"])
    while True:
        # Every table of a database is counted once, when all else is well or the patience is over.
        result = _look(params, connect, commands, clock, root, rows=deadline.expired())
        if result["healthy"] and params["backup_rows"] and not deadline.expired():
            result = _look(params, connect, commands, clock, root, rows=True)
        result["waited"] = round(deadline.elapsed(), 1)
        lost = any(
            finding["id"] == "rows_lost" for finding in result["findings"]
        )  # they never come back alone
        if result["healthy"] or lost or deadline.expired():
            return result
        deadline.sleep(INTERVAL)


def _look(
    params: dict[str, Any],
    connect: Callable[[], Any],
    commands: Commands,
    clock: Clock,
    root: str,
    rows: bool,
) -> dict[str, Any]:
    host = host_facts.gather(commands, params, root)
    cluster = cluster_facts.gather(
        connect, clock, tuple(params["namespaces"]), params["api_timeout"], params["row_checks"]
    )
    if rows and params["backup_rows"]:
        cluster_facts.count_backup_rows(connect, cluster, params)
    findings = [*checks_host.check(host, params, clock.now()), *checks_cluster.check(cluster, params)]
    if cluster.look is not None:
        findings += checks_pods.check(cluster.look, params)
    if any(f.area == "memory" and f.severity != "note" and not f.plan for f in findings):
        findings.append(_consumers(cluster))
    findings = [finding for finding in findings if finding.area in params["areas"]]
    findings.sort(key=lambda finding: -SEVERITIES.index(finding.severity))
    judged = verdict(findings)
    return {
        "changed": False,
        "verdict": judged,
        "healthy": judged == "healthy",
        "reasons": [redact_text(f.text) for f in findings if f.severity != "note"],
        "findings": [{**f.as_dict(), "text": redact_text(f.text)} for f in findings],
        "facts": _facts(host, cluster, params),
    }


def _consumers(cluster: cluster_facts.ClusterFacts) -> Finding:
    text = "what to do about memory"
    return Finding("memory_plan", "memory", "note", text, "see the plan", checks_cluster.memory_plan(cluster))


def _facts(host: HostFacts, cluster: cluster_facts.ClusterFacts, params: dict[str, Any]) -> dict[str, Any]:
    """The numbers behind the verdict."""
    shown: dict[str, Any] = {
        "service": host.unit,
        "disks": host.disks,
        "memory": host.memory,
        "certificates": min((c["days"] for c in host.certificates or []), default=None),
        "datastore": host.datastore,
        "clock": host.clock,
        "registry": host.registry,
        "backups": host.backups,
        "nodes": [node["metadata"]["name"] for node in cluster.nodes],
        "claims": checks_storage.volumes(cluster),
        "consumers": checks_cluster.consumers(cluster),
        "rows": cluster.rows,
        "backup_rows": cluster.backup_rows,
        "budgets": [_budget(item) for item in cluster.budgets],
    }
    if cluster.look is not None:
        shown["pods"] = checks_pods.counts(cluster.look)
        shown["without_limits"] = checks_pods.without_limits(cluster.look.pods, params["system_namespaces"])
        events = [event for listed in cluster.look.events.values() for event in listed]
        events.sort(key=event_time, reverse=True)
        shown["events"] = [_event(event) for event in events[:NEWEST_EVENTS]]
    return shown


def _budget(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "namespace": item["metadata"].get("namespace"),
        "name": item["metadata"]["name"],
        "min_available": (item.get("spec") or {}).get("minAvailable"),
        "allowed": (item.get("status") or {}).get("disruptionsAllowed"),
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    about = event.get("involvedObject") or {}
    return {
        "at": event_time(event),
        "type": event.get("type"),
        "about": f"{about.get('kind')} {about.get('namespace')}/{about.get('name')}",
        "reason": event.get("reason"),
        "message": redact_text(str(event.get("message") or "")[:300]),
    }

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When k3s counts as ready, as crashing or as hanging. Pure predicates over what systemd and the API say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Deployments in kube-system that k3s packages, by the name that its `disable` list knows.
PACKAGED = {
    "coredns": "coredns",
    "local-storage": "local-path-provisioner",
    "metrics-server": "metrics-server",
    "traefik": "traefik",
}
# Without these two no other pod can work; metrics-server alone takes half a minute to call itself ready.
ESSENTIAL = ("coredns", "local-storage")
SLOW_SECONDS = 60.0
CRASHES = 3


@dataclass(frozen=True)
class Unit:
    """The parts of `systemctl show` that matter. restarts: NRestarts, which only automatic restarts raise."""

    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    restarts: int = 0
    pid: int = 0
    reload: bool = False
    loaded: bool = False
    result: str = ""


PROPERTIES = (
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NRestarts",
    "MainPID",
    "NeedDaemonReload",
    "LoadState",
    "Result",
)


def parse_unit(text: str) -> Unit:
    """`systemctl show` output as a Unit."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return Unit(
        active=found.get("ActiveState", "inactive"),
        sub=found.get("SubState", "dead"),
        enabled=found.get("UnitFileState", ""),
        restarts=int(found.get("NRestarts") or 0),
        pid=int(found.get("MainPID") or 0),
        reload=found.get("NeedDaemonReload") == "yes",
        loaded=found.get("LoadState") == "loaded",
        result=found.get("Result", ""),
    )


def crashing(unit: Unit, restarts_before: int) -> bool:
    """Whether the unit died often enough since it was started to call it a crash loop."""
    return unit.active == "failed" or unit.restarts - restarts_before >= CRASHES


def last_error(lines: Sequence[str]) -> str:
    """The line of a journal that says why k3s went down: the last fatal one, else shutdown request, else error."""
    for pattern in (
        r"level=fatal",
        r"Shutdown request received",
        r"level=error",
        r"[Ff]ailed|[Ee]rror|panic",
    ):
        for line in reversed(lines):
            if re.search(pattern, line):
                found = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
                return found.group(1).replace('\\"', '"') if found else line.strip()
    return lines[-1].strip() if lines else "the journal has no line about it"


def node_problem(nodes: Iterable[Mapping[str, Any]], name: str) -> str:
    """Why the node is not Ready; empty when it is."""
    for node in nodes:
        if node["metadata"]["name"] == name:
            for condition in node.get("status", {}).get("conditions") or []:
                if condition["type"] == "Ready":
                    if condition["status"] == "True":
                        return ""
                    return f"node {name} is not Ready: {condition.get('message') or condition.get('reason')}"
            return f"node {name} has reported no condition yet"
    return f"node {name} has not registered yet"


def packaged_problem(
    deployments: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]], disabled: Collection[str]
) -> str:
    """Why a packaged component does not serve; empty when all do."""
    found = {deployment["metadata"]["name"]: deployment for deployment in deployments}
    for component, name in PACKAGED.items():
        if component in disabled:
            continue
        deployment = found.get(name)
        if deployment is None:
            return f"{name} has not been created yet"
        status = deployment.get("status", {})
        current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        if not (current and status.get("availableReplicas", 0) >= deployment["spec"].get("replicas", 1)):
            return f"{name} is not available" + _pod_reason(pods, name)
    return ""


def _pod_reason(pods: Iterable[Mapping[str, Any]], prefix: str) -> str:
    for pod in pods:
        if not pod["metadata"]["name"].startswith(f"{prefix}-"):
            continue
        status = pod.get("status", {})
        for container in status.get("containerStatuses") or []:
            waiting = (container.get("state") or {}).get("waiting")
            if waiting:
                return f": {waiting.get('reason', '')} {waiting.get('message', '')}".rstrip()
        for condition in status.get("conditions") or []:
            if condition.get("status") == "False" and condition.get("message"):
                return f": {condition['message']}"
    return ""

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host in a dozen lines, for a person who has just set it up. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional


def node_line(nodes: Sequence[Mapping[str, Any]]) -> str:
    """Names, readiness and version of the nodes."""
    parts = []
    for node in nodes:
        conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions") or []}
        state = "Ready" if conditions.get("Ready") == "True" else "NOT READY"
        version = node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")
        parts.append(f"{node['metadata']['name']} {state} {version}".strip())
    return f"node: {', '.join(parts) or 'none'}"


def pod_lines(pods: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ready pods by namespace, then those that are not."""
    counts: dict[str, list[int]] = {}
    bad: list[str] = []
    for pod in pods:
        status = pod.get("status", {})
        namespace = pod["metadata"]["namespace"]
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
        if status.get("phase") == "Succeeded":
            continue
        count = counts.setdefault(namespace, [0, 0])
        count[0] += ready
        count[1] += 1
        if not ready:
            bad.append(f"  not ready: {namespace}/{pod['metadata']['name']} ({status.get('phase', '?')})")
    totals = ", ".join(f"{name} {ready}/{total}" for name, (ready, total) in sorted(counts.items()))
    return [f"pods ready: {totals or 'none'}", *bad]


def claim_line(claims: Sequence[Mapping[str, Any]]) -> str:
    """Volume claims with size and state."""
    parts = [
        f"{claim['metadata']['name']} {claim['spec']['resources']['requests'].get('storage', '')}"
        + ("" if claim.get("status", {}).get("phase") == "Bound" else " NOT BOUND")
        for claim in claims
    ]
    return f"volumes: {', '.join(sorted(parts)) or 'none'}"


def service_url(service: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    """Where a service answers: through a node's address when it has a node port, else inside the cluster only."""
    port = service["spec"]["ports"][0]
    addresses = [
        address["address"]
        for node in nodes
        for kind in ("ExternalIP", "InternalIP")
        for address in node.get("status", {}).get("addresses") or []
        if address["type"] == kind
    ]
    if port.get("nodePort") and addresses:
        return f"http://{_bracketed(addresses[0])}:{port['nodePort']}"
    return f"http://{_bracketed(service['spec']['clusterIP'])}:{port['port']}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def registry_line(url: str, repositories: Optional[Sequence[str]]) -> str:
    """What the registry offers, or that it does not answer."""
    if repositories is None:
        return f"registry: {url} DOES NOT ANSWER"
    return f"registry: {url} with {', '.join(repositories) or 'no images'}"


def backup_line(backups: Sequence[Mapping[str, Any]]) -> str:
    """The newest backup of each database."""
    parts = [
        f"{b.get('database')} {b.get('name')}, {b.get('rows')} rows, "
        + ("proved by a trial restore" if b.get("verified_at") else "not proved yet")
        for b in backups
    ]
    return f"newest backup: {'; '.join(parts) or 'none'}"


def next_lines(namespace: str, backups: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to try now."""
    lines = ["try next:", "  the same command again: nothing changes, and k3s keeps its process"]
    if namespace:
        lines.append(f"  k3s kubectl -n {namespace} get pods     (on the host)")
    lines.append("  ansible-playbook … holdfast.k3s.recover --check     what would be repaired, and why")
    if backups:
        lines.append(
            "  ansible-playbook … holdfast.k3s.restore --check     how the newest backup would come back"
        )
    return lines

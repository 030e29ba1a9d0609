# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look once: one list per kind, paged, and one question to the container runtime only when the plan needs it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.predicates import node_ready
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import plan
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts, Options, Pod

PAGE = 1000
K3S = "/usr/local/bin/k3s"  # absolute: the secure path of some sudo configurations lacks /usr/local/bin
OWNER_KINDS = (
    ("apps/v1", "replicasets", "ReplicaSet"),
    ("apps/v1", "statefulsets", "StatefulSet"),
    ("apps/v1", "daemonsets", "DaemonSet"),
    ("batch/v1", "jobs", "Job"),
)


def observe(client: Client, commands: Commands, clock: Clock, options: Options, hostname: str) -> Facts:
    """Pods and nodes, and the runtime's word on guarded pods. hostname: of this machine, to tell which node it is."""
    facts = Facts(now=clock.now(), pods=list(pods(client, options)))
    nodes = list(client.list("/api/v1/nodes", limit=PAGE))
    facts.nodes = {node["metadata"]["name"]: node_ready(node)[0] for node in nodes}
    facts.local_nodes = local_nodes(nodes, hostname)
    if plan.needs_cri(facts, options):
        facts.cri, facts.cri_error = containers(commands)
    return facts


def pods(client: Client, options: Options) -> Iterable[Pod]:
    """Every pod that the filters by namespace and label let through."""
    for path in collection_paths("/api/v1", "pods", options.namespaces):
        yield from client.list(path, label_selector=options.label_selector, limit=PAGE)


def collection_paths(base: str, plural: str, namespaces: tuple[str, ...]) -> list[str]:
    """One path for all namespaces, or one each when there are only a few."""
    if not namespaces or len(namespaces) > 8:
        return [f"{base}/{plural}"]
    return [f"{base}/namespaces/{namespace}/{plural}" for namespace in namespaces]


def local_nodes(nodes: list[dict[str, Any]], hostname: str) -> frozenset[str]:
    """Names of the nodes that are this machine: the only node there is, or the one of this hostname."""
    names = [node["metadata"]["name"] for node in nodes]
    if len(names) == 1:
        return frozenset(names)
    labels = {
        n["metadata"]["name"]: (n["metadata"].get("labels") or {}).get("kubernetes.io/hostname")
        for n in nodes
    }
    return frozenset(name for name in names if hostname in (name, labels[name]))


def containers(
    commands: Commands, uid: Optional[str] = None
) -> tuple[Optional[dict[str, bool]], Optional[str]]:
    """UID of a pod → whether a container of it lives, or None and why the runtime could not say.

    uid: ask for one pod only. An answer that cannot be read is no answer: absence of proof is not proof of absence.
    """
    argv = [K3S, "crictl", "--timeout", "10s", "ps", "-a", "-o", "json"]
    if uid:
        argv += ["--label", f"io.kubernetes.pod.uid={uid}"]
    try:
        listed = json.loads(commands.run(argv, timeout=20).out)["containers"] or []
    except (HoldfastError, ValueError, KeyError, TypeError) as failure:
        return None, str(failure) or type(failure).__name__
    found: dict[str, bool] = defaultdict(bool)
    for container in listed:
        owner = str((container.get("labels") or {}).get("io.kubernetes.pod.uid") or "")
        found[owner] |= container.get("state") not in ("CONTAINER_EXITED",)
    return dict(found), None


def events(client: Client, namespaces: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Events by the UID of what they are about, oldest first. An API that refuses them costs only detail."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    try:
        for path in collection_paths("/api/v1", "events", namespaces):
            for event in client.list(path, limit=PAGE):
                found[str((event.get("involvedObject") or {}).get("uid") or "")].append(event)
    except ApiError:
        return dict(found)
    for listed in found.values():
        listed.sort(key=event_time)
    return dict(found)


def event_time(event: dict[str, Any]) -> str:
    """When it last happened, as the text that sorts like a time."""
    series = event.get("series") or {}
    return str(
        event.get("lastTimestamp")
        or series.get("lastObservedTime")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def owners(
    client: Client, namespaces: tuple[str, ...], kinds: Optional[Iterable[str]] = None
) -> dict[str, dict[str, Any]]:
    """Controllers by UID."""
    found: dict[str, dict[str, Any]] = {}
    for api_version, plural, kind in OWNER_KINDS:
        if kinds is not None and kind not in kinds:
            continue
        for path in collection_paths(f"/apis/{api_version}", plural, namespaces):
            for item in client.list(path, limit=PAGE):
                found[item["metadata"]["uid"]] = item
    return found


def claims(client: Client, namespaces: tuple[str, ...]) -> dict[tuple[str, str], dict[str, Any]]:
    """Persistent volume claims by namespace and name."""
    found = {}
    for path in collection_paths("/api/v1", "persistentvolumeclaims", namespaces):
        for item in client.list(path, limit=PAGE):
            found[item["metadata"]["namespace"], item["metadata"]["name"]] = item
    return found

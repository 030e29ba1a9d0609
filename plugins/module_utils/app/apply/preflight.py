# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to be there before anything is applied: facts of the cluster, then pure rules over them."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.quantity import human_bytes, parse
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError

CONNECT_SECONDS = 5
# Whether it is installed; under load it may not answer for a while, and the autoscaler just waits.
_METRICS = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
_FLOOR = (1, 28)
_STORES = "external-secrets.io/v1"


@dataclass
class Cluster:
    """Facts that the rules need; what nobody asked for stays empty."""

    version: tuple[int, int] = (0, 0)
    ingress_classes: list[str] = field(default_factory=list)
    storage_classes: list[str] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    unknown_kinds: list[str] = field(default_factory=list)
    stores: dict[str, str] = field(default_factory=dict)
    endpoints: dict[str, Optional[str]] = field(default_factory=dict)
    metrics: bool = True
    cpu: Optional[Decimal] = None
    memory: Optional[Decimal] = None


def gather(client: Client, namespace: str, expects: Mapping[str, Any]) -> Cluster:
    """Read what the expectations are about, all at once."""
    cluster = Cluster()
    version = client.request("GET", "/version")
    cluster.version = (
        int(version.get("major") or 0),
        int(re.sub(r"\D.*", "", version.get("minor") or "0") or 0),
    )
    jobs = {
        "ingress_classes": lambda: (
            _names(client, "networking.k8s.io/v1", "IngressClass") if expects.get("ingress_class") else []
        ),
        "storage_classes": lambda: (
            _names(client, "storage.k8s.io/v1", "StorageClass") if expects.get("storage_classes") else []
        ),
        "claims": lambda: claims(client, namespace) if expects.get("claims") else [],
        "secrets": lambda: _secrets(client, namespace, expects.get("secrets") or {}),
        "unknown_kinds": lambda: [
            f"{k} of {v}" for v, k in expects.get("kinds", []) if not client.serves(v, k)
        ],
        "stores": lambda: {f"{k}/{n}": _store(client, namespace, k, n) for k, n in expects.get("stores", [])},
        "endpoints": lambda: {e: _connect(e) for e in expects.get("endpoints", [])},
        "metrics": lambda: not expects.get("metrics") or client.get(_METRICS) is not None,
    }
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        for name, value in zip(jobs, pool.map(lambda job: job(), jobs.values())):
            setattr(cluster, name, value)
    if expects.get("needs"):
        for node in client.list("/api/v1/nodes"):
            offered = (node.get("status") or {}).get("allocatable") or {}
            cluster.cpu = (cluster.cpu or Decimal(0)) + (parse(offered.get("cpu")) or 0)
            cluster.memory = (cluster.memory or Decimal(0)) + (parse(offered.get("memory")) or 0)
    return cluster


def claims(client: Client, namespace: str) -> list[str]:
    """The names of the namespace's volume claims."""
    return _names(client, "v1", "PersistentVolumeClaim", namespace)


def _names(client: Client, version: str, kind: str, namespace: Optional[str] = None) -> list[str]:
    try:
        return [obj["metadata"]["name"] for obj in client.list(client.path_for(version, kind, namespace))]
    except ApiError as error:
        if error.status == 404:
            return []
        raise


def _secrets(client: Client, namespace: str, wanted: Mapping[str, Any]) -> dict[str, list[str]]:
    """Name to its non-empty keys; never a value."""
    found = {}
    for name in wanted:
        secret = client.get(client.path_for("v1", "Secret", namespace, name))
        if secret is not None:
            found[name] = sorted(key for key, value in (secret.get("data") or {}).items() if value)
    return found


def _store(client: Client, namespace: str, kind: str, name: str) -> str:
    """What is wrong with a store of External Secrets; empty when it is ready."""
    if not client.serves(_STORES, kind):
        return ""  # said once, as an unknown kind
    scope = namespace if kind == "SecretStore" else None
    store = client.get(client.path_for(_STORES, kind, scope, name))
    if store is None:
        return "It is not there."
    for condition in (store.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Ready":
            return (
                "" if condition.get("status") == "True" else f"It is not ready: {condition.get('message')}."
            )
    return "Its controller has not looked at it yet."


def _connect(endpoint: str) -> Optional[str]:
    """None when host:port takes a connection, else why not."""
    host, _colon, port = endpoint.rpartition(":")
    try:
        with contextlib.closing(socket.create_connection((host, int(port)), CONNECT_SECONDS)):
            return None
    except OSError as failure:
        return str(failure)


def findings(cluster: Cluster, expects: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything that is missing, at once."""
    floor = expects.get("kubernetes_min") or ".".join(map(str, _FLOOR))
    least = tuple(int(part) for part in floor.split("."))
    if cluster.version < least:
        shown = ".".join(map(str, cluster.version))
        yield Finding(
            "cluster.version",
            "kubernetes_min",
            f"The cluster is {shown}.",
            f"upgrade to {floor} or newer",
            floor,
            source="CF-29",
        )
    wanted = expects.get("ingress_class")
    if wanted and wanted not in cluster.ingress_classes:
        have = ", ".join(cluster.ingress_classes) or "none"
        yield Finding(
            "cluster.ingress_class", "ingress.class", f"There is no such ingress class (there are: {have}).",
            "install the controller first, or use a class that is there", wanted, source="ST-09",
        )  # fmt: skip
    for name in expects.get("storage_classes", []):
        have = ", ".join(cluster.storage_classes) or "none"
        if (name and name not in cluster.storage_classes) or not cluster.storage_classes:
            yield Finding(
                "cluster.storage_class", "storage_class", f"There is no such storage class (there are: {have}).",
                "install its provisioner first, or use a class that is there", name or "(default)", source="SC-27",
            )  # fmt: skip
    for name in expects.get("claims", []):
        if name not in cluster.claims:
            yield Finding(
                "cluster.claim",
                "existing_claim",
                "The claim is not there.",
                "make it first, or give a size",
                name,
                source="SS-19",
            )
    for name, keys in (expects.get("secrets") or {}).items():
        missing = sorted(set(keys) - set(cluster.secrets.get(name, [])))
        extra = sorted(set(cluster.secrets.get(name, [])) - set(keys))
        if name not in cluster.secrets:
            yield Finding(
                "cluster.secret",
                f"secrets.{name}",
                "The Secret is not there.",
                "make it first, or use provider: static",
                name,
                source="ST-27",
            )
        elif missing:
            yield Finding(
                "cluster.secret", f"secrets.{name}", f"These keys are missing or empty: {', '.join(missing)}.", "add them", name, source="ST-55",
            )  # fmt: skip
        if extra and name in (expects.get("exact_secrets") or []):
            yield Finding(
                "cluster.secret", f"secrets.{name}", f"These keys are too many: {', '.join(extra)}.", "remove them, or exact: false", name, source="ST-55",
            )  # fmt: skip
    for store, wrong in cluster.stores.items():
        if wrong:
            yield Finding(
                "cluster.secret_store", "secrets.*.store", wrong, "make or mend the store first, or use provider: static", store, source="ST-25",
            )  # fmt: skip
    for kind in cluster.unknown_kinds:
        yield Finding(
            "cluster.crd", "(cluster)", "The cluster does not know this kind of object.",
            "install the controller that brings it, or use provider: static where it is about secrets", kind, source="ST-11",
        )  # fmt: skip
    for endpoint, why in cluster.endpoints.items():
        if why is not None:
            yield Finding(
                "cluster.endpoint", "data_services", f"It does not answer from this node: {why}.",
                "check host, port and firewall; or check: false", endpoint, source="ST-12",
            )  # fmt: skip
    if not cluster.metrics:
        yield Finding(
            "cluster.metrics",
            "autoscaling",
            "Autoscaling needs the metrics API, and it is not there.",
            "enable metrics-server",
            source="CF-04",
        )
    yield from _capacity(cluster, expects.get("needs") or {})


def _capacity(cluster: Cluster, needs: Mapping[str, Any]) -> Iterator[Finding]:
    for kind, offered in (("cpu", cluster.cpu), ("memory", cluster.memory)):
        wanted = Decimal(str(needs.get(kind, 0))) + Decimal(str(needs.get(f"surge_{kind}", 0)))
        if offered is not None and wanted > offered:
            shown = (
                (f"{wanted:f}", f"{offered:f}")
                if kind == "cpu"
                else (human_bytes(wanted), human_bytes(offered))
            )
            yield Finding(
                "cluster.capacity", f"resources.requests.{kind}", f"The release asks for {shown[0]} and the nodes offer {shown[1]}.",
                "lower requests or replicas, or use a larger node", shown[0], source="SC-36",
            )  # fmt: skip

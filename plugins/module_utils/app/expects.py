# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an application expects of its cluster, as plain data for the check on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.render import Rendered
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.capacity import needs

_BUILT_IN = ("", "apps", "batch", "policy", "autoscaling", "networking.k8s.io", "rbac.authorization.k8s.io")


def expectations(app: Mapping[str, Any], rendered: Rendered) -> dict[str, Any]:
    """kubernetes_min, ingress_class, storage_classes, claims, secrets, exact_secrets, stores, kinds, endpoints, metrics, needs."""
    kinds = {(manifest["apiVersion"], manifest["kind"]) for manifest in rendered.manifests}
    foreign = sorted(pair for pair in kinds if pair[0].rpartition("/")[0] not in _BUILT_IN)
    external = [
        s
        for s in app["data_services"].values()
        if s["mode"] == "external" and s.get("check", True) and s.get("host")
    ]
    found = {
        "kubernetes_min": app.get("kubernetes_min"),
        "ingress_class": app["ingress"].get("class") if app["ingress"]["enabled"] else None,
        "storage_classes": _classes(rendered),
        "claims": _existing_claims(app),
        "secrets": {name: s["keys"] for name, s in app["secrets"].items() if s["provider"] == "existing"},
        "exact_secrets": [
            name for name, s in app["secrets"].items() if s["provider"] == "existing" and s.get("exact")
        ],
        "kinds": [list(pair) for pair in foreign],
        "stores": _stores(app),
        "endpoints": [f"{service['host']}:{service['port']}" for service in external],
        "metrics": any(service["autoscaling"] for service in app["services"].values()),
        "needs": {key: str(value) for key, value in needs(app).items()},
    }
    return {key: value for key, value in found.items() if value}


def _classes(rendered: Rendered) -> list[str]:
    """Storage classes of every claim; an empty name stands for the default class."""
    found = set()
    for manifest in rendered.manifests:
        claims = [manifest] if manifest["kind"] == "PersistentVolumeClaim" else []
        if manifest["kind"] == "StatefulSet":
            claims += manifest["spec"].get("volumeClaimTemplates", [])
        for claim in claims:
            if not claim["spec"].get("volumeName"):
                found.add(claim["spec"].get("storageClassName", ""))
    return sorted(found)


def _stores(app: Mapping[str, Any]) -> list[list[str]]:
    """Kind and name of every store that Secrets come from."""
    given = [
        {"kind": "ClusterSecretStore", **(secret.get("store") or {})}
        for secret in app["secrets"].values()
        if secret["provider"] == "external"
    ]
    return [
        list(pair)
        for pair in sorted({(store["kind"], store["name"]) for store in given if store.get("name")})
    ]


def _existing_claims(app: Mapping[str, Any]) -> list[str]:
    found = {claim["existing"] for claim in app["claims"].values() if claim.get("existing")}
    for section in ("services", "jobs", "cronjobs"):
        for owner in app[section].values():
            found |= {v["existing_claim"] for v in owner["volumes"].values() if v.get("existing_claim")}
    for owner in app["data_services"].values():
        if owner["mode"] == "in_cluster":
            given = [owner["storage"], *owner["volumes"].values()]
            found |= {entry["existing_claim"] for entry in given if entry.get("existing_claim")}
    return sorted(found)

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rendered release as a directory that kustomize and Flux understand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.render import Rendered, Step

SECRET_FIELDS = ("data", "stringData")
PLACEHOLDER = "<set by the operator>"
_GROUP_OF_KIND = {
    "Namespace": "namespace",
    "ServiceAccount": "namespace",
    "Role": "namespace",
    "RoleBinding": "namespace",
    "ConfigMap": "configmap",
    "Secret": "secrets",
    "ExternalSecret": "secrets",
    "SecretProviderClass": "secrets",
    "HorizontalPodAutoscaler": "hpa",
    "NetworkPolicy": "networkpolicy",
    "Ingress": "ingress",
    "Middleware": "ingress",
    "ClusterIssuer": "ingress",
    "Issuer": "ingress",
}
_ORDER = ("namespace", "configmap", "secrets", "storage", "networkpolicy")


def kustomize(app: Mapping[str, Any], rendered: Rendered) -> dict[str, str]:
    """File name to content: one file per group of objects or per service, and kustomization.yaml.

    Secrets are a template: every key is there, no value is.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for step in rendered.steps:
        groups.setdefault(_group(app, step), []).append(_template(step.manifest, app))
    first = [name for name in _ORDER if name in groups]
    last = [name for name in ("ingress", "hpa") if name in groups]
    middle = [name for name in groups if name not in (*first, *last)]
    found = {f"{name}.yaml": _dump(groups[name]) for name in (*first, *middle, *last)}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(found),
    }
    return {"kustomization.yaml": _dump([kustomization]), **found}


def _group(app: Mapping[str, Any], step: Step) -> str:
    kind = step.manifest["kind"]
    if kind in _GROUP_OF_KIND:
        return _GROUP_OF_KIND[kind]
    labels = step.manifest["metadata"].get("labels", {})
    name = labels.get("app", "")
    if (
        name in app["services"]
        or name in app["data_services"]
        or name in app["jobs"]
        or name in app["cronjobs"]
    ):
        return str(name)
    return "storage" if step.phase == "storage" else step.phase


def _template(manifest: dict[str, Any], app: Mapping[str, Any]) -> dict[str, Any]:
    if manifest["kind"] != "Secret":
        return manifest
    keys = set(app["secrets"].get(manifest["metadata"]["name"], {"keys": []})["keys"])
    kept = {field: value for field, value in manifest.items() if field not in SECRET_FIELDS}
    for field in SECRET_FIELDS:
        keys.update(manifest.get(field) or {})
    return {**kept, "stringData": dict.fromkeys(sorted(keys), PLACEHOLDER)}


def _dump(documents: list[dict[str, Any]]) -> str:
    import yaml  # late: only who writes files needs it

    return "---\n" + "---\n".join(
        yaml.safe_dump(document, sort_keys=True, default_flow_style=False, width=120)
        for document in documents
    )

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Namespace, account, ConfigMaps and Secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.workload import meta

Obj = dict[str, Any]
NOTE_ANNOTATION = "holdfast.dev/note"


def namespace(app: Mapping[str, Any], level: str) -> Obj:
    """The namespace with the Pod Security level that its pods need; anything stricter is warned about."""
    labels = {
        "app.kubernetes.io/managed-by": names.MANAGER,
        "pod-security.kubernetes.io/enforce": level,
        "pod-security.kubernetes.io/audit": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
        **(app.get("namespace_labels") or {}),
    }
    metadata = {"name": app["namespace"], "labels": dict(sorted(labels.items()))}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def account(app: Mapping[str, Any]) -> list[Obj]:
    """ServiceAccount and, where rules are given, a Role with exactly those."""
    given = app["service_account"]
    if not given["create"]:
        return []
    metadata = meta(app, given["name"], "account")
    if given["annotations"]:
        metadata["annotations"] = dict(given["annotations"])
    objects: list[Obj] = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata,
            "automountServiceAccountToken": False,
        }
    ]
    if given["rules"]:
        group = "rbac.authorization.k8s.io"
        role_meta = meta(app, given["name"], "account")
        objects.append(
            {
                "apiVersion": f"{group}/v1",
                "kind": "Role",
                "metadata": role_meta,
                "rules": list(given["rules"]),
            }
        )
        objects.append(
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": role_meta,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": given["name"]},
                "subjects": [
                    {"kind": "ServiceAccount", "name": given["name"], "namespace": app["namespace"]}
                ],
            }
        )
    return objects


def config_maps(app: Mapping[str, Any]) -> list[Obj]:
    """The ConfigMaps; a note becomes an annotation that says what the numbers mean."""
    found = []
    for name, entry in app["config"].items():
        metadata = meta(app, name, "config")
        if entry["note"]:
            metadata["annotations"] = {NOTE_ANNOTATION: entry["note"]}
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": entry["data"]})
    return found


def secrets(app: Mapping[str, Any]) -> list[Obj]:
    """Secrets of every provider. Static ones come without their values, which travel beside (see render)."""
    found: list[Obj] = []
    for name, secret in app["secrets"].items():
        metadata = meta(app, name, "secret")
        provider = secret["provider"]
        if provider == "static":
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": metadata,
                    "type": secret.get("type", "Opaque"),
                }
            )
        elif provider == "external":
            found.append(_external(metadata, secret))
        elif provider == "csi":
            found.append(_provider_class(metadata, secret))
    return found


def _external(metadata: Obj, secret: Mapping[str, Any]) -> Obj:
    data = []
    for key in sorted(secret["data"]):
        reference = secret["data"][key]
        remote = {"key": reference} if isinstance(reference, str) else dict(reference)
        data.append({"secretKey": key, "remoteRef": remote})
    store = {"kind": "ClusterSecretStore", **(secret.get("store") or {})}
    spec = {
        "data": data,
        "refreshInterval": secret.get("refresh", "1h"),
        "secretStoreRef": store,
        "target": {"name": metadata["name"], "creationPolicy": "Owner"},
    }
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": metadata,
        "spec": spec,
    }


def _provider_class(metadata: Obj, secret: Mapping[str, Any]) -> Obj:
    pairs = [{"objectName": str(secret["data"][key]), "key": key} for key in sorted(secret["data"])]
    spec = {
        "provider": secret.get("csi_provider", "vault"),
        "parameters": {str(k): str(v) for k, v in (secret.get("parameters") or {}).items()},
        "secretObjects": [{"secretName": metadata["name"], "type": "Opaque", "data": pairs}],
    }
    kind = "SecretProviderClass"
    return {"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}

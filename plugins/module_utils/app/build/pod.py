# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pod templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names, probes
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import env, security, volumes, wait

CONFIG_ANNOTATION = "holdfast.dev/config-hash"
SECRET_ANNOTATION = "holdfast.dev/secret-hash"


def template(
    app: Mapping[str, Any],
    owner: Mapping[str, Any],
    *,
    restart: str = "Always",
    labels: Optional[Mapping[str, str]] = None,
) -> dict[str, Any]:
    """The pod template of a service or a job. owner: what container_fields() returns, and name and component."""
    specs, mounts = volumes.pod_volumes(owner["volumes"], owner["security"].get("writable", []))
    spec: dict[str, Any] = {
        "automountServiceAccountToken": bool(app["service_account"]["automount"]),
        "containers": [container(owner, mounts)],
        "restartPolicy": restart,
        "securityContext": security.pod_context(owner["security"]),
        "serviceAccountName": app["service_account"]["name"],
        "terminationGracePeriodSeconds": int(owner.get("grace", 30)),
        "enableServiceLinks": False,
    }
    waits = wait.init_containers(app, owner)
    if waits:
        spec["initContainers"] = waits
    if specs:
        spec["volumes"] = specs
    if app["image"].get("pull_secrets"):
        spec["imagePullSecrets"] = [{"name": name} for name in app["image"]["pull_secrets"]]
    spec.update(scheduling(owner.get("scheduling") or {}))
    metadata: dict[str, Any] = {
        "labels": {**names.labels(app, owner["name"], owner["component"]), **(labels or {})}
    }
    notes = {**hashes(app, owner), **(owner.get("annotations") or {})}
    if notes:
        metadata["annotations"] = notes
    return {"metadata": metadata, "spec": spec}


def container(owner: Mapping[str, Any], mounts: list[dict[str, Any]]) -> dict[str, Any]:
    """The container itself."""
    out: dict[str, Any] = {
        "name": owner["name"],
        "image": owner["image"],
        "imagePullPolicy": owner["pull_policy"],
        "securityContext": security.container_context(owner["security"]),
    }
    for key in ("command", "args"):
        if owner.get(key):
            out[key] = list(owner[key])
    if owner["env"]:
        out["env"] = env.env_list(owner["env"])
    sources = env.env_from(owner)
    if sources:
        out["envFrom"] = sources
    if owner["resources"]:
        out["resources"] = owner["resources"]
    if mounts:
        out["volumeMounts"] = mounts
    if owner.get("ports"):
        out["ports"] = [
            {"containerPort": port["target_port"], "name": port["name"], "protocol": port["protocol"]}
            for port in owner["ports"]
        ]
    for kind, probe in (owner.get("probes") or {}).items():
        out[f"{kind}Probe"] = probes.render(probe)
    if owner.get("lifecycle"):
        out["lifecycle"] = owner["lifecycle"]
    return out


def hashes(app: Mapping[str, Any], owner: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the configuration that the pod uses: a change rolls the pods that use it, and only those."""
    used_config, used_secrets = set(owner["config"]), set(owner["secrets"])
    for value in owner["env"].values():
        if isinstance(value, Mapping):
            used_config |= {value["config"]} if "config" in value else set()
            used_secrets |= {value["secret"]} if "secret" in value else set()
    for volume in owner["volumes"].values():
        used_config |= {volume["config"]} if volume["kind"] == "config" else set()
        used_secrets |= {volume["secret"]} if volume["kind"] == "secret" else set()
    found = {}
    config = {name: app["config"][name]["data"] for name in sorted(used_config) if name in app["config"]}
    secrets = {
        name: app["secrets"][name]["values"] for name in sorted(used_secrets) if name in app["secrets"]
    }
    for name in set(owner["secrets"]) & set(secrets):
        # Taken as a whole, a generated key that comes or goes shows nowhere else in the pod.
        secrets[name] = {**secrets[name], **dict.fromkeys(app["secrets"][name]["generate"], "")}
    if config:
        found[CONFIG_ANNOTATION] = names.digest(config)
    if any(secrets.values()):
        found[SECRET_ANNOTATION] = names.secret_digest(secrets, f"{app['namespace']}/{app['name']}")
    return found


def scheduling(given: Mapping[str, Any]) -> dict[str, Any]:
    """Node selector, affinity, tolerations, priority: rendered only where asked for."""
    fields = {
        "node_selector": "nodeSelector",
        "affinity": "affinity",
        "tolerations": "tolerations",
        "priority_class": "priorityClassName",
    }
    return {field: given[key] for key, field in fields.items() if given.get(key)}

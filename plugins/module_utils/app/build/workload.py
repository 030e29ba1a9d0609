# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Deployment, Service, PodDisruptionBudget and HorizontalPodAutoscaler of one service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import pod
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge

HISTORY = 10


def meta(app: Mapping[str, Any], name: str, component: str) -> dict[str, Any]:
    """Metadata of a namespaced object."""
    return {"name": name, "namespace": app["namespace"], "labels": names.labels(app, name, component)}


def overridden(obj: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the inventory's own fragment for its kind laid over it."""
    fragment = overrides.get(obj["kind"])
    return deep_merge(obj, fragment) if fragment else obj


def service_objects(app: Mapping[str, Any], service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every object of one service, the Deployment last."""
    found = []
    if service["ports"]:
        found.append(network_service(app, service))
    if service["pdb"]:
        found.append(pdb(app, service))
    if service["autoscaling"]:
        found.append(hpa(app, service))
    found.append(deployment(app, service))
    return [overridden(obj, service["override"]) for obj in found]


def deployment(app: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """The Deployment; `replicas` is left out where an autoscaler owns it."""
    name = service["name"]
    select = names.selector(app, name)
    spec: dict[str, Any] = {
        "progressDeadlineSeconds": service["rollout_timeout"],
        "revisionHistoryLimit": HISTORY,
        "selector": {"matchLabels": select},
        "strategy": strategy(service["strategy"]),
        "template": pod.template(app, service),
    }
    if not service["autoscaling"]:
        spec["replicas"] = service["replicas"]
    if service.get("min_ready"):
        spec["minReadySeconds"] = int(service["min_ready"])
    if service["spread"]:
        spec["template"]["spec"]["topologySpreadConstraints"] = [
            {
                "topologyKey": entry["key"],
                "maxSkew": entry["max_skew"],
                "whenUnsatisfiable": entry["when"],
                "labelSelector": {"matchLabels": select},
            }
            for entry in service["spread"]
        ]
    metadata = meta(app, name, service["component"])
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def strategy(given: Mapping[str, Any]) -> dict[str, Any]:
    """The update strategy."""
    if given["type"] == "Recreate":
        return {"type": "Recreate"}
    rolling = {"maxSurge": given["max_surge"], "maxUnavailable": given["max_unavailable"]}
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def network_service(app: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """The Service; a node port makes it a NodePort one."""
    ports = []
    for port in service["ports"]:
        entry = {
            "name": port["name"], "port": port["port"], "protocol": port["protocol"], "targetPort": port["target_port"],
        }  # fmt: skip
        if port.get("node_port"):
            entry["nodePort"] = port["node_port"]
        ports.append(entry)
    spec: dict[str, Any] = {
        "ports": ports,
        "selector": names.selector(app, service["name"]),
        "type": "NodePort" if any(port.get("node_port") for port in service["ports"]) else "ClusterIP",
    }
    if service.get("session_affinity"):
        spec["sessionAffinity"] = "ClientIP"
    metadata = meta(app, service["name"], service["component"])
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def pdb(app: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """The budget. A pod that is not healthy anyway never blocks a drain."""
    given = service["pdb"]
    spec: dict[str, Any] = {
        "selector": {"matchLabels": names.selector(app, service["name"])},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    if "max_unavailable" in given:
        spec["maxUnavailable"] = given["max_unavailable"]
    else:
        spec["minAvailable"] = given.get("min_available", 1)
    metadata = meta(app, service["name"], service["component"])
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


def hpa(app: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """The autoscaler; its name may be given (`autoscaling.name`)."""
    given = service["autoscaling"]
    metrics = [
        {
            "type": "Resource",
            "resource": {"name": kind, "target": {"type": "Utilization", "averageUtilization": given[kind]}},
        }
        for kind in ("cpu", "memory")
        if kind in given
    ]
    spec = {
        "minReplicas": given["min"],
        "maxReplicas": given["max"],
        "metrics": metrics,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service["name"]},
    }
    metadata = {
        **meta(app, service["name"], service["component"]),
        "name": given.get("name", service["name"]),
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": spec,
    }

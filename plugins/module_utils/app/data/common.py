# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects that every data service in the cluster has: Service, budget, claim, workload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import pod, volumes, workload
from ansible_collections.holdfast.k3s.plugins.module_utils.app.data import (
    mongodb,
    neo4j,
    postgres,
    rabbitmq,
    redis,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.app.data.engine import Engine
from ansible_collections.holdfast.k3s.plugins.module_utils.app.probes import laid_over

Obj = dict[str, Any]
ENGINES = {
    "postgres": postgres.engine,
    "redis": redis.engine,
    "rabbitmq": rabbitmq.engine,
    "mongodb": mongodb.engine,
    "neo4j": neo4j.engine,
}


def objects(app: Mapping[str, Any], service: Mapping[str, Any]) -> tuple[list[Obj], list[Obj]]:
    """(objects up to the workload, Jobs that follow once it is ready). Nothing for an external one."""
    if service["mode"] == "external" or service["engine"] not in ENGINES:
        return [], []
    engine = ENGINES[service["engine"]](app, service)
    owner = _owner(service, engine)
    found = [*engine.extra, workload.network_service(app, owner)]
    if engine.headless:
        found.append(headless(app, owner))
    if service["pdb"]:
        found.append(workload.pdb(app, owner))
    if service["kind"] == "statefulset":
        found.append(_stateful_set(app, service, owner, engine))
    else:
        found += _deployment(app, service, owner)
    return [workload.overridden(obj, service["override"]) for obj in found], engine.jobs


def _owner(service: Mapping[str, Any], engine: Engine) -> Obj:
    """The data service in the form that pod.template() takes."""
    security = {**service["security"]}
    security["writable"] = (
        [*engine.writable, *security.get("writable", [])] if security.get("read_only_root") else []
    )
    return {
        **service,
        "ports": engine.ports,
        "probes": laid_over(engine.probes, service.get("probes") or {}, engine.ports[0]["target_port"]),
        "env": {**engine.env, **service["env"]},
        "command": service.get("command") or engine.command,
        # Another command knows nothing of the engine's arguments.
        "args": [*([] if service.get("command") else engine.args), *service["args"]],
        "config": [],
        "secrets": [],
        "wait_for": [],
        "volumes": {**_data_volume(service, engine), **engine.volumes, **service["volumes"]},
        "security": security,
    }


def _data_volume(service: Mapping[str, Any], engine: Engine) -> Obj:
    storage = service["storage"]
    name = storage["name"]
    if storage.get("existing_claim") or service["kind"] != "statefulset":
        claim = storage.get("existing_claim") or storage.get("claim") or name
        return {name: {"mount": engine.mount, "kind": "claim", "claim_name": claim, "own": False}}
    return {name: {"mount": engine.mount, "kind": "template"}}


def headless(app: Mapping[str, Any], owner: Mapping[str, Any]) -> Obj:
    """A Service that gives every member its own name."""
    service = workload.network_service(app, owner)
    service["metadata"]["name"] = f"{owner['name']}-members"
    service["spec"].update(clusterIP="None", publishNotReadyAddresses=True)
    return service


def _stateful_set(app: Mapping[str, Any], service: Mapping[str, Any], owner: Obj, engine: Engine) -> Obj:
    name, storage = service["name"], service["storage"]
    templated = {key: volume for key, volume in owner["volumes"].items() if volume["kind"] == "template"}
    rest = {key: volume for key, volume in owner["volumes"].items() if volume["kind"] != "template"}
    template = pod.template(app, {**owner, "volumes": rest})
    container = template["spec"]["containers"][0]
    mounts = [{"name": key, "mountPath": volume["mount"]} for key, volume in templated.items()]
    container["volumeMounts"] = [*mounts, *container.get("volumeMounts", [])]
    claims = []
    for key in templated:
        claim = volumes.claim(app, key, service["component"], storage)
        claims.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": key, "labels": names.selector(app, name)},
                "spec": claim["spec"],
            }
        )
    spec: Obj = {
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "replicas": service["replicas"],
        "revisionHistoryLimit": workload.HISTORY,
        "selector": {"matchLabels": names.selector(app, name)},
        "serviceName": f"{name}-members" if engine.headless else name,
        "template": template,
        "updateStrategy": {"type": "RollingUpdate"},
    }
    if claims:
        spec["volumeClaimTemplates"] = claims
    metadata = workload.meta(app, name, service["component"])
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def _deployment(app: Mapping[str, Any], service: Mapping[str, Any], owner: Obj) -> list[Obj]:
    """One pod on one claim: the old one has to let go of the volume first."""
    storage, name = service["storage"], service["name"]
    found = []
    if not storage.get("existing_claim"):
        claim = storage.get("claim") or storage["name"]
        found.append(volumes.claim(app, claim, service["component"], storage))
    spec = {
        "progressDeadlineSeconds": 600,
        "replicas": service["replicas"],
        "revisionHistoryLimit": workload.HISTORY,
        "selector": {"matchLabels": names.selector(app, name)},
        "strategy": {"type": "Recreate"},
        "template": pod.template(app, owner),
    }
    metadata = workload.meta(app, name, service["component"])
    return [*found, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}]

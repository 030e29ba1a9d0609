# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Kubernetes objects of a backup, from its settings. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import data
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.offsite import (
    DIRECTORY,
    Offsite,
    key_name,
    port,
    ssh_command,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.settings import Settings

Obj = dict[str, Any]
ROLE_LABEL = "holdfast.dev/backup"
COMPONENT_LABEL = "app.kubernetes.io/component"
REFUSED = 65  # exit code of the scripts for what a retry cannot change


def literal(value: str) -> str:
    """An environment value that Kubernetes leaves alone: it would expand $(NAME)."""
    return value.replace("$(", "$$(")


def labels(settings: Settings, component: str) -> dict[str, str]:
    """Labels of an object; the pods of every job carry ROLE_LABEL, which the NetworkPolicies select."""
    return {
        "app.kubernetes.io/name": settings.name,
        COMPONENT_LABEL: component,
        "app.kubernetes.io/managed-by": "holdfast",
        ROLE_LABEL: settings.name,
    }


def _meta(settings: Settings, name: str, component: str = "backup") -> Obj:
    return {"name": name, "namespace": settings.namespace, "labels": labels(settings, component)}


def objects(
    settings: Settings, image: str, database_selector: dict[str, str], guarded: bool = False
) -> list[Obj]:
    """Everything, in the order in which it is applied.

    image: the database's image. database_selector: labels of the database's pods; empty when it runs elsewhere.
    guarded: another policy restricts who reaches the database, so that the backup has to be let in.
    """
    found: list[Obj] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _meta(settings, f"{settings.name}-scripts"),
            "data": {**settings.scripts, **_passwd(settings)},
        },
        _claim(settings),
    ]
    if settings.network_policy:
        found += _policies(settings, database_selector, guarded)
    script = {
        "backup": (settings.name, settings.schedule, "backup.sh", settings.resources),
        "verify": (
            f"{settings.name}-verify",
            settings.verify_schedule,
            "verify.sh",
            settings.verify_resources,
        ),
        "cleanup": (f"{settings.name}-cleanup", settings.cleanup_schedule, "cleanup.sh", settings.resources),
    }
    for component, (name, schedule, file, resources) in script.items():
        found.append(_cron_job(settings, name, schedule, image, component, file, resources))
    found += [_data(settings, item) for item in settings.data]
    if settings.offsite is not None:
        found.append(_offsite(settings, settings.offsite))
    return found


def _data(settings: Settings, item: data.Item) -> Obj:
    """The CronJob that backs up something beside the databases."""
    name = data.job_name(settings.name, item)
    found = _cron_job(
        settings, name, item.schedule, item.image, f"data-{item.name}", "data.sh", settings.resources
    )
    pod = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["env"] += data.environment(item)
    if item.run_as_user is not None:
        pod["securityContext"]["runAsUser"] = item.run_as_user
    if item.claim:
        container["volumeMounts"].append({"name": "data", "mountPath": "/data", "readOnly": True})
        pod["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": item.claim}})
    return found


def _offsite(settings: Settings, offsite: Offsite) -> Obj:
    """The CronJob that carries backups to another place; it never gets the database's password."""
    found = _cron_job(
        settings,
        f"{settings.name}-offsite",
        offsite.schedule,
        offsite.image,
        "offsite",
        "offsite.sh",
        settings.resources,
    )
    pod = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["envFrom"] = [{"secretRef": {"name": key_name(settings.name)}}]
    if offsite.secret and not offsite.by_ssh:
        container["envFrom"].append({"secretRef": {"name": offsite.secret}})
    if offsite.claim:
        container["volumeMounts"].append({"name": "offsite", "mountPath": DIRECTORY})
        pod["volumes"].append({"name": "offsite", "persistentVolumeClaim": {"claimName": offsite.claim}})
    if offsite.by_ssh:
        container["volumeMounts"] += [
            {"name": "ssh", "mountPath": "/ssh", "readOnly": True},
            {"name": "scripts", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
        ]
        pod["volumes"].append({"name": "ssh", "secret": {"secretName": offsite.secret, "defaultMode": 0o440}})
    return found


def _passwd(settings: Settings) -> dict[str, str]:
    """ssh refuses to work for a user without a name, and the image knows none for the number that the jobs run as."""
    if settings.offsite is None or not settings.offsite.by_ssh:
        return {}
    return {"passwd": f"backup:x:{settings.run_as_user}:{settings.run_as_group}::/tmp:/bin/sh\n"}


def _claim(settings: Settings) -> Obj:
    spec: Obj = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": settings.storage_size}},
    }
    if settings.storage_class:
        spec["storageClassName"] = settings.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _meta(settings, settings.claim),
        "spec": spec,
    }


def _policies(settings: Settings, selector: dict[str, str], guarded: bool) -> list[Obj]:
    """The jobs reach names and the database (and the offsite target) alone; nobody reaches them."""
    pods = {"matchLabels": {ROLE_LABEL: settings.name}}
    ports = [{"port": settings.port, "protocol": "TCP"}]
    database: Obj = (
        {"to": [{"podSelector": {"matchLabels": selector}}], "ports": ports} if selector else {"ports": ports}
    )
    dns: Obj = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }
    found = [
        _policy(
            settings,
            f"{settings.name}-jobs",
            {"podSelector": pods, "policyTypes": ["Ingress", "Egress"], "egress": [dns, database]},
        )
    ]
    away = port(settings.offsite) if settings.offsite is not None else None
    if away is not None:
        spec = {
            "podSelector": {"matchLabels": {ROLE_LABEL: settings.name, COMPONENT_LABEL: "offsite"}},
            "policyTypes": ["Egress"],
            "egress": [dns, {"ports": [{"port": away, "protocol": "TCP"}]}],
        }
        found.append(_policy(settings, f"{settings.name}-offsite", spec))
    ports_of_data = sorted({item.listens for item in settings.data if item.listens})
    if ports_of_data:
        inside = {
            "to": [{"podSelector": {}}],
            "ports": [{"port": number, "protocol": "TCP"} for number in ports_of_data],
        }
        components = {
            "key": COMPONENT_LABEL,
            "operator": "In",
            "values": [f"data-{item.name}" for item in settings.data],
        }
        chosen = {"matchLabels": {ROLE_LABEL: settings.name}, "matchExpressions": [components]}
        spec = {"podSelector": chosen, "policyTypes": ["Egress"], "egress": [dns, inside]}
        found.append(_policy(settings, f"{settings.name}-data", spec))
    if selector and guarded:  # as the only ingress policy it would shut the application out
        rule = {"from": [{"podSelector": pods}], "ports": ports}
        spec = {"podSelector": {"matchLabels": selector}, "policyTypes": ["Ingress"], "ingress": [rule]}
        found.append(_policy(settings, f"{settings.name}-to-database", spec))
    return found


def _policy(settings: Settings, name: str, spec: Obj) -> Obj:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(settings, name, "network-policy"),
        "spec": spec,
    }


def _env(settings: Settings, component: str) -> list[Obj]:
    plain = {
        "DATABASES": "\n".join(settings.databases),
        "BACKUPS": "/backups",
        "HASH_MAX_MB": str(settings.hash_max_mb),
        "HOME": "/tmp",
        "JOBS": str(settings.jobs),
        "KEEP_DAILY": str(settings.keep_daily),
        "KEEP_MONTHLY": str(settings.keep_monthly),
        "KEEP_RECENT_HOURS": str(settings.keep_recent_hours),
        "KEEP_WEEKLY": str(settings.keep_weekly),
        "MAINTENANCE_DB": settings.maintenance_db,
        "RPO_HOURS": str(settings.rpo_hours),
        "TMPDIR": "/tmp",
    }
    if component == "offsite" and settings.offsite is not None:
        plain = {**plain, **_offsite_env(settings, settings.offsite)}
    found: list[Obj] = [{"name": name, "value": literal(value)} for name, value in plain.items()]
    if component in ("verify", "offsite") or component.startswith("data-"):
        return found  # none of them ever talks to the live server
    found += [
        {"name": "PGHOST", "value": settings.host},
        {"name": "PGPORT", "value": str(settings.port)},
        {"name": "PGUSER", "value": settings.user},
        {
            "name": "PGPASSWORD",
            "valueFrom": {"secretKeyRef": {"name": settings.secret, "key": settings.secret_key}},
        },
    ]
    return found


def _offsite_env(settings: Settings, offsite: Offsite) -> dict[str, str]:
    return {
        "CHECK_SUBSET": offsite.check_subset,
        "DATABASES": "\n".join(settings.directories),
        "HOST": f"{settings.namespace}.{settings.name}",
        "KEEP_DAILY": str(offsite.keep_daily),
        "KEEP_MONTHLY": str(offsite.keep_monthly),
        "KEEP_WEEKLY": str(offsite.keep_weekly),
        "RESTIC_REPOSITORY": offsite.repository,
        "SSH_COMMAND": ssh_command(offsite),
    }


def _cron_job(
    settings: Settings, name: str, schedule: str, image: str, component: str, file: str, resources: Obj
) -> Obj:
    scratch = component == "verify"
    mounts: list[Obj] = [
        {"name": "backups", "mountPath": "/backups"},
        {"name": "scripts", "mountPath": "/scripts", "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    volumes: list[Obj] = [
        {"name": "backups", "persistentVolumeClaim": {"claimName": settings.claim}},
        {"name": "scripts", "configMap": {"name": f"{settings.name}-scripts", "defaultMode": 0o555}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
    ]
    if scratch:
        mounts.append({"name": "scratch", "mountPath": "/scratch"})
        volumes.append({"name": "scratch", "emptyDir": {"sizeLimit": settings.scratch_size}})
    container: Obj = {
        "name": component,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", f"/scripts/{file}"],
        "env": _env(settings, component),
        "resources": resources,
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod: Obj = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "OnFailure",
        "securityContext": {
            "fsGroup": settings.run_as_group,
            "runAsGroup": settings.run_as_group,
            "runAsNonRoot": True,
            "runAsUser": settings.run_as_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    job: Obj = {
        "activeDeadlineSeconds": settings.deadline,
        "backoffLimit": 3,
        "template": {"metadata": {"labels": labels(settings, component)}, "spec": pod},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _meta(settings, name, component),
        "spec": {
            "schedule": schedule,
            "timeZone": settings.time_zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": {"labels": labels(settings, component)}, "spec": job},
        },
    }

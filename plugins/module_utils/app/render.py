# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values in, manifests out: in apply order, and the same bytes for the same values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import (
    config,
    ingress,
    jobs,
    network,
    security,
    volumes,
    workload,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.app.data import common
from ansible_collections.holdfast.k3s.plugins.module_utils.app.jobs import normalize_jobs
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge

Obj = dict[str, Any]
PHASES = (
    "namespace", "access", "config", "storage", "data", "data-jobs", "before", "services", "after", "schedules", "exposure",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One object and when it is applied: the phase, and within the services the order that the inventory gives.

    place: the part of the values that asks for it.
    """

    phase: str
    manifest: Obj
    order: int = 0
    timeout: int = 600
    place: str = ""


@dataclass(frozen=True)
class Rendered:
    """What a release consists of. Secret values are kept apart from the manifests.

    secret_data: Secret name to its values. secret_generate: Secret name to lengths of values made on first apply.
    """

    name: str
    namespace: str
    steps: list[Step]
    secret_data: dict[str, dict[str, str]] = field(default_factory=dict)
    secret_generate: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def manifests(self) -> list[Obj]:
        """Only the manifests, in apply order."""
        return [step.manifest for step in self.steps]


def render(app: Mapping[str, Any]) -> Rendered:
    """Render a normalized application (see values.prepare)."""
    steps: list[Step] = []
    steps += _steps("access", config.account(app), "service_account")
    steps += _steps("config", config.config_maps(app), "config")
    steps += _steps("config", config.secrets(app), "secrets")
    steps += [Step("storage", obj, place=place) for place, obj in volumes.claims(app)]
    steps += _steps("storage", network.policies(app), "network_policy")
    for name, service in app["data_services"].items():
        steps += _data_steps(app, service, f"data_services.{name}")
    for job in app["jobs"].values():
        phase = "before" if job["when"] == "pre" else "after"
        place = f"jobs.{job['name']}"
        steps.append(Step(phase, jobs.job(app, job), job["order"], int(job["deadline"]), place))
    for name, service in app["services"].items():
        for obj in workload.service_objects(app, service):
            place = f"services.{name}"
            steps.append(Step("services", obj, service["order"], service["rollout_timeout"], place))
    steps += _steps("schedules", [jobs.cron_job(app, cron) for cron in app["cronjobs"].values()], "cronjobs")
    steps += _steps("exposure", ingress.objects(app), "ingress")
    for number, obj in enumerate(app.get("extra_objects", [])):
        steps += _steps("exposure", [_extra(app, obj)], f"extra_objects[{number}]")
    if app.get("create_namespace", True):
        level = app["security"].get("pod_security") or security.strictest(
            pod_specs(step.manifest for step in steps)
        )
        steps += _steps("namespace", [config.namespace(app, level)], "namespace")
    steps.sort(key=lambda step: (PHASES.index(step.phase), step.order))
    static = {name: entry for name, entry in app["secrets"].items() if entry["provider"] == "static"}
    return Rendered(
        name=app["name"],
        namespace=app["namespace"],
        steps=steps,
        secret_data={name: entry["values"] for name, entry in static.items()},
        secret_generate={name: entry["generate"] for name, entry in static.items() if entry["generate"]},
    )


def _steps(phase: str, objects: Iterable[Obj], place: str) -> list[Step]:
    return [Step(phase, obj, place=place) for obj in objects]


def _data_steps(app: Mapping[str, Any], service: Mapping[str, Any], place: str) -> list[Step]:
    objects, follow = common.objects(app, service)
    # Claims come a phase earlier: a pod that is scheduled before its claim exists is put aside for minutes.
    steps = [
        Step("storage" if obj["kind"] == "PersistentVolumeClaim" else "data", obj, place=place)
        for obj in objects
    ]
    declared = {entry["name"]: {k: v for k, v in entry.items() if k != "name"} for entry in follow}
    normalized, _crons = normalize_jobs(app, {"jobs": declared})
    return steps + _steps("data-jobs", [jobs.job(app, job) for job in normalized.values()], place)


def _extra(app: Mapping[str, Any], obj: Obj) -> Obj:
    """An object of the inventory's own, marked as part of the release."""
    marks = {"app.kubernetes.io/part-of": app["name"], "app.kubernetes.io/managed-by": "holdfast"}
    return deep_merge({"metadata": {"labels": marks}}, obj)


def pod_specs(manifests: Iterable[Obj]) -> list[Obj]:
    """The pod spec of every workload."""
    found = []
    for manifest in manifests:
        spec = manifest.get("spec") or {}
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec and manifest["kind"] in (
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "Job",
            "CronJob",
        ):
            found.append(spec["template"]["spec"])
    return found

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An independent look after an apply: not the workloads' own status, but the pods and Jobs themselves."""

from __future__ import annotations

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import Obj, Release
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import predicates
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client


def verify(client: Client, release: Release) -> tuple[bool, list[str]]:
    """(everything is there, what is not): a ready pod per workload, a Complete condition per Job."""
    pods = list(client.list(client.path_for("v1", "Pod", release.namespace)))
    jobs = {
        job["metadata"]["name"]: job
        for job in client.list(client.path_for("batch/v1", "Job", release.namespace))
    }
    problems = []
    for item in release.items:
        manifest = item.manifest
        name = f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            wanted = manifest["spec"].get("replicas", 1)
            ready = sum(predicates.pod_ready(pod)[0] for pod in _pods(manifest, pods))
            if ready < min(wanted, 1):
                problems.append(f"{name}: no ready pod")
        elif manifest["kind"] == "Job":
            job = jobs.get(manifest["metadata"]["name"])
            if job is None or not predicates.job_done({**job, "kind": "Job"})[0]:
                problems.append(f"{name}: not complete")
    return not problems, problems


def _pods(workload: Obj, pods: list[Obj]) -> list[Obj]:
    select = workload["spec"]["selector"]["matchLabels"]
    return [pod for pod in pods if select.items() <= (pod["metadata"].get("labels") or {}).items()]

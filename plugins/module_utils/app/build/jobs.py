# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Jobs and CronJobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import pod
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.workload import meta, overridden


def job(app: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A Job whose name ends in the hash of what it does.

    A finished Job of that name means: done, for exactly this image and configuration. What changes becomes a new Job,
    since a Job's pods cannot be changed. `Never` keeps each failed attempt's log.
    """
    spec = {
        "activeDeadlineSeconds": int(given["deadline"]),
        "backoffLimit": int(given["retries"]),
        "template": pod.template(app, given, restart="Never"),
    }
    obj = overridden(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": spec}, given["override"]
    )
    name = f"{names.short_name(given['name'], 52)}-{names.digest(obj['spec'], 8)}"
    metadata = {**meta(app, given["name"], given["component"]), "name": name}
    return {**obj, "metadata": {**metadata, **obj["metadata"]}}


def cron_job(app: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A CronJob with bounded retries, so that a broken job does not loop for ever."""
    job_spec = {
        "activeDeadlineSeconds": int(given["deadline"]),
        "backoffLimit": int(given["retries"]),
        "template": pod.template(app, given, restart="OnFailure"),
    }
    spec = {
        "concurrencyPolicy": given["concurrency"],
        "failedJobsHistoryLimit": int(given["keep_failed"]),
        "jobTemplate": {"spec": job_spec},
        "schedule": given["schedule"],
        "successfulJobsHistoryLimit": int(given["keep_successful"]),
        "suspend": bool(given.get("suspend", False)),
        "timeZone": given["time_zone"],
    }
    metadata = meta(app, given["name"], given["component"])
    return overridden(
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}, given["override"]
    )

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""List, choose and check backups. Changes nothing."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import backups, jobs, names, pointer
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import run as runs
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.manifests import ROLE_LABEL


def read(
    client: Optional[Client],
    namespace: str,
    name: str,
    *,
    wanted: str = "",
    check: str = "none",
    database: str = "",
) -> dict[str, Any]:
    """Everything about a backup. wanted: choose one. check: none | cheap | full, of the chosen ones or of the newest.

    Without an API that answers, the pointer on the host says where the volume is: a dead cluster's backups can be listed.
    """
    where, databases, rpo, runs_seen = _whereabouts(client, namespace, name)
    if where is None:
        raise HoldfastError("the backup volume is not on this host", fix="run this on the node that holds it")
    now = Clock().now()
    result: dict[str, Any] = {"changed": False, "volume": where, "jobs": runs_seen, "databases": []}
    healthy = True
    for each in [database] if database else databases:
        found, broken = backups.read(where, each)
        regular = backups.regular(found)
        proven = next((backup for backup in regular if backup.verified_at), None)
        age = backups.age_hours(proven, now)
        chosen = backups.choose(found, wanted or "latest") if found or wanted else None
        good = age is not None and age <= rpo and not (regular and regular[0].unproven)
        healthy = healthy and good
        result["databases"].append(
            {
                "database": each,
                "directory": names.directory(each),
                "backups": [backup.as_dict() for backup in found],
                "broken": broken,
                "chosen": chosen.as_dict() if chosen else None,
                "manifest": chosen.manifest if chosen and wanted else None,
                "problems": backups.check(chosen, check == "full") if chosen and check != "none" else [],
                "verified_age_hours": age,
                "healthy": good,
            }
        )
    result.update(rpo_hours=rpo, healthy=healthy)
    return result


def _whereabouts(
    client: Optional[Client], namespace: str, name: str
) -> tuple[Optional[str], list[str], float, list[dict[str, Any]]]:
    try:
        if client is None:
            raise HoldfastError("no cluster here")
        target = runs.observe(client, namespace, name, "backup")
        rpo = float(runs.env_of(target.cron).get("RPO_HOURS", "26"))
        return target.volume, target.databases, rpo, _jobs(client, namespace, name)
    except Refused:
        raise
    except HoldfastError:
        known = pointer.read(namespace, name)
        if known is None:
            raise
        listed = [str(entry["database"]) for entry in known["databases"]]
        return known["volume"], listed, float(known["rpo_hours"]), []


def _jobs(client: Client, namespace: str, name: str) -> list[dict[str, Any]]:
    selector = f"{ROLE_LABEL}={name}"
    found = []
    for job in client.list(jobs.jobs_path(client, namespace), label_selector=selector):
        status = job.get("status") or {}
        found.append(
            {
                "name": job["metadata"]["name"],
                "started": status.get("startTime"),
                "finished": status.get("completionTime"),
                "succeeded": jobs.outcome_of(job),
            }
        )
    return sorted(found, key=lambda job: str(job["started"]), reverse=True)

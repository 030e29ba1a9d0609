# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a restore goes on where an earlier run was lost, or begins anew; and what the earlier one stopped comes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import jobs, live, names, writers
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.restore_plan import Record

RERUN_SECONDS = 900  # a swap that ended so lately is the one that a killed run was waiting for


@dataclass(frozen=True)
class Seen:
    """What is left of the earlier run. there: its loaded database is beside the live one; None when nobody can look.

    running: one of its jobs has not ended. loaded: its prepare job is complete. swapped_ago: seconds since its swap job
    completed; None when it has not, or is gone.
    """

    there: Optional[bool]
    running: bool = False
    loaded: bool = False
    swapped_ago: Optional[float] = None


def goes_on(record: Record, chosen: str, seen: Seen) -> bool:
    """Whether a run that wants the backup `chosen` continues this record. Pure.

    A record has no end of its own: what was swapped weeks ago is not what somebody asks for today, and a loaded database
    may have been dropped meanwhile.
    """
    if record.passed("swapped") or record.backup != chosen:
        return False
    if seen.running:
        return True
    if seen.swapped_ago is not None:
        return seen.swapped_ago < RERUN_SECONDS
    if seen.there is None:
        return record.passed("prepared") or seen.loaded
    return (
        seen.there
    )  # nothing left: a new time, because the safety backup of the old one shows what was live then


def look_at_jobs(
    client: Client, namespace: str, backup: str, database: str, stamp: str, now: datetime
) -> Seen:
    """What its jobs say. Ask this before looking at the server: a job that ends in between then still counts as running."""
    env = {"DATABASE": database, "STAMP": stamp}
    prepared = jobs.find(client, namespace, backup, "prepare", env)
    swapped = [job for job in jobs.find(client, namespace, backup, "swap", env) if jobs.outcome_of(job)]
    running = jobs.unfinished(client, namespace, backup, "prepare", env) or jobs.unfinished(
        client, namespace, backup, "swap", env
    )
    ends = [(job.get("status") or {}).get("completionTime") for job in swapped]
    ages = [(now - _moment(end)).total_seconds() for end in ends if end]
    return Seen(
        None, running is not None, any(jobs.outcome_of(job) for job in prepared), min(ages) if ages else None
    )


def _moment(text: str) -> datetime:
    return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)


def is_there(server: live.Server, database: str, stamp: str) -> Optional[bool]:
    """Whether the loaded database is beside the live one; None when the server cannot be looked at. Pure."""
    return names.side(database, "restore", stamp) in server.databases if server.reachable else None


def give_back(client: Client, namespace: str, record: Record) -> list[str]:
    """Start the Deployments that the earlier run stopped and nobody has started since; their names."""
    found = []
    for name, wanted in sorted(record.replicas.items()):
        try:
            stopped = writers.replicas(client, namespace, name) == 0
        except Refused:
            continue  # the Deployment is gone
        if stopped and wanted > 0:
            writers.scale(client, namespace, name, wanted)
            found.append(name)
    return found

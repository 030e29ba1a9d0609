# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take a backup now, or prove one: one job, followed to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.progress import DIRECTORY, Progress
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import Context, run
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    backups,
    jobs,
    names,
    pointer,
    volume,
)

# What tells a running job of a script from one that was asked for something else; NAME: of what lies beside the databases.
TOLD_APART = ("MODE", "DATABASE", "BACKUP", "NAME")


@dataclass
class Target:
    """A backup's CronJob as it is in the cluster, and what can be read beside it."""

    cron: dict[str, Any]
    databases: list[str]
    volume: Optional[str]
    found: dict[str, list[backups.Backup]]
    running: Optional[dict[str, Any]] = None

    def newest(self) -> list[backups.Backup]:
        """The newest regular backup of each database that has one."""
        found = {db: backups.regular(self.found.get(db) or []) for db in self.databases}
        return [found[db][0] for db in self.databases if found[db]]


@dataclass(frozen=True)
class Limits:
    """check_mode; deadline: seconds; budget: changing actions, None for no limit."""

    check_mode: bool
    deadline: float
    budget: Optional[int] = None


def env_of(cron: dict[str, Any]) -> dict[str, str]:
    """The literal environment of a CronJob's container."""
    return jobs.env_of(cron["spec"]["jobTemplate"]["spec"]["template"])


def claim_of(cron: dict[str, Any]) -> str:
    """The claim that a CronJob writes to."""
    for entry in cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]:
        if "persistentVolumeClaim" in entry:
            return str(entry["persistentVolumeClaim"]["claimName"])
    raise HoldfastError("the CronJob mounts no claim", fix="run role backup again")


def observe(
    client: Client,
    namespace: str,
    backup: str,
    script: str,
    cron_name: str = "",
    env: Optional[Mapping[str, str]] = None,
) -> Target:
    """What is there: CronJob, databases, backups on the volume, a job of this script (and env) that still runs."""
    cron = jobs.cron_job(client, namespace, cron_name or backup)
    databases = [line for line in env_of(cron).get("DATABASES", "").split("\n") if line]
    where = volume.host_path(client, namespace, claim_of(cron))
    found = {db: backups.read(where, db)[0] if where else [] for db in databases}
    return Target(cron, databases, where, found, jobs.unfinished(client, namespace, backup, script, env))


def take(
    client: Optional[Client], namespace: str, name: str, limits: Limits, *, only_if_missing: bool = False
) -> Envelope:
    """Back up now and return the newest backups. A run that is under way is followed instead."""

    def enough(target: Target) -> bool:
        return only_if_missing and all(target.found.get(db) for db in target.databases)

    def verify(after: Target) -> tuple[bool, dict[str, Any]]:
        pointer.locate(namespace, name, after.volume)
        newest = after.newest()
        checked = {found.database: backups.check(found, full=False) for found in newest}
        problems = {database: wrong for database, wrong in checked.items() if wrong}
        complete = after.volume is None or len(newest) == len(after.databases)
        extra = {"backups": [b.as_dict() for b in newest], "problems": problems, "volume": after.volume}
        return complete and not problems, extra

    job = _Job(client, namespace, name, name, "backup.sh", {"REASON": "manual"}, limits)
    return job.run(enough, verify, Action("backup", f"CronJob/{name}", "a backup was asked for"))


def prove(
    client: Optional[Client],
    namespace: str,
    name: str,
    limits: Limits,
    *,
    backup: str = "",
    only_if_unverified: bool = False,
) -> Envelope:
    """Restore a backup (default: the newest of each database) on trial and return what that showed."""

    def enough(target: Target) -> bool:
        newest = target.newest()
        return only_if_unverified and bool(newest) and all(found.verified_at for found in newest)

    def verify(after: Target) -> tuple[bool, dict[str, Any]]:
        listed = [found for database in after.databases for found in after.found.get(database, [])]
        chosen = [found for found in listed if found.name == backup] if backup else after.newest()
        proven = bool(chosen) and all(found.verified_at for found in chosen)
        return proven or after.volume is None, {"backups": [found.as_dict() for found in chosen]}

    env = {"BACKUP": backup} if backup else {}
    if backup:
        names.moment(backup)
    job = _Job(client, namespace, name, f"{name}-verify", "verify.sh", env, limits)
    return job.run(
        enough, verify, Action("verify", f"CronJob/{name}-verify", "a trial restore was asked for")
    )


def carry(
    client: Optional[Client],
    namespace: str,
    name: str,
    limits: Limits,
    *,
    fetch: bool,
    database: str = "",
    backup: str = "",
) -> Envelope:
    """Send the newest verified backup of each database to the other place, or fetch one of a database from there.

    backup: which one to fetch; the newest over there when empty.
    """
    if backup:
        names.moment(backup)

    def verify(after: Target) -> tuple[bool, dict[str, Any]]:
        found = {db: _carried(after, db) for db in ([database] if database else after.databases)}
        if not fetch or after.volume is None:
            return after.volume is None or all(found.values()), {"sent": found, "backups": []}
        name = backup or str(job.result.get("backup") or "")
        if not name:
            raise HoldfastError(
                f"the job did not say which backup it fetched of {database}", fix="name one with 'backup'"
            )
        brought = [b for b in backups.read(after.volume, database)[0] if b.name == name]
        good = bool(brought) and not backups.check(brought[0], full=True)
        return good, {"sent": found, "backups": [b.as_dict() for b in brought]}

    env = {"MODE": "fetch", "DATABASE": database, "BACKUP": backup} if fetch else {"MODE": "send"}
    why = f"fetch {backup or 'the newest backup'} of {database}" if fetch else "send what is proven"
    job = _Job(client, namespace, name, f"{name}-offsite", "offsite.sh", env, limits)
    wanted = Action("fetch" if fetch else "send", f"CronJob/{name}-offsite", why)
    envelope = job.run(lambda _target: False, verify, wanted)
    if not limits.check_mode and all(o.detail.get("already") is True for o in envelope.actions):
        envelope.changed = False
    return envelope


def _carried(target: Target, database: str) -> str:
    """The backup that offsite.sh says it has sent; empty when there is none."""
    return str(_mark(target, database).get("backup") or "")


def _mark(target: Target, database: str) -> dict[str, Any]:
    """What offsite.sh wrote beside the backups of a database."""
    if target.volume is None:
        return {}
    try:
        path = Path(target.volume) / names.directory(database) / "offsite.json"
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def copy_data(client: Optional[Client], namespace: str, name: str, item: str, limits: Limits) -> Envelope:
    """Back up something beside the databases now. item: its name in the role's list."""
    directory = f"data-{item}"

    def verify(after: Target) -> tuple[bool, dict[str, Any]]:
        if after.volume is None:
            return True, {"backup": {}}
        found, _broken = backups.read(after.volume, directory)
        return bool(found) and found[0].verified_at is not None, {
            "backup": found[0].as_dict() if found else {}
        }

    # The CronJob says its name already; said here too, it tells this item's running job from another one's.
    job = _Job(client, namespace, name, f"{name}-data-{item}", "data.sh", {"NAME": directory}, limits)
    wanted = Action("backup", f"CronJob/{name}-data-{item}", "a backup was asked for")
    return job.run(lambda _target: False, verify, wanted)


def tidy(client: Optional[Client], namespace: str, name: str, limits: Limits) -> Envelope:
    """Open databases that a killed restore left closed, and drop what restores have kept long enough; now, not within the hour."""

    def verify(_after: Target) -> tuple[bool, dict[str, Any]]:
        return True, {}  # the script's own count; pg_database_info looks with other eyes

    job = _Job(client, namespace, name, f"{name}-cleanup", "cleanup.sh", {}, limits)
    wanted = Action("clean_up", f"CronJob/{name}-cleanup", "a clean-up was asked for", "medium")
    envelope = job.run(lambda _target: False, verify, wanted)
    done = sum(int(outcome.detail.get("changed") or 0) for outcome in envelope.actions)
    envelope.extra["count"] = done
    if not limits.check_mode:
        envelope.changed = done > 0
    return envelope


@dataclass
class _Job:
    """One script, run as a job of a CronJob. result: its last result line, once it has ended."""

    client: Optional[Client]
    namespace: str
    backup: str
    cron: str
    script: str
    env: dict[str, str]
    limits: Limits
    result: dict[str, Any] = field(default_factory=dict)

    def run(
        self,
        enough: Callable[[Target], bool],
        verify: Callable[[Target], tuple[bool, dict[str, Any]]],
        wanted: Action,
    ) -> Envelope:
        """Observe, plan, act, verify. enough: nothing is to be done. wanted: the action when no job runs yet."""
        clock = Clock()

        def look() -> Optional[Target]:
            try:
                return self._observe() if self.client is not None else None
            except HoldfastError:
                if not self.limits.check_mode:
                    raise
                return None  # a bare host: role backup would have made it

        def plan(target: Optional[Target]) -> list[Action]:
            if target is not None and enough(target):
                return []
            if target is not None and target.running:
                job = target.running["metadata"]["name"]
                why = "an earlier run started it and it has not ended"
                return [Action("follow", f"Job/{job}", why, params={"job": job})]
            return [wanted]

        def act(action: Action, context: Context) -> dict[str, Any]:
            if self.client is None:
                raise AssertionError("the API client comes with observe()")
            job = action.params.get("job")
            if job is None:
                name = f"{self.cron}-{names.stamp(clock.now()).lower()}"
                job = jobs.start(self.client, jobs.from_cron(context.facts.cron, name, self.script, self.env))
            progress = Progress(f"{DIRECTORY}/{job}.jsonl", clock)
            left = Deadline(clock, context.deadline.remaining())
            self.result = jobs.follow(self.client, self.namespace, job, left, progress).require().result
            return self.result

        def check(_target: Optional[Target], outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
            raise_first(outcomes)
            return verify(self._observe())

        return run(
            observe=look,
            plan=plan,
            act=act,
            verify=check,
            check_mode=self.limits.check_mode,
            clock=clock,
            deadline_seconds=self.limits.deadline,
            budget=self.limits.budget,
        )

    def _observe(self) -> Target:
        if self.client is None:
            raise AssertionError("the API client comes with observe()")
        script = self.script.split(".")[0]
        wanted = {key: self.env.get(key, "") for key in TOLD_APART}
        return observe(self.client, self.namespace, self.backup, script, self.cron, wanted)


def raise_first(outcomes: list[Outcome]) -> None:
    """Turn the first action that did not succeed into the run's error."""
    for outcome in outcomes:
        if outcome.outcome == "refused":
            raise Refused(outcome.error or outcome.action.target)
        if outcome.outcome == "failed":
            raise HoldfastError(outcome.error or outcome.action.target)

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A restore as a transaction: load beside, prove, stop writers, exchange names, look again. Every phase can be run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import Bundle
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.progress import DIRECTORY, Progress
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import Context, run
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    backups,
    jobs,
    live,
    names,
    record,
    restore_plan,
    resume,
    writers,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import run as runs

READY_SECONDS = 180


@dataclass
class Facts:
    """What was observed. before: rows of the biggest tables in the live database."""

    target: runs.Target
    backup: backups.Backup
    server: live.Server
    note: restore_plan.Record
    psql: live.Psql
    notes: list[str] = field(default_factory=list)
    before: dict[str, Optional[int]] = field(default_factory=dict)
    ready: list[str] = field(default_factory=list)


@dataclass
class Restore:
    """One restore. wanted: backup by name, time, "latest" or "latest verified"."""

    client: Client
    namespace: str
    name: str
    wish: restore_plan.Wish
    wanted: str
    evidence_dir: str
    clock: Clock = field(default_factory=Clock)
    results: dict[str, Any] = field(default_factory=dict)
    check_mode: bool = False

    def run(self, limits: runs.Limits) -> Envelope:
        """The whole of it; see runner.run for the envelope."""
        self.check_mode = limits.check_mode
        envelope = run(
            observe=self.observe,
            plan=self.plan,
            act=self.act,
            verify=self.verify,
            check_mode=limits.check_mode,
            clock=self.clock,
            deadline_seconds=limits.deadline,
            budget=limits.budget,
            evidence=self.evidence,
            stop_on_failure=True,
        )
        envelope.extra.update(self.results)
        return envelope

    def observe(self) -> Facts:
        """Everything that the plan needs; refuses what cannot work before anything is touched."""
        target = runs.observe(self.client, self.namespace, self.name, "prepare")
        wish, env = self.wish, runs.env_of(target.cron)
        wish.database = wish.database or only(target.databases)
        names.check_database(wish.database)
        if target.volume is None:
            raise Refused(
                "the backup volume is not on this host", fix="run this on the node that holds the volume"
            )
        found, broken = backups.read(target.volume, wish.source_database or wish.database)
        if not found and broken:
            raise Refused(f"{broken[0]['name']} is no backup: {broken[0]['why']}")
        if self.wanted in [entry["name"] for entry in broken]:
            why = next(entry["why"] for entry in broken if entry["name"] == self.wanted)
            raise Refused(why, field="backup", value=self.wanted, fix="choose another backup")
        earlier = record.read(self.client, self.namespace, self.name, wish.database)
        back: list[str] = []
        said: list[str] = []
        if earlier is not None and earlier.passed("swapped"):  # finished first, whatever is refused below
            back, earlier = self._end(earlier, said), None
        backup = backups.choose(found, self.wanted)
        seen = self._seen(earlier) if earlier is not None else None
        if earlier is not None and seen is not None and seen.running and earlier.backup != backup.name:
            backup = self._at_work(found, earlier)
        host, user = env.get("PGHOST", "postgres"), env.get("PGUSER", "postgres")
        maintenance = env.get("MAINTENANCE_DB", "postgres")
        psql = live.Psql(self.client, self.namespace, live.pod_of(self.client, self.namespace, host), user)
        server = live.look(psql, maintenance)
        if earlier is not None and seen is not None:
            seen = replace(seen, there=resume.is_there(server, wish.database, earlier.stamp))
            if not resume.goes_on(earlier, backup.name, seen):
                back, earlier = self._end(earlier, said), None
        note = earlier or restore_plan.Record(names.stamp(self.clock.now()), backup.name)
        facts = Facts(target, backup, server, note, psql)
        problems = backups.check(backup, full=False)
        facts.notes = said + restore_plan.preflight(wish, backup, problems, server, maintenance)
        for name in wish.stop:
            writers.replicas(self.client, self.namespace, name)
        facts.ready = sorted({*writers.ready_now(self.client, self.namespace), *back})
        present = server.databases.get(wish.database)
        if present and present["open"]:
            try:
                facts.before = live.counts(psql, wish.database, restore_plan.biggest(backup.manifest))
            except HoldfastError as failure:  # damage is why one restores: no reason to refuse
                facts.notes.append(f"what is live now cannot be counted: {failure}")
        self._report(facts, earlier)
        return facts

    def _at_work(self, found: Sequence[backups.Backup], earlier: restore_plan.Record) -> backups.Backup:
        """The backup that a job is restoring at this moment: what was the newest when it began may be so no longer."""
        if not backups.any_newest(self.wanted):
            raise Refused(
                f"a restore of backup {earlier.backup} is at work",
                field="backup",
                value=self.wanted,
                fix=f"wait until its job has ended, or follow it with backup={earlier.backup}",
            )
        return backups.choose(found, earlier.backup)

    def _seen(self, earlier: restore_plan.Record) -> resume.Seen:
        database, now = self.wish.database, self.clock.now()
        return resume.look_at_jobs(self.client, self.namespace, self.name, database, earlier.stamp, now)

    def _end(self, earlier: restore_plan.Record, said: list[str]) -> list[str]:
        """Let go of an earlier restore; the Deployments that were given back. Check mode only looks. said: gets a note."""
        said.append(
            f"an earlier restore of backup {earlier.backup} was lost (phase {earlier.phase}); this one begins anew, "
            f"and what the earlier one stopped is started first: {', '.join(earlier.replicas) or 'nothing'}"
        )
        if self.check_mode:
            return []
        back = resume.give_back(self.client, self.namespace, earlier)
        self._keep(earlier, "done")
        return back

    def _report(self, facts: Facts, earlier: Optional[restore_plan.Record]) -> None:
        self.results.update(
            database=self.wish.database,
            backup=facts.backup.as_dict(),
            notes=facts.notes,
            resumed=earlier is not None,
            eta_seconds=restore_plan.eta_seconds(facts.backup, None),
            expected_downtime_seconds=2 + 10 * bool(self.wish.stop),
            rows_before=facts.before,
        )

    def plan(self, facts: Facts) -> list[Action]:
        """The steps that are left."""
        return restore_plan.plan(self.wish, facts.backup, facts.server, facts.note)

    def evidence(self, facts: Facts, selected: list[Action]) -> Optional[str]:
        """What was there before anything was touched."""
        bundle = Bundle.open("pg-restore", root=self.evidence_dir, clock=self.clock)
        bundle.add_json("backup.json", facts.backup.as_dict())
        bundle.add_json("plan.json", [action.as_dict() for action in selected])
        bundle.add_json("rows_before.json", facts.before)
        bundle.add_json("databases.json", facts.server.databases)
        return bundle.seal()

    def act(self, action: Action, context: Context) -> Optional[dict[str, Any]]:
        """One step; the record says so before the next one begins."""
        facts: Facts = context.facts
        note = facts.note
        if action.kind == "prepare":
            self._keep(note, "preparing")
            try:
                detail = self._job(facts, "prepare", context)
            except Refused:
                self._keep(note, "done")  # trying the same again would change nothing
                raise
            self.results["prepared"] = detail
            self._keep(note, "prepared")
            return detail
        name = action.target.split("/", 1)[-1]
        if action.kind == "stop":
            note.replicas.setdefault(name, writers.replicas(self.client, self.namespace, name))
            self._keep(note, note.phase)  # how many there were, before there are none
            writers.scale(self.client, self.namespace, name, 0)
            return {"replicas": note.replicas[name]}
        if action.kind == "swap":
            try:
                detail = self._job(facts, "swap", context)
            except HoldfastError as failure:
                for stopped, replicas in note.replicas.items():
                    writers.scale(self.client, self.namespace, stopped, replicas)
                if isinstance(failure, Refused):
                    self._keep(note, "done")  # what is loaded cannot be swapped in: the next run loads anew
                raise
            self.results.update(kept=detail.get("kept"), downtime_ms=detail.get("downtime_ms"))
            self._keep(note, "swapped")
            if not note.replicas:
                return detail
            try:
                self.results["rows_after"] = self._count(facts)
            except HoldfastError as failure:  # the writers come back all the same
                facts.notes.append(f"the rows could not be counted before the writers came back: {failure}")
            return detail
        if action.kind == "start":
            writers.scale(self.client, self.namespace, name, note.replicas.get(name, 1))
        return None

    def _keep(self, note: restore_plan.Record, phase: str) -> None:
        note.phase = phase
        record.write(self.client, self.namespace, self.name, self.wish.database, note)

    def _job(self, facts: Facts, script: str, context: Context) -> dict[str, Any]:
        env = {
            "DATABASE": self.wish.database,
            "BACKUP": facts.backup.name,
            "STAMP": facts.note.stamp,
            "SAFETY": self.wish.safety,
            "SOURCE": self.wish.source_database or self.wish.database,
            "ALLOW_EMPTY": "1" if self.wish.allow_empty else "",
            "KEEP_HOURS": str(self.wish.keep_hours),
        }
        base = f"{self.name}-{script}-{facts.note.stamp.lower()}"
        return run_once(self.client, facts.target.cron, base, f"{script}.sh", env, context)

    def _count(self, facts: Facts) -> dict[str, Optional[int]]:
        return live.counts(facts.psql, self.wish.database, restore_plan.biggest(facts.backup.manifest))

    def verify(self, facts: Facts, outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
        """Count again through the pod's own socket, and see the applications ready."""
        runs.raise_first(outcomes)
        if any(outcome.outcome == "skipped" for outcome in outcomes):
            return False, {"rows_after": {}}
        quiet = "rows_after" in self.results
        after: dict[str, Optional[int]] = {}
        try:
            after = self.results.pop("rows_after") if quiet else self._count(facts)
            wrong = restore_plan.judge(facts.backup.manifest, after, quiet)
        except HoldfastError as failure:  # swapped it is: said as a problem, so that the record still ends
            wrong = [f"the rows could not be counted: {failure}"]
        wanted = sorted(set(facts.ready) | set(facts.note.replicas))
        late = writers.wait_ready(self.client, self.namespace, wanted, Deadline(self.clock, READY_SECONDS))
        self._keep(facts.note, "done")
        undo = (
            f"holdfast.k3s.pg_restore_undo: {{namespace: {self.namespace}, database: {self.wish.database!r}}}"
        )
        return not wrong and not late, {"rows_after": after, "problems": wrong + late, "undo": undo}


def run_once(
    client: Client, cron: dict[str, Any], base: str, script: str, env: dict[str, str], context: Context
) -> dict[str, Any]:
    """Run a step's job, or pick up the one that an earlier run started; a failed one is followed by a new try."""
    job = jobs.start(client, jobs.from_cron(cron, base, script, env))
    progress = Progress(f"{DIRECTORY}/{job}.jsonl", context.clock)
    left = Deadline(context.clock, context.deadline.remaining())
    return jobs.follow(client, cron["metadata"]["namespace"], job, left, progress).require().result


def only(databases: list[str]) -> str:
    """The one database of a backup, when there is only one."""
    if len(databases) == 1:
        return databases[0]
    raise HoldfastError(
        "is needed: the backup holds several databases", field="database", fix=", ".join(databases)
    )

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take a restore back: the database that it set aside becomes the live one again."""

from __future__ import annotations

import json
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import Bundle
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.progress import DIRECTORY, Progress
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import Context, run
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import jobs, live, names, restore, writers
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import run as runs


def kept(server: live.Server, database: str) -> list[str]:
    """The databases that restores of this one have set aside, newest first. Pure."""
    found = []
    for name, facts in server.databases.items():
        state = parse(facts.get("comment"))
        if state.get("holdfast") == "before" and state.get("of") == database:
            found.append((str(state.get("stamp")), name))
    return [name for _stamp, name in sorted(found, reverse=True)]


def parse(comment: Optional[str]) -> dict[str, Any]:
    """The state in a database's comment; empty when it is somebody else's comment."""
    try:
        state = json.loads(comment or "")
    except ValueError:
        return {}
    return state if isinstance(state, dict) and "holdfast" in state else {}


def undo(
    client: Client,
    namespace: str,
    name: str,
    limits: runs.Limits,
    *,
    database: str = "",
    before: str = "",
    keep_hours: int = 72,
    evidence_dir: str = "/var/lib/holdfast/incidents",
) -> Envelope:
    """Exchange the names back. before: which kept database; the newest by default."""
    clock = Clock()
    shown: dict[str, Any] = {}

    def observe() -> dict[str, Any]:
        target = runs.observe(client, namespace, name, "swap")
        wanted = database or restore.only(target.databases)
        target.running = jobs.unfinished(
            client, namespace, name, "swap", {"MODE": "undo", "DATABASE": wanted}
        )
        env = runs.env_of(target.cron)
        pod = live.pod_of(client, namespace, env.get("PGHOST", "postgres"))
        psql = live.Psql(client, namespace, pod, env.get("PGUSER", "postgres"))
        server = live.look(psql, env.get("MAINTENANCE_DB", "postgres"))
        if not server.reachable:
            raise Refused(
                f"the server cannot be looked at: {server.why}", fix="bring the database's pod up first"
            )
        found = kept(server, wanted)
        if not target.running and (before not in found if before else not found):
            raise Refused(
                "no restore of this database has left one to go back to",
                field="before" if before else "database",
                value=before or wanted,
                fix=f"there are {', '.join(found) or 'none'}; kept databases are dropped after keep_hours",
            )
        shown.update(database=wanted, choices=found)
        ready = writers.ready_now(client, namespace)
        return {
            "target": target,
            "database": wanted,
            "before": before or (found or [""])[0],
            "psql": psql,
            "ready": ready,
        }

    def plan(facts: dict[str, Any]) -> list[Action]:
        why = f"{facts['before']} becomes live again; what is live now is kept for {keep_hours} h"
        return [Action("undo", facts["database"], why, "high", True)]

    def act(_action: Action, context: Context) -> dict[str, Any]:
        facts = context.facts
        running = facts["target"].running
        stamp = names.stamp(clock.now())
        if running:
            job = running["metadata"]["name"]
            progress = Progress(f"{DIRECTORY}/{job}.jsonl", clock)
            left = Deadline(clock, context.deadline.remaining())
            return jobs.follow(client, namespace, job, left, progress).require().result
        env = {
            "DATABASE": facts["database"],
            "MODE": "undo",
            "STAMP": stamp,
            "BEFORE": facts["before"],
            "KEEP_HOURS": str(keep_hours),
        }
        cron = facts["target"].cron
        detail = restore.run_once(client, cron, f"{name}-undo-{stamp.lower()}", "swap.sh", env, context)
        shown.update(kept=detail.get("kept"), downtime_ms=detail.get("downtime_ms"))
        return detail

    def evidence(facts: dict[str, Any], selected: list[Action]) -> Optional[str]:
        bundle = Bundle.open("pg-restore-undo", root=evidence_dir, clock=clock)
        bundle.add_json("plan.json", [action.as_dict() for action in selected])
        bundle.add_json("choices.json", shown)
        return bundle.seal()

    def verify(facts: dict[str, Any], outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
        runs.raise_first(outcomes)
        tables = facts["psql"].ask(
            facts["database"], "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p');"
        )
        late = writers.wait_ready(client, namespace, facts["ready"], Deadline(clock, restore.READY_SECONDS))
        return tables.isdigit() and not late, {"problems": late}

    envelope = run(
        observe=observe,
        plan=plan,
        act=act,
        verify=verify,
        check_mode=limits.check_mode,
        clock=clock,
        deadline_seconds=limits.deadline,
        budget=limits.budget,
        evidence=evidence,
    )
    envelope.extra.update(shown)
    return envelope

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One table of a backup, or some of its rows, beside the live one: what differs, and the SQL that puts it right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import Bundle
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import Context, run
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import backups, live, names, restore
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import run as runs

SHOWN = ("schema", "rows", "missing", "different", "extra", "left", "examples", "sql")


@dataclass
class Wish:
    """What the caller asks for. rows: only rows that equal one of these {column: value}; all when empty.

    apply: also run the SQL. keep_hours: how long the copy stays in its schema.
    """

    table: str
    schema: str = "public"
    database: str = ""
    backup: str = "latest verified"
    rows: Sequence[Mapping[str, Any]] = ()
    apply: bool = False
    keep_hours: int = 72


@dataclass
class Facts:
    """What was observed."""

    target: runs.Target
    database: str
    backup: backups.Backup
    psql: live.Psql


def check_rows(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows as {column: plain value}, or a clear error. Pure."""
    for row in rows:
        plain = (
            isinstance(row, Mapping) and row and not any(isinstance(v, (dict, list)) for v in row.values())
        )
        if not plain:
            raise HoldfastError(
                "each entry names columns and their values", field="rows", value=row, fix='like {"id": 42}'
            )
    return [dict(row) for row in rows]


@dataclass
class TableRestore:
    """One run."""

    client: Client
    namespace: str
    name: str
    wish: Wish
    evidence_dir: str
    clock: Clock = field(default_factory=Clock)
    results: dict[str, Any] = field(default_factory=dict)

    def run(self, limits: runs.Limits) -> Envelope:
        """The whole of it; unchanged when nothing differs."""
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
        )
        envelope.extra.update(self.results)
        if not limits.check_mode and not any(
            self.results.get(key) for key in ("missing", "different", "extra")
        ):
            envelope.changed = False
        return envelope

    def observe(self) -> Facts:
        """The backup and the server; refuses what cannot work before a job starts."""
        wish = self.wish
        check_rows(wish.rows)
        target = runs.observe(self.client, self.namespace, self.name, "table")
        database = names.check_database(wish.database or restore.only(target.databases))
        if target.volume is None:
            raise Refused(
                "the backup volume is not on this host", fix="run this on the node that holds the volume"
            )
        backup = backups.choose(backups.read(target.volume, database)[0], wish.backup)
        problems = backups.check(backup, full=False)
        if problems:
            raise Refused(f"its files are damaged: {problems[0]}", field="backup", value=backup.name)
        env = runs.env_of(target.cron)
        pod = live.pod_of(self.client, self.namespace, env.get("PGHOST", "postgres"))
        if not pod:
            raise Refused(
                "the database has no ready pod", fix="bring it up first (playbook recover_database)"
            )
        self.results.update(database=database, backup=backup.as_dict())
        psql = live.Psql(self.client, self.namespace, pod, env.get("PGUSER", "postgres"))
        return Facts(target, database, backup, psql)

    def plan(self, facts: Facts) -> list[Action]:
        """One step: the comparison, or the comparison and the change."""
        table = f"{self.wish.schema}.{self.wish.table}"
        what = f"{len(self.wish.rows)} rows" if self.wish.rows else "its rows"
        why = f"bring {what} from backup {facts.backup.name} into a schema beside it and compare"
        if not self.wish.apply:
            return [Action("compare", table, why, "low")]
        return [Action("upsert", table, f"{why}; then put back what is missing or different", "high", True)]

    def evidence(self, facts: Facts, selected: list[Action]) -> Optional[str]:
        """What was asked for. The rows that are replaced are kept in the side schema, not here."""
        bundle = Bundle.open("pg-restore-table", root=self.evidence_dir, clock=self.clock)
        bundle.add_json("backup.json", facts.backup.as_dict())
        bundle.add_json("plan.json", [action.as_dict() for action in selected])
        return bundle.seal()

    def act(self, action: Action, context: Context) -> dict[str, Any]:
        """Run the job."""
        facts: Facts = context.facts
        stamp = names.stamp(self.clock.now())
        env = {
            "DATABASE": facts.database,
            "BACKUP": facts.backup.name,
            "STAMP": stamp,
            "SCHEMA": self.wish.schema,
            "TABLE": self.wish.table,
            "ROWS": json.dumps(check_rows(self.wish.rows), sort_keys=True) if self.wish.rows else "",
            "APPLY": "1" if self.wish.apply else "",
            "KEEP_HOURS": str(self.wish.keep_hours),
        }
        base = f"{self.name}-table-{stamp.lower()}"
        detail = restore.run_once(self.client, facts.target.cron, base, "table.sh", env, context)
        self.results.update({key: detail.get(key) for key in SHOWN})
        return {key: detail.get(key) for key in SHOWN if key not in ("examples", "sql")}

    def verify(self, facts: Facts, outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
        """Ask the server again through its own pod what still differs."""
        runs.raise_first(outcomes)
        schema = self.results.get("schema")
        if not schema:
            return False, {}
        left = facts.psql.ask(
            facts.database,
            "SELECT count(*) FROM :\"side\".diff WHERE kind <> 'extra';",
            {"side": str(schema)},
        )
        wanted = "0" if self.wish.apply else str(self.results["left"])
        return left == wanted, {"diff": {"before": "", "after": f"{self.results['sql']};\n"}}

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings from the rows of databases, counted against what is expected and what the newest backup has. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.health.cluster_facts import ClusterFacts
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import Finding

LOST_ROWS = "look before anything else is written; then ansible-playbook holdfast.k3s.restore"
NAMED = 5


def check(facts: ClusterFacts) -> list[Finding]:
    """Tables with too few rows, and tables with fewer than their newest backup."""
    return [*_rows(facts), *_backup_rows(facts)]


def _rows(facts: ClusterFacts) -> list[Finding]:
    found = []
    for entry in facts.rows:
        where = f"table {entry['table']} of {entry['database']} in {entry['namespace']}/{entry['pod']}"
        if "error" in entry:
            found.append(_unknown(f"the rows of {where} could not be counted: {entry['error']}"))
        elif entry["rows"] < entry["min_rows"]:
            text = f"{where} has {entry['rows']} rows, expected are at least {entry['min_rows']}"
            found.append(Finding("rows_low", "database", "down", text, LOST_ROWS, value=entry["rows"]))
    return found


def _backup_rows(facts: ClusterFacts) -> list[Finding]:
    """A database that lost rows since its newest backup is down, however well everything around it runs."""
    found = []
    for entry in facts.backup_rows:
        where = f"{entry['namespace']}/{entry['database']}"
        if "error" in entry:
            why = f"could not be compared with its newest backup: {entry['error']}"
            found.append(_unknown(f"the rows of {where} {why}"))
        elif "unproven" in entry:
            text = f"the rows of {where} are compared with nothing: {entry['unproven']}"
            fix = "take one: ansible-playbook holdfast.k3s.backup"
            found.append(Finding("rows_unproven", "database", "note", text, fix))
        elif entry["fewer"]:
            text = (
                f"{where} has fewer rows than its newest backup {entry['backup']}: {_fewer(entry['fewer'])}"
            )
            found.append(Finding("rows_lost", "database", "down", text, LOST_ROWS, value=len(entry["fewer"])))
    return found


def _unknown(text: str) -> Finding:
    return Finding("rows_unknown", "database", "degraded", text, "see whether the database's pod is Ready")


def _fewer(tables: list[dict[str, Any]]) -> str:
    named = [
        f"{one['table']} is gone" if one["rows"] is None else
        f"{one['table']} has {one['rows']} instead of {one['expected']}"
        for one in tables[:NAMED]
    ]  # fmt: skip
    return ", ".join(named) + (f", and {len(tables) - NAMED} more tables" if len(tables) > NAMED else "")

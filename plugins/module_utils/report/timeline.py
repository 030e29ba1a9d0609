# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the results of modules to a timeline: phase, when, how long, what, why. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Optional

MAX_DETAILS = 12


@dataclass(frozen=True)
class Entry:
    """One phase. at: seconds since the first phase began. state: ok | acted | waiting | bad. details: a line each."""

    phase: str
    at: float
    seconds: float
    state: str
    what: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timeline:
    """entries in their order; verdict in one word or sentence, reasons for it, paths of evidence bundles."""

    title: str
    host: str
    started: str
    entries: tuple[Entry, ...]
    verdict: str
    reasons: tuple[str, ...] = ()
    evidence: tuple[str, ...] = field(default_factory=tuple)

    @property
    def seconds(self) -> float:
        """From the first phase's begin to the last one's end."""
        return max((entry.at + entry.seconds for entry in self.entries), default=0.0)


def build(title: str, host: str, steps: list[dict[str, Any]], verdict: str, reasons: list[str]) -> Timeline:
    """A timeline of steps [{"phase": …, "result": a module's result}]; results without a time follow the one before."""
    begins = [_begin(step["result"]) for step in steps]
    known = [begin for begin in begins if begin is not None]
    origin = min(known) if known else None
    entries: list[Entry] = []
    cursor = 0.0
    for step, begin in zip(steps, begins):
        at = (begin - origin).total_seconds() if begin is not None and origin is not None else cursor
        seconds = float((step["result"].get("timing") or {}).get("seconds") or 0)
        entries.append(entry(str(step["phase"]), step["result"], at, seconds))
        cursor = at + seconds
    bundles = [str(step["result"]["evidence"]) for step in steps if step["result"].get("evidence")]
    started = origin.isoformat(timespec="seconds") if origin else ""
    return Timeline(
        title, host, started, tuple(entries), verdict, tuple(reasons), tuple(dict.fromkeys(bundles))
    )


def entry(phase: str, result: dict[str, Any], at: float, seconds: float) -> Entry:
    """One result as an entry."""
    actions, plan = result.get("actions") or [], result.get("plan") or []
    details = _details(result)
    if result.get("failed"):
        return Entry(phase, at, seconds, "bad", f"failed: {result.get('msg')}", details)
    if result.get("skipped"):
        return Entry(phase, at, seconds, "ok", str(result.get("skip_reason") or "not needed"), details)
    if actions:
        return Entry(phase, at, seconds, _state(result), _summary(actions, result), details)
    if plan:
        return Entry(phase, at, seconds, "waiting", f"would do {_kinds(plan)}", details)
    if "healthy" in result:
        state = "ok" if result["healthy"] else "bad"
        return Entry(phase, at, seconds, state, _health(result), details)
    if "broken" in result:
        what = f"{result['broken']} of {result['total']} pods are broken"
        return Entry(phase, at, seconds, "waiting" if result["broken"] else "ok", what, details)
    if result.get("verified") is False:
        found = ", ".join(str(one.get("id")) for one in result.get("findings") or [])
        return Entry(phase, at, seconds, "bad", f"not well{': ' if found else ''}{found}", details)
    return Entry(phase, at, seconds, "ok", str(result.get("verdict") or "nothing to do"), details)


def _begin(result: dict[str, Any]) -> Optional[datetime]:
    try:
        return datetime.fromisoformat(result["timing"]["at"])
    except (KeyError, TypeError, ValueError):
        return None


def _state(result: dict[str, Any]) -> str:
    outcomes = {action.get("outcome") for action in result["actions"]}
    if result.get("verified") is False or outcomes & {"failed", "refused"}:
        return "bad"
    return "acted" if result.get("changed") else "ok"


def _summary(actions: list[dict[str, Any]], result: dict[str, Any]) -> str:
    outcomes = result.get("outcomes") or Counter(action.get("outcome") for action in actions)
    text = f"{_kinds(actions)}: " + ", ".join(
        f"{number} {outcome}" for outcome, number in sorted(outcomes.items())
    )
    if result.get("verified") is True:
        text += "; verified"
    elif result.get("verified") is False:
        text += "; NOT verified"
    return text


def _kinds(actions: list[dict[str, Any]]) -> str:
    counted = Counter(str(action.get("kind")) for action in actions)
    return ", ".join(f"{number} x {kind}" if number > 1 else kind for kind, number in counted.most_common())


def _health(result: dict[str, Any]) -> str:
    waited = result.get("waited") or 0
    return f"{result['verdict']}" + (f" after {waited:g} s" if waited >= 1 else "")


def _details(result: dict[str, Any]) -> tuple[str, ...]:
    lines: list[str] = []
    for finding in result.get("findings") or []:
        if finding.get("severity") in ("down", "degraded") or finding.get("needs_person"):
            told = " — ".join(str(finding[key]) for key in ("id", "title", "evidence") if finding.get(key))
            text = finding.get("text") or told
            lines.append(f"{text}" + (f" → {finding['fix']}" if finding.get("fix") else ""))
            if finding.get("needs_person"):
                lines.append(f"needs a person: {finding['needs_person']}")
        lines.extend(f"plan: {step}" for step in finding.get("plan") or [])
    lines.extend(
        f"{pod.get('namespace')}/{pod.get('name')}: {pod.get('why')} → {pod.get('fix')}"
        for pod in [*(result.get("pods") or []), *(result.get("survived") or [])]
        if "why" in pod
    )
    done = {(a.get("kind"), a.get("target")): a for a in result.get("actions") or []}
    for planned in result.get("plan") or []:
        action = done.get((planned.get("kind"), planned.get("target")), {})
        line = f"{planned.get('kind')} {planned.get('target')} [risk {planned.get('risk')}]: {planned.get('why')}"
        if action:
            line += f" — {action.get('outcome')} in {float(action.get('seconds') or 0):.1f} s"
        if action.get("error"):
            line += f" ({action['error']})"
        lines.append(line)
    lines.extend(
        f"left alone: {left.get('namespace')}/{left.get('name')} ({left.get('class')}): {left.get('why')}"
        for left in result.get("left") or []
    )
    lines.extend(
        f"not ready: {waiting.get('kind')} {waiting.get('name')}: {'; '.join(waiting.get('why') or [])}"
        for waiting in result.get("not_ready") or []
    )
    lines.extend(
        f"{row['rows']} rows in {row['database']}.{row['table']}, expected at least {row['min_rows']}"
        for row in (result.get("facts") or {}).get("rows") or []
        if "rows" in row
    )
    lines.extend(
        f"{row['tables']} tables of {row['namespace']}/{row['database']} compared with backup {row['backup']}: "
        + (f"{len(row['fewer'])} have fewer rows" if row["fewer"] else "no row is missing")
        for row in (result.get("facts") or {}).get("backup_rows") or []
        if "fewer" in row
    )
    lines = list(dict.fromkeys(lines))
    if len(lines) > MAX_DETAILS:
        lines = [*lines[: MAX_DETAILS - 1], f"and {len(lines) - MAX_DETAILS + 1} more, see the JSON"]
    return tuple(lines)

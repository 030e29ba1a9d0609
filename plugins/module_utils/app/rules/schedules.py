# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cron expressions: what a clock knows, and how often they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("weekday", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)  # fmt: skip
_MACROS = {
    "@hourly": 1.0,
    "@daily": 24.0,
    "@midnight": 24.0,
    "@weekly": 168.0,
    "@monthly": 744.0,
    "@yearly": 8784.0,
    "@annually": 8784.0,
}


def schedules(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Every cron expression is one that a clock understands."""
    given = {"backup_schedule": app.get("backup_schedule")}
    given.update({f"cronjobs.{name}.schedule": cron["schedule"] for name, cron in app["cronjobs"].items()})
    given.update({f"off_hours.{field}": (app.get("off_hours") or {}).get(field) for field in ("down", "up")})
    for path, schedule in given.items():
        wrong = problem(schedule, 6 if path.startswith("cronjobs.") else 7) if schedule else ""
        if wrong:
            fix = "write minute, hour, day, month and weekday, such as 0 2 * * *"
            yield Finding("schedule.value", path, wrong, fix, schedule)


def problem(schedule: str, last_day: int = 7) -> str:
    """Why a cron expression is none; empty when it is one. Kubernetes knows no day 7 (last_day 6), other clocks do."""
    if schedule.startswith("@"):
        return "" if schedule in _MACROS else "There is no such short form."
    for text, (name, low, high, words) in zip(schedule.split(), _FIELDS):
        high = last_day if name == "weekday" else high
        if not all(_fits(part, low, high, words) for part in text.lower().split(",")):
            return f"The {name} {text} is not within {low} to {high}."
    return ""


def _fits(part: str, low: int, high: int, words: Mapping[str, int]) -> bool:
    span, slash, step = part.partition("/")
    if slash and not (step.isdigit() and int(step) > 0):
        return False
    if span in ("*", "?"):
        return True
    first, dash, last = span.partition("-")
    ends = [words.get(end, int(end) if end.isdigit() else -1) for end in ([first, last] if dash else [first])]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def rpo(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A schedule that runs less often than data may be lost cannot keep its promise."""
    schedules = [("backup_schedule", app.get("backup_schedule"), app.get("rpo_hours"))]
    schedules += [
        (f"cronjobs.{n}.schedule", c["schedule"], c.get("rpo_hours")) for n, c in app["cronjobs"].items()
    ]
    for path, schedule, hours in schedules:
        if schedule and hours and not problem(schedule) and interval_hours(schedule) > float(hours):
            yield Finding(
                "backup.rpo",
                path,
                f"It runs about every {interval_hours(schedule):g} h, and at most {float(hours):g} h may be lost.",
                "run it more often, or raise rpo_hours",
                schedule,
                source="CF-15",
            )


def interval_hours(schedule: str) -> float:
    """The longest usual gap between two runs of a cron expression, in hours; generous where it is irregular."""
    if schedule.startswith("@"):
        return _MACROS.get(schedule, 8784.0)
    minute, hour, day, month, weekday = schedule.split()
    if month != "*":
        return 8784.0
    if day != "*":
        return 744.0
    if weekday != "*":
        return 168.0
    if hour != "*":
        return _gap(hour, 24)
    return _gap(minute, 60) / 60


def _gap(field: str, size: int) -> float:
    """The largest gap between the values of a cron field on its circle."""
    values: set[int] = set()
    for part in field.split(","):
        span, _slash, step = part.partition("/")
        low, _dash, high = span.partition("-")
        if not (span == "*" or low.isdigit()):
            return float(size)
        first = 0 if span == "*" else int(low)
        last = size - 1 if span == "*" or (step and not high) else int(high or low)
        values.update(range(first, last + 1, int(step or 1)))
    ordered = sorted(values)
    if not ordered:
        return float(size)
    circle = [*ordered[1:], ordered[0] + size]
    return float(max(after - before for before, after in zip(ordered, circle)))


RULES = (schedules, rpo)

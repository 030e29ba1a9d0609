# The role puts the shebang before this.
"""Put an application to sleep out of hours, and wake it. A timer runs this every minute; it acts when the phase changes.

    off-hours FILE         what the schedule says now, once per change of phase
    off-hours FILE up      wake whatever sleeps, whatever the schedule says

FILE (JSON): name, namespace, deployments, down and up (cron expressions), time_zone, kubeconfig.
The number of replicas is written into the Deployment by the same change that makes it zero, and taken back from there:
nothing is lost when the machine stops in between, and what somebody scaled to zero himself is not woken.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

RECORD = "holdfast.dev/off-hours-replicas"
MANAGER = "holdfast-off-hours"
STATE = Path("/var/lib/holdfast/off-hours")
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def field(text: str, low: int, high: int) -> set[int]:
    """The values of one cron field: lists, ranges, steps."""
    found: set[int] = set()
    for part in text.split(","):
        span, _slash, step = part.partition("/")
        first, _dash, last_one = span.partition("-")
        begin = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last_one) else int(last_one or first)
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def last(expression: str, now: datetime) -> datetime:
    """When a cron expression was due last, up to a year back; the beginning of time when it was not."""
    texts = expression.split()
    minutes, hours, days, months, weekdays = (field(text, *limits) for text, limits in zip(texts, LIMITS))

    def due(day: date) -> bool:
        of_month, of_week = day.day in days, bool({day.isoweekday(), day.isoweekday() % 7} & weekdays)
        # Cron takes either when both are restricted.
        fits = of_month or of_week if "*" not in (texts[2], texts[4]) else of_month and of_week
        return day.month in months and fits

    moments = [
        time(hour, minute) for hour in sorted(hours, reverse=True) for minute in sorted(minutes, reverse=True)
    ]
    for back in range(367):
        day = now.date() - timedelta(days=back)
        if due(day):
            for moment in moments:
                found = datetime.combine(day, moment, now.tzinfo)
                if found <= now:
                    return found
    return datetime(1970, 1, 1, tzinfo=now.tzinfo)


def phase(down: str, up: str, now: datetime) -> str:
    """`down` or `up`: which of the two was due last."""
    return "down" if last(down, now) > last(up, now) else "up"


def kubectl(settings: dict[str, Any], *arguments: str) -> str:
    """What kubectl prints; RuntimeError with its words when it fails."""
    argv = ["/usr/local/bin/k3s", "kubectl", "--kubeconfig", settings["kubeconfig"], "--request-timeout=30s"]
    argv += ["--namespace", settings["namespace"], *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def change(deployment: dict[str, Any], direction: str) -> tuple[dict[str, Any], str]:
    """(patch, what it does); an empty patch when there is nothing to do."""
    metadata, replicas = deployment["metadata"], deployment["spec"]["replicas"]
    recorded = (metadata.get("annotations") or {}).get(RECORD)
    record = None
    if direction == "down" and replicas:
        record, count, words = str(replicas), 0, f"asleep, {replicas} replicas are remembered"
    elif direction == "up" and recorded:
        count = replicas or int(recorded)
        words = f"awake with {count} replicas"
    else:
        return {}, ""
    known = {"resourceVersion": metadata["resourceVersion"], "annotations": {RECORD: record}}
    return {"metadata": known, "spec": {"replicas": count}}, words


def act(settings: dict[str, Any], direction: str) -> list[str]:
    """Change every Deployment; returns what could not be changed."""
    failed = []
    for name in settings["deployments"]:
        try:
            found = kubectl(settings, "get", "deployment", name, "--ignore-not-found", "--output=json")
            patch, words = change(json.loads(found), direction) if found else ({}, "")
            if patch:
                options = ["--type=merge", f"--field-manager={MANAGER}", f"--patch={json.dumps(patch)}"]
                kubectl(settings, "patch", "deployment", name, *options)
                print(f"<5>{name}: {words}", flush=True)
        except (RuntimeError, subprocess.TimeoutExpired) as failure:
            failed.append(f"{name}: {failure}")
    return failed


def main() -> int:
    settings = json.loads(Path(sys.argv[1]).read_text())
    wanted = phase(settings["down"], settings["up"], datetime.now(ZoneInfo(settings["time_zone"])))
    state, forced = STATE / settings["name"], sys.argv[2:] == ["up"]
    if not forced and state.exists() and state.read_text() == wanted:
        return 0
    failed = act(settings, "up" if forced else wanted)
    if failed:
        print("\n".join(f"<3>{line}" for line in failed), file=sys.stderr)
        return 1
    STATE.mkdir(parents=True, exist_ok=True)
    state.write_text(wanted)  # after a forced wake too: it stays awake until `down` is due the next time
    return 0


if __name__ == "__main__":
    sys.exit(main())

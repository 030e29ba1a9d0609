# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Jobs, cron jobs and migrations, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.service import container_fields

DEADLINE = 900


def normalize_jobs(app: Mapping[str, Any], raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(jobs, cronjobs); a migration is a job that runs before the services unless it says `when: post`."""
    jobs = {}
    for name, given in _enabled(raw.get("migrations")):
        jobs[name] = _job(app, name, {"migration": True, **given})
    for name, given in _enabled(raw.get("jobs")):
        jobs[name] = _job(app, name, given)
    cronjobs = {}
    for name, given in _enabled(raw.get("cronjobs")):
        cron = _job(app, name, given)
        cron.setdefault("time_zone", "Etc/UTC")
        cron.setdefault("concurrency", "Forbid")
        cron.setdefault("keep_failed", 3)
        cron.setdefault("keep_successful", 3)
        cronjobs[name] = cron
    return jobs, cronjobs


def _enabled(entries: Optional[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, given) for name, given in (entries or {}).items() if given.get("enabled", True)]


def _job(app: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A job borrows image, environment and secrets from the service it names in `service`."""
    lender = app["services"].get(given.get("service", ""), {})
    borrowed = {
        key: lender[key] for key in ("image", "env", "config", "secrets", "security") if key in lender
    }
    merged = {**borrowed, **given, "env": {**borrowed.get("env", {}), **(given.get("env") or {})}}
    job = {"when": "pre", "retries": 2, "deadline": DEADLINE, "order": 0, **merged, "name": name}
    job.update(container_fields(app, name, merged))
    job["component"] = given.get("component", "migration" if given.get("migration") else "job")
    return job

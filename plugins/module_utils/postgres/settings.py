# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a backup is told: a checked form of the role's variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import data, names, offsite

NAME_LIMIT = 35  # a job is called <name>-prepare-<time>-<try>, and a pod's label holds 63 characters
_DNS = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


@dataclass(frozen=True)
class Settings:
    """One backup: some databases of one server, one volume, one schedule. Sizes are Kubernetes quantities."""

    namespace: str
    name: str
    host: str
    databases: tuple[str, ...]
    user: str
    secret: str
    secret_key: str
    scripts: dict[str, str]
    image: str = ""
    port: int = 5432
    maintenance_db: str = "postgres"
    schedule: str = "0 2 * * *"
    time_zone: str = "Etc/UTC"
    verify_schedule: str = "30 3 * * *"
    cleanup_schedule: str = "17 * * * *"
    claim: str = "postgres-backup-storage"
    storage_size: str = "10Gi"
    storage_class: str = ""
    keep_daily: int = 7
    keep_weekly: int = 4
    keep_monthly: int = 6
    keep_recent_hours: int = 24
    rpo_hours: int = 26
    jobs: int = 2
    hash_max_mb: int = 20480
    deadline: int = 7200
    run_as_user: int = 999
    run_as_group: int = 999
    scratch_size: str = "10Gi"
    resources: dict[str, Any] = field(default_factory=dict)
    verify_resources: dict[str, Any] = field(default_factory=dict)
    network_policy: bool = True
    offsite: Optional[offsite.Offsite] = None
    data: tuple[data.Item, ...] = ()

    @property
    def directories(self) -> tuple[str, ...]:
        """What has a directory on the backup volume: databases, and data beside them."""
        return (*self.databases, *(item.directory for item in self.data))


def load(raw: dict[str, Any]) -> Settings:
    """Settings from plain values; the first thing that cannot work is a HoldfastError."""
    values = {key: value for key, value in raw.items() if value is not None}
    unknown = sorted(set(values) - set(Settings.__dataclass_fields__))
    if unknown:
        raise HoldfastError("no such setting", field=unknown[0], fix="see the role's README for the names")
    values["databases"] = tuple(names.check_database(name) for name in values.get("databases") or ())
    missing = [
        key for key in ("namespace", "name", "host", "user", "secret", "secret_key") if not values.get(key)
    ]
    if missing or not values["databases"]:
        raise HoldfastError(
            "is needed", field=missing[0] if missing else "databases", fix="set it in the inventory"
        )
    for key in ("namespace", "name", "claim"):
        _name(key, values.get(key, "x"), NAME_LIMIT if key == "name" else 63)
    values["offsite"] = offsite.load(values.get("offsite"))
    values["data"] = data.load(values.get("data") or (), values["name"])
    settings = Settings(**values)
    _rpo(settings)
    return settings


def _name(key: str, value: str, limit: int) -> None:
    if not _DNS.match(value) or len(value) > limit:
        raise HoldfastError(
            f"a name of at most {limit} lower-case letters, digits and dashes", field=key, value=value
        )


def hours_between(schedule: str) -> Optional[float]:
    """The longest gap of a simple cron schedule in hours; None when it is not simple enough to say."""
    parts = schedule.split()
    if len(parts) != 5:
        return {"@hourly": 1.0, "@daily": 24.0, "@midnight": 24.0, "@weekly": 168.0}.get(schedule)
    minute, hour, day, month, weekday = parts
    if (day, month) != ("*", "*"):
        return None
    if minute.startswith("*/") and hour == "*" and weekday == "*":
        return int(minute[2:]) / 60 if minute[2:].isdigit() else None
    if not minute.isdigit():
        return None
    if weekday != "*":
        return 168.0 if weekday.isdigit() and hour.isdigit() else None
    if hour == "*":
        return 1.0
    if hour.startswith("*/"):
        return float(hour[2:]) if hour[2:].isdigit() else None
    hours = hour.split(",")
    if not all(part.isdigit() for part in hours):
        return None
    times = sorted(int(part) for part in hours)
    return float(max(b - a for a, b in zip(times, [*times[1:], times[0] + 24])))


def _rpo(settings: Settings) -> None:
    for key, what in (("schedule", "a backup"), ("verify_schedule", "a trial restore")):
        value = str(getattr(settings, key))
        gap = hours_between(value)
        if gap is not None and gap > settings.rpo_hours:
            raise HoldfastError(
                f"{what} every {gap:g} h cannot keep the age of the newest verified one below {settings.rpo_hours} h",
                field=key,
                value=value,
                fix='run it more often ("0 * * * *" is every hour) or raise rpo_hours',
            )

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is backed up beside the databases: Redis, RabbitMQ's definitions, MongoDB, plain volumes. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

KINDS = {"redis": 6379, "rabbitmq": 15672, "mongodb": 27017, "volume": 0}
JOB_NAME_LIMIT = 46  # a pod's label holds 63 characters, and the time of a run takes 17


@dataclass(frozen=True)
class Item:
    """One thing. image: of the service itself (of a volume: anything with tar). host, port: where it listens.

    user; secret and secret_key: how to log in. claim: of a volume. quiesce, unquiesce: command lines around the copy.
    """

    name: str
    kind: str
    image: str
    host: str = ""
    port: int = 0
    user: str = ""
    secret: str = ""
    secret_key: str = ""
    claim: str = ""
    quiesce: str = ""
    unquiesce: str = ""
    schedule: str = "0 3 * * *"
    run_as_user: Optional[int] = None

    @property
    def directory(self) -> str:
        """Its directory on the backup volume."""
        return f"data-{self.name}"

    @property
    def listens(self) -> int:
        """The port that the job has to reach; 0 for a volume."""
        return self.port or KINDS[self.kind]


def load(raw: Sequence[dict[str, Any]], backup: str) -> tuple[Item, ...]:
    """The items; the first thing that cannot work is a HoldfastError. backup: name of the backup's CronJob."""
    found = []
    for number, entry in enumerate(raw):
        field = f"data[{number}]"
        unknown = sorted(set(entry) - set(Item.__dataclass_fields__))
        if unknown:
            raise HoldfastError("no such setting", field=f"{field}.{unknown[0]}", fix="see the role's README")
        for key in ("name", "kind", "image"):
            if not entry.get(key):
                raise HoldfastError("is needed", field=f"{field}.{key}")
        if entry["kind"] not in KINDS:
            raise HoldfastError(
                "no such kind", field=f"{field}.kind", value=entry["kind"], fix=", ".join(KINDS)
            )
        item = Item(**entry)
        if (
            not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", item.name)
            or len(job_name(backup, item)) > JOB_NAME_LIMIT
        ):
            raise HoldfastError(
                f"a short name of lower-case letters, digits and dashes ({job_name(backup, item)} may have {JOB_NAME_LIMIT})",
                field=f"{field}.name",
                value=item.name,
            )
        needed = "claim" if item.kind == "volume" else "host"
        if not getattr(item, needed):
            raise HoldfastError("is needed for this kind", field=f"{field}.{needed}", value=item.kind)
        if bool(item.secret) != bool(item.secret_key):
            raise HoldfastError("secret and secret_key go together", field=f"{field}.secret")
        if item.unquiesce and not item.quiesce:
            raise HoldfastError("nothing to undo without quiesce", field=f"{field}.unquiesce")
        found.append(item)
    names = [item.name for item in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise HoldfastError("is there twice", field="data", value=twice[0])
    return tuple(found)


def job_name(backup: str, item: Item) -> str:
    """The name of its CronJob."""
    return f"{backup}-data-{item.name}"


def environment(item: Item) -> list[dict[str, Any]]:
    """The environment of its job, beside what all have."""
    plain = {
        "HOST": item.host,
        "KIND": item.kind,
        "NAME": item.directory,
        "PORT": str(item.listens) if item.listens else "",
        "QUIESCE": item.quiesce,
        "UNQUIESCE": item.unquiesce,
        "USER": item.user,
    }
    found: list[dict[str, Any]] = [
        {"name": key, "value": value.replace("$(", "$$(")} for key, value in plain.items() if value
    ]
    if item.secret:
        source = {"secretKeyRef": {"name": item.secret, "key": item.secret_key}}
        found.append({"name": "PASSWORD", "valueFrom": source})
    return found

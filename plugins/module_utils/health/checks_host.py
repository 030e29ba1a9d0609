# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings from the host alone. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import Finding, HostFacts

DISK_PLAN = (
    "journalctl --vacuum-size=200M",
    "remove images that no container uses, but keep those of the last releases (k3s crictl rmi, or maintain)",
    "look for the largest directories: du -x -d 3 -h / | sort -h | tail -20",
    "delete pods that were evicted for it (holdfast.k3s.recover_pods)",
)


def check(facts: HostFacts, params: dict[str, Any], now: datetime) -> list[Finding]:
    """All of them."""
    return [
        *_unit(facts, params),
        *_disks(facts, params),
        *_memory(facts, params),
        *_certificates(facts, params),
        *_datastore(facts, params),
        *_clock(facts),
        *_registry(facts),
        *_backups(facts, params, now),
        *_reboot(facts),
    ]


def _unit(facts: HostFacts, params: dict[str, Any]) -> list[Finding]:
    name, unit = params["service"], facts.unit
    if not unit:
        return [Finding("unit_unknown", "k3s", "note", "systemd did not say how the service is")]
    if unit.get("LoadState") == "not-found":
        text = f"there is no unit {name} on this host"
        return [
            Finding("unit_missing", "k3s", "down", text, "install it: ansible-playbook holdfast.k3s.site")
        ]
    if unit.get("ActiveState") == "active":
        return []
    state = f"{unit.get('ActiveState')}/{unit.get('SubState')}, {unit.get('NRestarts') or 0} restarts"
    return [
        Finding(
            "unit_down",
            "k3s",
            "down",
            f"the service {name} is {state}",
            "ansible-playbook holdfast.k3s.recover",
        )
    ]


def _disks(facts: HostFacts, params: dict[str, Any]) -> list[Finding]:
    found = []
    for disk in facts.disks:
        for what, percent in (("space", disk["percent"]), ("inodes", disk["inode_percent"])):
            if percent < params["disk_percent"]:
                continue
            severity = "down" if percent >= params["disk_percent_down"] else "degraded"
            text = f"{percent} % of the {what} of {disk['path']} is used, {disk['free_mb']} MB are free"
            found.append(
                Finding(
                    f"disk_{what}", "disk", severity, text, "free space; see the plan", DISK_PLAN, percent
                )
            )
    return found


def _memory(facts: HostFacts, params: dict[str, Any]) -> list[Finding]:
    found = []
    if facts.memory.get("total_mb"):
        used = round(100 * (1 - facts.memory["available_mb"] / facts.memory["total_mb"]))
        if used >= params["memory_percent"]:
            text = f"{used} % of the host's memory is used, {facts.memory['available_mb']} MB are available"
            found.append(
                Finding(
                    "memory_host", "memory", "degraded", text, "see the largest consumers below", value=used
                )
            )
    if facts.pressure is not None and facts.pressure >= 10:
        text = f"tasks waited for memory {facts.pressure:g} % of the last ten seconds"
        found.append(
            Finding(
                "memory_stall",
                "memory",
                "degraded",
                text,
                "see the largest consumers below",
                value=facts.pressure,
            )
        )
    return found


def _certificates(facts: HostFacts, params: dict[str, Any]) -> list[Finding]:
    if not facts.certificates:
        return []
    worst = min(facts.certificates, key=lambda entry: entry["days"])
    if worst["days"] < 0:
        text = f"certificate {worst['file']} expired {-worst['days']} days ago"
        return [
            Finding(
                "certificate_expired",
                "certificates",
                "down",
                text,
                "restart k3s: it renews its leaf certificates",
                value=worst["days"],
            )
        ]
    if worst["days"] < params["certificate_days"]:
        text = f"certificate {worst['file']} expires in {worst['days']} days"
        return [
            Finding(
                "certificate_expiring",
                "certificates",
                "degraded",
                text,
                "restart k3s in a quiet hour: it renews them",
                value=worst["days"],
            )
        ]
    return []


def _datastore(facts: HostFacts, params: dict[str, Any]) -> list[Finding]:
    size = facts.datastore.get("size_mb", 0) + facts.datastore.get("wal_mb", 0)
    if size < params["datastore_mb"]:
        return []
    text = f"the datastore has grown to {size} MB"
    return [
        Finding(
            "datastore_big",
            "datastore",
            "degraded",
            text,
            "compact it: holdfast.k3s.maintain, or k3s_recover with allow_vacuum",
            value=size,
        )
    ]


def _clock(facts: HostFacts) -> list[Finding]:
    behind = facts.clock.get("behind") or 0
    if behind > 300:
        text = f"the clock is behind: files of k3s lie {behind} s in the future"
        return [
            Finding(
                "clock_behind", "clock", "degraded", text, "set the clock, then restart k3s", value=behind
            )
        ]
    if facts.clock.get("synchronized") is False:
        return [
            Finding(
                "clock_free",
                "clock",
                "note",
                "no time service keeps the clock",
                "install chrony or systemd-timesyncd",
            )
        ]
    return []


def _registry(facts: HostFacts) -> list[Finding]:
    if not facts.registry or facts.registry["ok"]:
        return []
    text = f"the registry {facts.registry['url']} does not answer: {facts.registry['error']}"
    return [
        Finding(
            "registry_down", "registry", "degraded", text, "ansible-playbook holdfast.k3s.recover_image_pull"
        )
    ]


def _backups(facts: HostFacts, params: dict[str, Any], now: datetime) -> list[Finding]:
    found = []
    for backup in facts.backups:
        name = backup.get("database")
        if backup.get("error"):
            found.append(
                Finding(
                    "backup_unknown",
                    "backup",
                    "degraded",
                    f"backups of {name}: {backup['error']}",
                    "run one: ansible-playbook holdfast.k3s.backup",
                )
            )
            continue
        age, limit = hours(backup.get("newest_at"), now), backup.get("rpo_hours") or params["backup_hours"]
        if age is None or age > limit:
            text = f"the newest backup of {name} is {_age(age)} old, the limit is {limit} h"
            found.append(
                Finding(
                    "backup_old",
                    "backup",
                    "degraded",
                    text,
                    "ansible-playbook holdfast.k3s.backup",
                    value=age,
                )
            )
        verified = hours(backup.get("verified_at"), now)
        limit = backup.get("rpo_hours") or params["verified_backup_hours"]
        if verified is None or verified > limit:
            text = f"the newest verified backup of {name} is {_age(verified)} old, the limit is {limit} h"
            found.append(
                Finding(
                    "backup_unverified",
                    "backup",
                    "degraded",
                    text,
                    "ansible-playbook holdfast.k3s.backup",
                    value=verified,
                )
            )
        away, limit = hours(backup.get("offsite_at"), now), backup.get("offsite_hours")
        if limit and (away is None or away > limit):
            text = f"the newest backup of {name} in another place is {_age(away)} old, the limit is {limit} h"
            found.append(
                Finding(
                    "backup_offsite", "backup", "degraded", text, "run holdfast.k3s.pg_offsite", value=away
                )
            )
        if backup.get("unproven"):
            text = f"a backup of {name} did not restore: {backup['unproven']}"
            found.append(
                Finding(
                    "backup_unproven",
                    "backup",
                    "degraded",
                    text,
                    "look at its verification, then take another backup",
                )
            )
    return found


def _reboot(facts: HostFacts) -> list[Finding]:
    if not facts.reboot:
        return []
    return [
        Finding(
            "reboot_pending",
            "reboot",
            "note",
            f"a reboot is pending: {facts.reboot}",
            "reboot in a quiet hour, then recover_reboot",
        )
    ]


def hours(at: Any, now: datetime) -> Any:
    """Hours since an epoch time or an RFC 3339 text; None when there was none (0 means never)."""
    if not at:
        return None
    try:
        seconds = float(at)
    except (TypeError, ValueError):
        try:
            seconds = datetime.fromisoformat(str(at).replace("Z", "+00:00")).timestamp()
        except ValueError:
            return None
    return round(max(0.0, (now.timestamp() - seconds) / 3600), 1)


def _age(value: Any) -> str:
    return "never taken, or unknown how" if value is None else f"{value:g} h"

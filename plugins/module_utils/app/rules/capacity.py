# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Does it fit on the one node?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.quantity import human_bytes, parse
from ansible_collections.holdfast.k3s.plugins.module_utils.app.role_split import highest_floor
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding

Need = dict[str, Decimal]


def _request(entry: Mapping[str, Any], kind: str) -> Decimal:
    return parse((entry["resources"].get("requests") or {}).get(kind, 0)) or Decimal(0)


def needs(app: Mapping[str, Any]) -> Need:
    """What the release asks for: cpu (cores), memory and storage (bytes), and the largest rollout's surge on top."""
    total: Need = {key: Decimal(0) for key in ("cpu", "memory", "storage", "surge_cpu", "surge_memory")}
    for service in app["services"].values():
        replicas = highest_floor(service)
        for kind in ("cpu", "memory"):
            total[kind] += _request(service, kind) * replicas
            if service["strategy"]["type"] == "RollingUpdate":
                extra = _request(service, kind) * _surge(service["strategy"]["max_surge"], replicas)
                total[f"surge_{kind}"] = max(total[f"surge_{kind}"], extra)
        for volume in service["volumes"].values():
            total["storage"] += _size(volume) if volume["kind"] == "claim" and volume["own"] else 0
    for claim in app["claims"].values():
        total["storage"] += Decimal(0) if claim.get("existing") else _size(claim)
    for service in app["data_services"].values():
        if service["mode"] == "external":
            continue
        members = service["replicas"]
        copies = int((service.get("replica") or {}).get("replicas", 1)) if service.get("replica") else 0
        for kind in ("cpu", "memory"):
            total[kind] += _request(service, kind) * (members + copies)
        copy = {**service["storage"], **((service.get("replica") or {}).get("storage") or {})}
        total["storage"] += _size(service["storage"]) * members + _size(copy) * copies
    return total


def _size(entry: Mapping[str, Any]) -> Decimal:
    return parse(entry.get("size", 0)) or Decimal(0)


def _surge(value: Any, replicas: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return -(-replicas * int(value[:-1]) // 100)
    return int(value)


def fits(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Against what the inventory says about the node (`capacity`)."""
    yield from compare(needs(app), app.get("capacity") or {})


def compare(need: Need, offered: Mapping[str, Any]) -> Iterator[Finding]:
    """One finding per resource that does not fit; CPU and memory include the surge of the largest rollout."""
    for kind in ("cpu", "memory", "storage"):
        limit = parse(offered.get(kind, ""))
        wanted = need[kind] + need.get(f"surge_{kind}", Decimal(0))
        if limit is not None and wanted > limit:
            shown = human_bytes(wanted) if kind != "cpu" else f"{wanted:f}"
            surge = "" if kind == "storage" else " (with one rollout's surge)"
            yield Finding(
                f"capacity.{kind}",
                f"capacity.{kind}",
                f"The release asks for {shown}{surge}, and the node offers less.",
                "lower requests, replicas or sizes, use strategy: recreate, or a larger node",
                str(offered[kind]),
                source="SC-36",
            )


RULES = (fits,)

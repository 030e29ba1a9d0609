# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replicas, autoscaling, budgets, strategies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.role_split import highest_floor
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding


def highest(service: Mapping[str, Any]) -> int:
    """The most replicas a service may have."""
    return int(service["autoscaling"]["max"]) if service["autoscaling"] else int(service["replicas"])


def hpa_and_replicas(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A number that the autoscaler would overwrite is a number that misleads."""
    for name, service in app["services"].items():
        scaling = service["autoscaling"]
        fixed = "replicas" in service.get("given", {})
        if scaling and fixed and not scaling["min"] <= service["replicas"] <= scaling["max"]:
            yield Finding(
                "scaling.hpa_replicas",
                f"services.{name}.replicas",
                f"The autoscaler keeps {scaling['min']} to {scaling['max']} replicas, so this number never holds.",
                "remove replicas, or set autoscaling.enabled: false",
                service["replicas"],
                source="CF-05",
            )


def hpa_range(app: Mapping[str, Any]) -> Iterator[Finding]:
    """min above max."""
    for name, service in app["services"].items():
        scaling = service["autoscaling"]
        if scaling and scaling["min"] > scaling["max"]:
            yield Finding(
                "scaling.hpa_range",
                f"services.{name}.autoscaling.min",
                f"It is above max ({scaling['max']}).",
                "set min <= max",
                scaling["min"],
                source="CF-05",
            )


def hpa_needs_requests(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Utilization is a share of the request: without one the autoscaler knows nothing."""
    for name, service in app["services"].items():
        for kind in ("cpu", "memory"):
            if kind in service["autoscaling"] and kind not in (service["resources"].get("requests") or {}):
                yield Finding(
                    "scaling.hpa_requests",
                    f"services.{name}.autoscaling.{kind}",
                    f"The autoscaler measures {kind} against its request, and there is none.",
                    f"set services.{name}.resources.requests.{kind}",
                    source="CF-04",
                )


def single_profile(app: Mapping[str, Any]) -> Iterator[Finding]:
    """The single profile: exactly one replica, no autoscaling."""
    if app["profile"] != "single":
        return
    for name, service in app["services"].items():
        if service["replicas"] > 1:
            yield Finding(
                "profile.single_replicas",
                f"services.{name}.replicas",
                "The single profile runs one replica of everything.",
                "set profile: custom (or ha), or replicas: 1",
                service["replicas"],
                source="SN-23",
            )
        if service["autoscaling"]:
            yield Finding(
                "profile.single_autoscaling",
                f"services.{name}.autoscaling",
                "The single profile has no autoscaling.",
                "set profile: custom (or ha), or autoscaling.enabled: false",
                source="SN-68",
            )


def pdb_blocks_drain(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A budget as large as the replicas lets no pod go: right on one node, and worth knowing."""
    everyone = {f"services.{name}": service for name, service in app["services"].items()}
    everyone.update(
        {f"data_services.{name}": s for name, s in app["data_services"].items() if s["mode"] == "in_cluster"}
    )
    for path, service in everyone.items():
        floor = highest_floor(service)
        least = service["pdb"].get("min_available")
        if isinstance(least, int) and least >= floor:
            yield Finding(
                "pdb.blocks_drain",
                f"{path}.pdb.min_available",
                f"With {floor} replica(s) a drain would wait for ever; upgrades on one node never drain.",
                "nothing on one node; on several give it more replicas",
                least,
                severity="info" if app["profile"] == "single" else "warning",
                source="CF-06",
            )


def shared_state(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Replicas that share state in one pod share its end."""
    for name, service in app["services"].items():
        store = service.get("shared_state")
        if not store or highest(service) < 2:
            continue
        entry = app["data_services"].get(store)
        if entry and (
            entry.get("sentinel") or (entry["mode"] == "external" and entry.get("highly_available", True))
        ):
            continue
        yield Finding(
            "scaling.shared_state",
            f"services.{name}.replicas",
            f"More than one replica shares state in {store}, which is a single point of failure.",
            f"set data_services.{store}.mode: external with its host (or sentinel), or one replica",
            highest(service),
            source="SS-48",
        )


def duplicate_work(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A scaled API without its worker does the background work once per replica."""
    for split in app.get("role_splits") or []:
        api = app["services"].get(split["api"])
        if api and split["worker"] not in app["services"] and highest_floor(api) > 1:
            if split.get("api_scaled") and not split.get("risk"):
                continue
            yield Finding(
                "scaling.duplicate_work",
                f"services.{split['api']}.replicas",
                f"Without the worker {split['worker']} every replica does the background work: "
                f"{split.get('risk', 'it is done twice')}.",
                f"set services.{split['worker']}.enabled: true",
                highest_floor(api),
                severity="warning",
                source="ST-50",
            )


def spread_strands(app: Mapping[str, Any]) -> Iterator[Finding]:
    """DoNotSchedule over hosts leaves the second replica pending on one node."""
    for name, service in app["services"].items():
        if any(entry["when"] == "DoNotSchedule" for entry in service["spread"]) and highest(service) > 1:
            yield Finding(
                "spread.strands_pods",
                f"services.{name}.topology_spread",
                "DoNotSchedule leaves pods pending when there are fewer nodes than replicas.",
                "set when: ScheduleAnyway",
                "DoNotSchedule",
                severity="warning",
                source="CF-11",
            )


def rolling_moves(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A rolling update without surge and without a pod that may be missing cannot replace any."""
    for name, service in app["services"].items():
        strategy = service["strategy"]
        if all(
            str(strategy.get(way, 1)).rstrip("%").strip("0") == "" for way in ("max_surge", "max_unavailable")
        ):
            yield Finding(
                "strategy.stands_still",
                f"services.{name}.strategy",
                "With max_surge 0 and max_unavailable 0 no pod could be replaced.",
                "set max_surge or max_unavailable to at least 1, or strategy: recreate",
            )


def pool_sum(app: Mapping[str, Any]) -> Iterator[Finding]:
    """All connection pools together must fit the database."""
    for name, database in app["data_services"].items():
        allowed = database.get("max_connections")
        users = [s for s in app["services"].values() if (s.get("pool") or {}).get("service") == name]
        wanted = sum(int(s["pool"]["max"]) * highest(s) for s in users)
        if allowed and wanted > int(allowed):
            yield Finding(
                "data.pool_sum",
                f"data_services.{name}.max_connections",
                f"The services' pools may open {wanted} connections.",
                "raise max_connections, or lower pool.max or replicas",
                allowed,
                source="SC-77",
            )


RULES = (
    hpa_and_replicas, hpa_range, hpa_needs_requests, single_profile, pdb_blocks_drain, shared_state, duplicate_work,
    spread_strands, rolling_moves, pool_sum,
)  # fmt: skip

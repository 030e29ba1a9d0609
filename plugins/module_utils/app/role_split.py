# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""API and worker from one image: who runs the background work follows from which of them is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def apply_role_splits(
    services: dict[str, dict[str, Any]], splits: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """services with the environment of each split filled in; what the inventory sets itself wins, per variable.

    A split has `api`, `worker` and the variables for each case: `api_with_worker`, `api_without_worker`,
    `api_scaled` (more than one replica, no worker), `worker_env`.
    """
    for split in splits:
        api, worker = services.get(split["api"]), services.get(split["worker"])
        if api is not None:
            switched = dict(split.get("api_with_worker" if worker else "api_without_worker") or {})
            if highest_floor(api) > 1:
                switched.update(split.get("api_scaled") or {})
            api["env"] = {**switched, **api["env"]}
            api["split_worker"] = split["worker"]
        if worker is not None:
            worker["env"] = {**(split.get("worker_env") or {}), **worker["env"]}
    return services


def highest_floor(service: Mapping[str, Any]) -> int:
    """The replicas that are always there: the autoscaler's minimum, or the fixed number."""
    scaling = service.get("autoscaling") or {}
    return int(scaling["min"]) if scaling else int(service["replicas"])

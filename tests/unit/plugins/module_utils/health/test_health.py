# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A verdict with the API up, down, and slow to come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sample_health import FEWER, MUSIC, PARAMS, Commands, cluster, node

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.health import (
    assess,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.health.cluster_facts import (
    ClusterFacts,
)


def test_a_dead_api_is_a_finding_and_waiting_ends(tmp_path: Path) -> None:
    clock = FakeClock()

    def connect() -> Any:
        raise ApiUnreachable("the API does not answer")

    params = {**PARAMS, "registry_url": "", "api_timeout": 1, "wait": 10, "areas": ["k3s", "api"]}
    commands: Any = Commands()
    result = assess.assess(params, connect=connect, commands=commands, clock=clock, root=str(tmp_path))
    assert (result["verdict"], result["healthy"]) == ("down", False)
    assert result["reasons"] == ["the API does not answer"] and result["waited"] >= 10
    assert {f["area"] for f in result["findings"]} <= {"k3s", "api"}


def test_rows_are_compared_once_when_all_else_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[float] = []
    clock, began = FakeClock(), FakeClock().monotonic()

    def gather(*_arguments: Any) -> ClusterFacts:
        late = clock.monotonic() - began >= 6
        return cluster(nodes=[node(Ready="True" if late else "False")])

    def count(_connect: Any, facts: ClusterFacts, _params: dict[str, Any]) -> None:
        compared.append(clock.monotonic() - began)
        facts.backup_rows = [{**MUSIC, "backup": "b", "tables": 7, "fewer": FEWER}]

    monkeypatch.setattr(assess.cluster_facts, "gather", gather)
    monkeypatch.setattr(assess.cluster_facts, "count_backup_rows", count)
    areas = ["node", "database"]
    params = {**PARAMS, "registry_url": "", "api_timeout": 1, "wait": 60, "areas": areas, "backup_rows": True}
    commands: Any = Commands()
    result = assess.assess(params, connect=None, commands=commands, clock=clock, root=str(tmp_path))
    assert result["verdict"] == "down" and len(compared) == 1
    assert 6 <= result["waited"] < 60, "lost rows do not come back: there is nothing to wait for"
    assert not assess.assess(
        {**params, "backup_rows": False}, connect=None, commands=commands, clock=clock, root=str(tmp_path)
    )["reasons"]

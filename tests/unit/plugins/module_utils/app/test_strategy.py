"""Update strategies and budgets that the API takes."""

from __future__ import annotations

from typing import Any

import pytest
from test_broken_values import GOOD, refused

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge


def with_web(**fields: Any) -> dict[str, Any]:
    values: dict[str, Any] = deep_merge(GOOD, {"services": {"web": fields}})
    return values


@pytest.mark.parametrize("surge", [0, "0", "0%"])
def test_an_update_that_could_move_nothing(surge: Any) -> None:
    failure = refused(with_web(strategy={"max_surge": surge}))
    assert [(f.rule, f.path) for f in failure.findings] == [
        ("strategy.stands_still", "services.web.strategy")
    ]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"strategy": {"max_surge": "one"}}, "services.web.strategy.max_surge"),
        ({"strategy": {"max_surge": -1}}, "services.web.strategy.max_surge"),
        ({"pdb": {"min_available": "half"}}, "services.web.pdb.min_available"),
    ],
)
def test_an_amount_is_a_number_or_a_share(fields: dict[str, Any], path: str) -> None:
    assert [f.path for f in refused(with_web(**fields)).findings] == [path]


@pytest.mark.parametrize(("given", "rendered"), [("2", 2), (2, 2), ("25%", "25%")])
def test_a_number_in_quotes_is_a_number(given: Any, rendered: Any) -> None:
    _app, release_, _findings = release.build(
        with_web(strategy={"max_surge": given}, pdb={"max_unavailable": given})
    )
    objects = {m["kind"]: m["spec"] for m in release_.manifests if m["metadata"]["name"] == "web"}
    assert objects["Deployment"]["strategy"]["rollingUpdate"] == {"maxSurge": rendered, "maxUnavailable": 0}
    assert objects["PodDisruptionBudget"]["maxUnavailable"] == rendered

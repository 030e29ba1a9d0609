# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Owner safety by table: who may go, who stays, and why."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import CLASSES, Facts, Options
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.plan import make, needs_cri

FAILED: dict[str, Any] = {"phase": "Failed"}
STUCK: dict[str, Any] = {"deleted_for": 400}
DEAD: dict[str, bool] = {"uid-p": False}
ALIVE: dict[str, bool] = {"uid-p": True}
JOB_FINALIZER = ["batch.kubernetes.io/job-tracking"]

TABLE: list[tuple[dict[str, Any], dict[str, Any], dict[str, bool] | None, list[str], str]] = [
    # the pod, options, what the runtime says, kinds of the actions, why it stays
    (FAILED, {}, None, ["delete_pod"], ""),
    ({**FAILED, "owner": None}, {}, None, [], "bare pod"),
    ({**FAILED, "owner": None}, {"bare": True}, None, ["delete_pod"], ""),
    ({**FAILED, "owner": "Job"}, {}, None, [], "Job o counts"),
    ({**FAILED, "owner": "Job"}, {"jobs": True}, None, ["delete_pod"], ""),
    ({**FAILED, "owner": "StatefulSet"}, {}, ALIVE, [], "refused: a container of it still runs"),
    ({**FAILED, "owner": "StatefulSet"}, {}, DEAD, ["delete_pod"], ""),
    ({**FAILED, "owner": "StatefulSet"}, {}, {}, ["delete_pod"], ""),
    ({**FAILED, "owner": "StatefulSet"}, {}, None, [], "the container runtime did not answer"),
    ({**FAILED, "owner": "StatefulSet", "node": "far"}, {}, DEAD, [], "on node far"),
    ({**FAILED, "owner": "StatefulSet", "node": None}, {}, None, ["delete_pod"], ""),
    ({**FAILED, "claim": "data"}, {}, ALIVE, [], "could damage its data"),
    ({"phase": "Unknown", "owner": "StatefulSet"}, {}, None, ["delete_pod"], ""),
    (STUCK, {}, None, ["force_delete_pod"], ""),
    ({**STUCK, "owner": None}, {}, None, ["force_delete_pod"], ""),
    ({**STUCK, "owner": "StatefulSet"}, {}, ALIVE, [], "refused"),
    ({**STUCK, "owner": "StatefulSet"}, {}, DEAD, ["force_delete_pod"], ""),
    ({**STUCK, "claim": "data"}, {}, None, [], "refused"),
    ({**STUCK, "finalizers": ["x.io/y"]}, {}, None, [], "no pod that looks like the controller of x.io"),
    ({**STUCK, "finalizers": JOB_FINALIZER}, {}, None, [], "the Job controller"),
    (
        {**STUCK, "finalizers": ["x.io/y"]},
        {"finalizers": ("x.io/y",)},
        None,
        ["remove_finalizers"],
        "",
    ),
    (
        {**STUCK, "finalizers": ["x.io/y"], "grace": 0},
        {"finalizers": ("x.io/y",)},
        None,
        ["remove_finalizers"],
        "",
    ),
    (
        {**STUCK, "finalizers": ["x.io/y"], "owner": "StatefulSet"},
        {"finalizers": ("x.io/y",)},
        ALIVE,
        [],
        "refused",
    ),
    ({**FAILED, "namespace": "kube-system"}, {"excluded": ("kube-system",)}, None, [], ""),
]


def facts(pods: list[dict], cri: dict[str, bool] | None = None) -> Facts:
    return Facts(now=FakeClock().now(), pods=pods, cri=cri, local_nodes=frozenset(("node",)))


@pytest.mark.parametrize(("shape", "options", "cri", "kinds", "why"), TABLE)
def test_owner_safety(
    pod: Callable[..., dict],
    shape: dict[str, Any],
    options: dict[str, Any],
    cri: dict[str, bool] | None,
    kinds: list[str],
    why: str,
) -> None:
    plan = make(facts([pod(**shape)], cri), Options(**options))
    assert [action.kind for action in plan.actions] == kinds
    assert why in (plan.left[0]["why"] if plan.left else "")
    assert bool(why) == bool(plan.left)
    for action in plan.actions:
        assert action.destructive and action.params["uid"] == "uid-p"
        assert action.params["resource_version"] == "7"


def test_only_wanted_classes_and_the_harmless_first(pod: Callable[..., dict]) -> None:
    pods = [
        pod("z", **STUCK),
        pod("y", phase="Unknown"),
        pod("x", phase="Failed", reason="Evicted"),
        pod("w", **FAILED),
        pod("v", phase="Succeeded", not_ready_for=4000),
    ]
    plan = make(facts(pods), Options())
    assert [action.target for action in plan.actions] == ["n/x", "n/w", "n/y", "n/z"]
    assert plan.counts == {"evicted": 1, "failed": 1, "unknown": 1, "terminating": 1}
    assert [a.target for a in make(facts(pods), Options(classes=tuple(CLASSES))).actions][2] == "n/v"


def test_same_names_in_two_namespaces_are_two_pods_and_have_two_budgets(pod: Callable[..., dict]) -> None:
    pods = [pod(name, namespace, **FAILED) for namespace in ("a", "b") for name in ("p", "q", "r")]
    assert len(make(facts(pods), Options()).actions) == 6
    plan = make(facts(pods), Options(namespace_budget=2))
    assert [action.target for action in plan.actions] == ["a/p", "a/q", "b/p", "b/q"]
    assert [entry["why"] for entry in plan.left] == [
        f"the budget of namespace {n} (2) is used up" for n in ("a", "b")
    ]


def test_static_pods_stay(pod: Callable[..., dict]) -> None:
    mirror = pod(**FAILED)
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert "static" in make(facts([mirror]), Options(bare=True)).left[0]["why"]


def test_the_runtime_is_asked_only_when_it_matters(pod: Callable[..., dict]) -> None:
    assert not needs_cri(facts([pod(**FAILED), pod(owner="StatefulSet")]), Options())
    assert needs_cri(facts([pod(**FAILED, owner="StatefulSet")]), Options())
    assert not needs_cri(facts([pod(**FAILED, owner="StatefulSet")]), Options(excluded=("n",)))


def test_a_living_controller_of_a_finalizer_is_named(pod: Callable[..., dict]) -> None:
    keeper = pod("cleanup-operator-1", "ops")
    held = pod(**STUCK, finalizers=["cleanup.acme.dev/x"])
    assert (
        "probably ops/cleanup-operator-1, which is Ready"
        in make(facts([held, keeper]), Options()).left[0]["why"]
    )

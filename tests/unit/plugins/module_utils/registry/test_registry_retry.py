"""Pods are retried only when their image can be had, and only while they wait for it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import PreconditionFailed, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import plan
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.facts import Settings
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.recover import Recovery

IMAGE = "localhost:5000/lab/redis:7"


def facts(message: str = "Back-off", **changes: Any) -> dict[str, Any]:
    """A healthy registry, and a pod that waits for its image."""
    pod = {"namespace": "a", "pod": "b", "uid": "u", "resource_version": "1", "owner": "ReplicaSet",
           "image": IMAGE, "reason": "ErrImagePull", "message": message}  # fmt: skip
    usual = {
        "registry": "localhost:5000", "url": "http://localhost:5000", "cluster_error": "", "ping_error": "", "auth_error": "",
        "deviation": "", "disk_full": "", "repositories": ["lab/redis"], "failing": [pod], "slow": [],
        "runner": {"kind": "unit", "name": "docker-registry.service", "state": "active"},
        "images": {IMAGE: {"local": True, "manifest": True, "missing_blobs": [], "available": ""}},
    }  # fmt: skip
    return {**usual, **changes}


@pytest.mark.parametrize(
    "message",
    [
        "401 Unauthorized",
        "lookup registry.example: no such host",
        "x509: certificate signed by unknown authority",
        "server gave HTTP response to HTTPS client",
        "x509: certificate has expired or is not yet valid",
        "no space left on device",
        "429 Too Many Requests",
    ],
)
def test_what_a_person_must_heal_is_not_retried(message: str) -> None:
    assert plan.plan(facts(message)) == []


def test_a_restart_that_is_not_allowed_heals_nothing() -> None:
    wrong = facts(deviation="hosts.toml goes to :5999")
    assert plan.plan(wrong, restart_k3s=False) == []
    assert [one.kind for one in plan.plan(wrong)] == ["rewrite_hosts", "retry_pod"]


def test_a_retry_names_the_steps_it_needs() -> None:
    lost = facts()
    lost["images"][IMAGE].update(missing_blobs=["sha256:x"], available="containerd")
    lost["images"]["localhost:5000/other:1"] = {"local": True, "manifest": False, "available": "/x.tar"}
    retry = plan.plan(lost)[-1]
    assert retry.params["needs"] == ["restart_registry docker-registry.service", f"push_image {IMAGE}"]


class Cluster:
    """One pod. changes: how often it changes right before it would be deleted."""

    def __init__(self, state: dict[str, Any], uid: str = "u", changes: int = 0) -> None:
        self.pod: Any = {
            "metadata": {"namespace": "a", "name": "b", "uid": uid, "resourceVersion": "7"},
            "status": {"containerStatuses": [{"image": IMAGE, "state": state}]},
        }
        self.changes, self.deleted = changes, []  # type: ignore[var-annotated]

    def get(self, _path: str) -> Any:
        return self.pod

    def delete(self, _path: str, *, uid: str, resource_version: str) -> dict[str, Any]:
        if self.changes:
            self.changes -= 1
            raise PreconditionFailed("changed")
        self.deleted.append((uid, resource_version))
        return {}


WAITS = {"waiting": {"reason": "ImagePullBackOff"}}
RETRY = Action(
    "retry_pod", "a/b", "", params={"namespace": "a", "pod": "b", "uid": "u", "image": IMAGE, "needs": []}
)


def recovery(cluster: Any, monkeypatch: pytest.MonkeyPatch, **fact: Any) -> Recovery:
    one = Recovery(Settings(), cluster, Commands(), FakeClock(), {})
    name = "ansible_collections.holdfast.k3s.plugins.module_utils.registry.recover.image_fact"
    monkeypatch.setattr(name, lambda *_arguments: {"manifest": True, "missing_blobs": [], **fact})
    one.facts = facts()
    return one


def test_a_pod_is_deleted_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(WAITS, changes=2)
    assert recovery(cluster, monkeypatch).retry_pod(RETRY) == {}
    assert cluster.deleted == [("u", "7")]
    with pytest.raises(PreconditionFailed):
        recovery(Cluster(WAITS, changes=3), monkeypatch).retry_pod(RETRY)


@pytest.mark.parametrize("cluster", [Cluster({"running": {}}), Cluster(WAITS, uid="another")])
def test_a_pod_that_started_meanwhile_stays(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recovery(cluster, monkeypatch).retry_pod(RETRY).outcome == "skipped"
    assert cluster.deleted == []


def test_without_its_image_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(WAITS)
    with pytest.raises(Refused, match="cannot serve"):
        recovery(cluster, monkeypatch, manifest=False).retry_pod(RETRY)
    needing = Action("retry_pod", "a/b", "", params={**RETRY.params, "needs": ["restart_registry x"]})
    one = recovery(cluster, monkeypatch)
    with pytest.raises(Refused, match="restart_registry x"):
        one.retry_pod(needing)
    one.done.add("restart_registry x")
    assert one.retry_pod(needing) == {}

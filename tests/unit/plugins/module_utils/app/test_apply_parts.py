"""The host's half in its pure parts: compare, judge a rollout, name all that is missing."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply import act, compare, preflight, watch
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text


def test_an_immutable_field_says_what_to_do() -> None:
    error = ApiError(422, "Invalid", "spec: field is immutable")
    assert "delete the object first" in act.explain(error)


@pytest.mark.parametrize(
    ("wanted", "live", "same"),
    [
        ({"cpu": "1000m"}, {"cpu": "1"}, True),
        ({"a": 1}, {"a": 1, "server": "added"}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": True}, {"a": 1}, False),
        ([{"name": "x", "v": 1}], [{"name": "x", "v": 1, "d": 0}], True),
        ([{"name": "x"}], [{"name": "x"}, {"name": "y"}], False),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}], True),
        (["a", "b"], ["b", "a"], False),
        ({"emptyDir": {}}, {"emptyDir": None}, True),
        ([], None, True),
        ("1Gi", "1024Mi", True),
        ("x", None, False),
    ],
)
def test_compare(wanted: Any, live: Any, same: bool) -> None:
    assert compare.holds(wanted, live) is same


NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def pod(
    waiting: str = "", message: str = "", *, age: int = 600, restarts: int = 0, init: bool = False
) -> dict[str, Any]:
    status = {
        "name": "web",
        "restartCount": restarts,
        "state": {"waiting": {"reason": waiting, "message": message}},
    }
    stamp = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    field = "initContainerStatuses" if init else "containerStatuses"
    return {
        "metadata": {"name": "web-1", "labels": {"app": "web"}, "creationTimestamp": stamp},
        "status": {field: [status]},
    }


DEPLOYMENT = {
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}},
}


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (pod("InvalidImageName", "bad"), "InvalidImageName"),
        (pod("ImagePullBackOff", "manifest unknown", age=50), "ImagePullBackOff"),
        (pod("ImagePullBackOff", "connection refused", age=50), ""),
        (pod("ImagePullBackOff", "connection refused", age=400), "ImagePullBackOff"),
        (pod("CrashLoopBackOff", restarts=3), "crashed 3 times"),
        (pod("CrashLoopBackOff", restarts=1), ""),
        (pod("ContainerCreating"), ""),
        (pod("CreateContainerConfigError", 'secret "x" not found'), 'secret "x" not found'),
    ],
)
def test_when_waiting_is_pointless(found: dict[str, Any], cause: str) -> None:
    _, _, trouble = watch.judge(DEPLOYMENT, [found], NOW)
    assert (trouble.cause if trouble else "") == "" if not cause else cause in trouble.cause  # type: ignore[union-attr]


@pytest.mark.req("SN-28")
def test_a_dependency_that_is_late_is_waited_for() -> None:
    _, _, trouble = watch.judge(DEPLOYMENT, [pod("CrashLoopBackOff", restarts=9, init=True)], NOW)
    assert trouble is None


@pytest.mark.req("ST-08", "ST-09", "ST-11", "ST-12", "SC-25", "SC-26", "SC-27", "ST-55", "ST-10", "ST-25")
def test_everything_that_is_missing_is_named_at_once() -> None:
    expects = {
        "kubernetes_min": "1.40",
        "ingress_class": "nginx",
        "storage_classes": [""],
        "claims": ["music"],
        "secrets": {"keys": ["A", "B"], "gone": ["C"], "more": ["D"]},
        "exact_secrets": ["more"],
        "needs": {"cpu": "5", "memory": "1"},
    }
    cluster = preflight.Cluster(
        version=(1, 36),
        secrets={"keys": ["A"], "more": ["D", "E"]},
        unknown_kinds=["ExternalSecret of external-secrets.io/v1", "ClusterIssuer of cert-manager.io/v1"],
        stores={"ClusterSecretStore/vault": "It is not ready: sealed.", "ClusterSecretStore/ok": ""},
        endpoints={"db.example:5432": "timed out", "ok:1": None},
        metrics=False,
        cpu=preflight.Decimal(2),
    )
    found = [finding.text() for finding in preflight.findings(cluster, expects)]
    assert len(found) == 13
    for words in (
        "The cluster is 1.36",
        "nginx",
        "(default)",
        "music",
        "missing or empty: B",
        "too many: E",
        "gone",
        "ExternalSecret",
        "'ClusterSecretStore/vault': It is not ready: sealed.",
    ):
        assert any(words in text for text in found), words
    assert [redact_text(text) for text in found] == found, (
        "what is named looks like a secret to the module's error"
    )
    assert list(preflight.findings(preflight.Cluster(version=(1, 36)), {})) == []

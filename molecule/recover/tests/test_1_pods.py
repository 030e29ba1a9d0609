"""Dead and stuck pods of every kind: removed with evidence, or left alone with the reason."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from conftest import Space, container, run_module, until

# The hardened k3s collects terminated pods above a hundred by itself; Unknown ones it never collects.
WANTED = {"failed": 40, "evicted": 20, "unknown": 940 if os.environ.get("HOLDFAST_FULL") else 240}
TOTAL = sum(WANTED.values())
QUICK: dict[str, Any] = {"namespaces": [Space.name], "unknown_grace": 0, "terminating_age": 0}


@pytest.mark.req("SN-32", "SN-38", "BR-07")
def test_dead_pods_by_the_hundred(space: Space) -> None:
    space.seed(*[f"{kind}={count}" for kind, count in WANTED.items()])
    plan = run_module("pod_reap", check=True, **QUICK)
    assert plan["counts"] == WANTED and plan["changed"]
    assert len(space.pods("app=seed")) == TOTAL, "the preview touched something"
    result = run_module("pod_reap", **QUICK)
    assert result["outcomes"] == {"done": TOTAL} and result["verified"], result.get("msg")
    assert space.pods("app=seed") == []
    evidence = result["evidence"]
    assert space.host.sudo(["stat", "-c", "%a", evidence]).out.strip() == "700"
    kept = space.host.sudo(["cat", f"{evidence}/pods.json"]).out
    assert len(json.loads(kept)) == TOTAL and "canary" not in kept
    again = run_module("pod_reap", **QUICK)
    assert (again["changed"], again["plan"], again["verified"]) == (False, [], True)


def test_bare_pods_and_pods_of_jobs_stay(space: Space) -> None:
    pod = {"restartPolicy": "Never", "containers": [container("exit 3")]}
    space.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": pod},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "job"},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        },
    )
    until("two failed pods", lambda: [p["status"]["phase"] for p in space.pods()] == ["Failed"] * 2)
    result = run_module("pod_reap", **QUICK)
    assert not result["changed"] and len(space.pods()) == 2
    told = " ".join(entry["why"] for entry in result["left"])
    assert "bare pod" in told and "Job job" in told
    why = run_module("pod_info", namespaces=[Space.name])
    assert {entry["cause"] for entry in why["pods"]} == {"exit"} and "exited with 3" in why["pods"][0]["why"]
    result = run_module("pod_reap", include_bare=True, include_jobs=True, **QUICK)
    assert result["outcomes"] == {"done": 2} and space.pods() == []


@pytest.mark.req("SN-57")
def test_a_finalizer_is_explained_and_removed_only_by_name(space: Space) -> None:
    meta = {"name": "held", "finalizers": ["holdfast.test/hold"]}
    spec = {"schedulerName": "nobody", "containers": [container("true")]}
    space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    space.kubectl("delete", "pod", "held", "--wait=false")
    young = run_module("pod_reap", namespaces=[Space.name])
    assert young["counts"] == {}, "younger than terminating_age: left alone"
    result = run_module("pod_reap", **QUICK)
    assert not result["changed"] and "holdfast.test/hold" in result["left"][0]["why"]
    assert len(space.pods()) == 1
    result = run_module("pod_reap", remove_finalizers=["holdfast.test/hold"], **QUICK)
    assert result["changed"] and result["verified"], result
    assert space.pods() == []


def test_a_statefulset_pod_whose_container_lives_is_refused(space: Space) -> None:
    """Its shim stands still, so the kubelet cannot end it: it hangs in Terminating while its process lives."""
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container("sleep 3600")]}
    space.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "db"},
            "spec": {
                "serviceName": "db",
                "selector": {"matchLabels": {"app": "db"}},
                "template": {"metadata": {"labels": {"app": "db"}}, "spec": spec},
            },
        }
    )
    pod = until("db-0 runs", lambda: [p for p in space.pods("app=db") if p["status"]["phase"] == "Running"])[
        0
    ]
    uid = pod["metadata"]["uid"]
    crictl = ["/usr/local/bin/k3s", "crictl", "pods", "-q", "--label", f"io.kubernetes.pod.uid={uid}"]
    sandbox = space.host.sudo(crictl).out.strip()
    shim = space.host.sudo(["pgrep", "--full", f"containerd-shim.*{sandbox}"]).out.split()[0]
    space.host.sudo(["kill", "-STOP", shim])
    try:
        space.kubectl("delete", "pod", "db-0", "--wait=false")
        until(
            "it is overdue",
            lambda: run_module("pod_reap", check=True, **QUICK)["counts"] == {"terminating": 1},
        )
        result = run_module("pod_reap", **QUICK)
        assert not result["changed"] and "still runs" in result["left"][0]["why"], result
        assert [p["metadata"]["uid"] for p in space.pods("app=db")] == [uid]
    finally:
        space.host.sudo(["kill", "-CONT", shim])

    def replaced() -> bool:
        return [p["status"]["phase"] for p in space.pods("app=db") if p["metadata"]["uid"] != uid] == [
            "Running"
        ]

    until("its successor runs", replaced, 120)


def test_what_breaks_pods_is_named(space: Space) -> None:
    """Memory, a missing image, a missing Secret, and an unreadable log line, each by its own cause."""
    small = {"limits": {"memory": "16Mi", "cpu": "200m"}}
    missing = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "x"}}}
    breaks = {
        "oom": container("tail /dev/zero", resources=small),
        "config": container("true", env=[missing]),
        "database": container("echo 'could not connect to server: db'; exit 1"),
        "port-conflict": container("echo 'bind: address already in use'; exit 1"),
        "exit": container("exit 7"),
    }
    space.apply(*[_deployment(name, {"containers": [one]}) for name, one in breaks.items()])

    def causes() -> dict[str, str]:
        found = run_module("pod_info", namespaces=[Space.name])["pods"]
        return {entry["owner"].split("/")[1].rsplit("-", 1)[0]: entry["cause"] for entry in found}

    expected = {name: name.replace("-", "_") for name in breaks}
    until("every cause is named", lambda: causes() == expected or [causes()][:0], 120)


def test_a_webhook_without_a_backend_is_named(space: Space) -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": Space.name}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "gone.holdfast.test",
        "clientConfig": {"url": "https://127.0.0.1:9/check"},
        "rules": [rule],
        "namespaceSelector": selector,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "holdfast-recover"},
        "webhooks": [hook],
    }
    space.apply(configuration)
    try:
        space.apply(_deployment("blocked", {"containers": [container("sleep 3600")]}))

        def blocked() -> list[dict[str, Any]]:
            return run_module("pod_info", namespaces=[Space.name])["workloads"]

        found = until("the webhook is named", blocked)
        assert found[0]["cause"] == "webhook" and "gone.holdfast.test" in found[0]["why"]
    finally:
        space.kubectl("delete", "validatingwebhookconfiguration", "holdfast-recover")


def _deployment(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, **spec},
            },
        },
    }

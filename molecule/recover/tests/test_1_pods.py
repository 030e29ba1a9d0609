"""Dead and stuck pods of every kind: removed with evidence, or left alone with the reason."""

from __future__ import annotations

import json
import os
from typing import Any, Optional

import pytest
from as_operator import run_module
from conftest import Space, container, deployment
from faults import score

from tests.scenario import until

# The hardened k3s collects terminated pods above a hundred by itself; Unknown ones it never collects.
WANTED = {"failed": 40, "evicted": 20, "unknown": 940 if os.environ.get("HOLDFAST_FULL") else 240}
TOTAL = sum(WANTED.values())
INCIDENTS = "/var/lib/holdfast/incidents"
QUICK: dict[str, Any] = {"namespaces": [Space.name], "unknown_grace": 0, "terminating_age": 0}


def statefulset(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A StatefulSet of one pod."""
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": spec}
    wanted = {"serviceName": name, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": wanted}


def evidence_and_nothing_left(space: Space, result: dict[str, Any]) -> None:
    """The bundle is there, private, and holds the pods; another run has nothing to do."""
    assert space.host.sudo(["stat", "-c", "%a", result["evidence"]]).out.strip() == "700"
    assert json.loads(space.host.read(f"{result['evidence']}/pods.json"))
    again = run_module("pod_reap", **QUICK)
    assert (again["changed"], again["plan"], again["verified"]) == (False, [], True), again


def running(space: Space, name: str) -> Optional[dict[str, Any]]:
    """The running pod of that app, or None."""
    found = [pod for pod in space.pods(f"app={name}") if pod["status"]["phase"] == "Running"]
    return next((pod for pod in found if not pod["metadata"].get("deletionTimestamp")), None)


@pytest.mark.req("SN-32", "SN-38", "BR-07")
def test_dead_pods_by_the_hundred(space: Space) -> None:
    space.seed(*[f"{kind}={count}" for kind, count in WANTED.items()])
    plan = run_module("pod_reap", check=True, **QUICK)
    assert plan["counts"] == WANTED and plan["changed"]
    assert len(space.pods("app=seed")) == TOTAL, "the preview touched something"
    result = run_module("pod_reap", **QUICK)
    assert result["outcomes"] == {"done": TOTAL} and result["verified"], result.get("msg")
    assert space.pods("app=seed") == []
    score("dead pods by the hundred: Failed, Evicted, Unknown", result, "pods: " + ", ".join(sorted(WANTED)))
    kept = space.host.read(f"{result['evidence']}/pods.json")
    assert len(json.loads(kept)) == TOTAL and "canary" not in kept
    evidence_and_nothing_left(space, result)


# The reaper of the host's own library, which kills itself as soon as so many deletions are done.
KILLED_REAP = """
import os, signal, sys, threading
sys.path.insert(0, "/usr/local/lib/holdfast")
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import options, reap
left, lock, act = int(sys.argv[1]), threading.Lock(), reap.act.act
def counted(*arguments):
    global left
    done = act(*arguments)
    with lock:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return done
reap.act.act = counted
given = {key: one.get("default") for key, one in {**options.SELECT, **options.REAP}.items()}
given.update(deadline=600, budget=None, evidence_required=True, evidence_dir="/var/lib/holdfast/incidents", unknown_grace=0,
             namespaces=[sys.argv[2]])
reap.reap(given, False, client=Client.connect("/etc/rancher/k3s/k3s.yaml"))
"""


def test_a_reaper_killed_on_the_way_leaves_nothing_half_done(space: Space) -> None:
    """Evidence of all was written before the first was deleted; the next run takes the rest."""
    space.seed("unknown=30")
    known = set(space.host.sudo(["ls", INCIDENTS], check=False).out.split())
    killed = space.host.sudo(["python3", "-c", KILLED_REAP, "11", Space.name], check=False, timeout=300)
    assert killed.rc in (137, 255, -9) and "Traceback" not in killed.err, killed
    counts: list[int] = []

    def settled() -> bool:
        counts.append(len(space.pods("app=seed")))
        return counts[-1:] == counts[-2:-1]

    until("the last deletions that were sent have come through", settled)
    rest = counts[-1]
    assert 0 < rest < 30, f"{rest} pods are left"
    new = set(space.host.sudo(["ls", INCIDENTS]).out.split()) - known
    assert len(json.loads(space.host.read(f"{INCIDENTS}/{new.pop()}/pods.json"))) == 30 and not new
    result = run_module("pod_reap", **QUICK)
    assert result["outcomes"] == {"done": rest} and result["verified"] and space.pods("app=seed") == []


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
    score("a pod held by a finalizer", result, "pods: terminating", result["left"][0]["why"])
    result = run_module("pod_reap", remove_finalizers=["holdfast.test/hold"], **QUICK)
    assert result["changed"] and result["verified"], result
    assert space.pods() == []
    score("a pod held by a finalizer, its removal allowed", result, "pods: terminating")
    evidence_and_nothing_left(space, result)


def test_a_statefulset_pod_whose_container_lives_is_refused(space: Space) -> None:
    """Its shim stands still, so the kubelet cannot end it: it hangs in Terminating while its process lives."""
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container("sleep 3600")]}
    space.apply(statefulset("db", spec))
    uid = until("db-0 runs", lambda: running(space, "db"))["metadata"]["uid"]
    crictl = ["/usr/local/bin/k3s", "crictl", "pods", "-q", "--label", f"io.kubernetes.pod.uid={uid}"]
    sandbox = space.host.sudo(crictl).out.strip()
    shim = space.host.sudo(
        ["pgrep", "--full", f"^/var/lib/rancher/k3s/data/[^/]*/bin/containerd-shim.*{sandbox}"]
    ).out.split()[0]
    space.host.sudo(["kill", "-STOP", shim])
    try:
        space.kubectl("delete", "pod", "db-0", "--wait=false")
        until(
            "it is overdue",
            lambda: run_module("pod_reap", check=True, **QUICK)["counts"] == {"terminating": 1},
        )
        result = run_module("pod_reap", **QUICK)
        why = result["left"][0]["why"]
        assert not result["changed"] and "still runs" in why, result
        score("a StatefulSet's pod that does not end, its container alive", result, "pods: terminating", why)
        assert [p["metadata"]["uid"] for p in space.pods("app=db")] == [uid]
    finally:
        space.host.sudo(["kill", "-CONT", shim])

    def replaced() -> bool:
        pod = running(space, "db")
        return pod is not None and pod["metadata"]["uid"] != uid

    until("its successor runs", replaced)


def test_a_pod_on_a_dead_container_is_ended(space: Space) -> None:
    """Its process is gone, a busy volume keeps the kubelet from letting go: proven dead by the runtime, it may go."""
    mount = {"name": "hold", "mountPath": "/hold"}
    spec = {
        "terminationGracePeriodSeconds": 1,
        "containers": [container("sleep 3600", volumeMounts=[mount])],
        "volumes": [{"name": "hold", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
    }
    space.apply(statefulset("held", spec))
    uid = until("held-0 runs", lambda: running(space, "held"))["metadata"]["uid"]
    volume = f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/hold"
    holder = [
        "systemd-run",
        "--collect",
        "--unit=holdfast-holder",
        "sh",
        "-c",
        f"cd {volume} && exec sleep 3600",
    ]
    space.host.sudo(holder)
    try:
        holds = ["sh", "-c", "readlink /proc/$(systemctl show -P MainPID holdfast-holder)/cwd"]
        until("the volume is busy", lambda: space.host.sudo(holds).out.strip() == volume)
        space.kubectl("delete", "pod", "held-0", "--wait=false")
        living = [
            "/usr/local/bin/k3s",
            "crictl",
            "pods",
            "-q",
            "--state",
            "ready",
            "--label",
            f"io.kubernetes.pod.uid={uid}",
        ]
        until("its container is dead", lambda: not space.host.sudo(living).out.strip())
        overdue = {"terminating": 1}
        until("it is overdue", lambda: run_module("pod_reap", check=True, **QUICK)["counts"] == overdue)
        result = run_module("pod_reap", **QUICK)
        assert [one["kind"] for one in result["actions"]] == ["force_delete_pod"], result
        score("a StatefulSet's pod that does not end, its container dead", result, "pods: terminating")
        evidence_and_nothing_left(space, result)
        assert uid not in {pod["metadata"]["uid"] for pod in space.pods()}
    finally:
        space.host.sudo(["systemctl", "stop", "holdfast-holder"], check=False)
    until("its successor runs", lambda: running(space, "held"))


def test_without_evidence_nothing_is_deleted(space: Space) -> None:
    """A full disk under the evidence: refused, unless the operator goes without."""
    space.seed("failed=3")
    full = "/mnt/holdfast-full"
    script = f"mkdir -p {full} && mount -t tmpfs -o size=64k full {full} && (cat /dev/zero > {full}/filler || true)"
    space.host.sudo(["sh", "-c", script])
    try:
        refused = run_module("pod_reap", evidence_dir=full, **QUICK)
        assert refused["failed"] and "evidence cannot be written" in refused["msg"], refused
        assert len(space.pods("app=seed")) == 3, "something was deleted"
        result = run_module("pod_reap", evidence_dir=full, evidence_required=False, **QUICK)
        assert result["outcomes"] == {"done": 3} and space.pods("app=seed") == [], result
    finally:
        space.host.sudo(["umount", full])


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
    space.apply(*[deployment(name, {"containers": [one]}) for name, one in breaks.items()])

    def causes() -> dict[str, str]:
        found = run_module("pod_info", namespaces=[Space.name])["pods"]
        return {entry["owner"].split("/")[1].rsplit("-", 1)[0]: entry["cause"] for entry in found}

    expected = {name: name.replace("-", "_") for name in breaks}
    until("every cause is named", lambda: causes() == expected)


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
        space.apply(deployment("blocked", {"containers": [container("sleep 3600")]}))

        def blocked() -> Optional[dict[str, Any]]:
            said = run_module("pod_info", namespaces=[Space.name])
            return said if said["workloads"] else None

        said = until("the webhook is named", blocked)
        found = said["workloads"][0]
        assert found["cause"] == "webhook" and "gone.holdfast.test" in found["why"]
        score("a webhook without a backend keeps pods from being made", said, "pods: webhook", found["fix"])
    finally:
        space.kubectl("delete", "validatingwebhookconfiguration", "holdfast-recover")

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one line of each cause."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.info import blocked_workloads, info
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts, Options
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.options import SELECT
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.why import creation_failure, explain

CRASH = {"waiting": {"reason": "CrashLoopBackOff"}}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def event(reason: str, message: str) -> dict[str, Any]:
    return {"reason": reason, "message": message, "metadata": {}}


def pull(message: str) -> dict[str, Any]:
    return {"phase": "Pending", "state": {"waiting": {"reason": "ErrImagePull", "message": message}}}


PENDING: dict[str, Any] = {"phase": "Pending", "containerStatuses": [], "node": None}
PLACED: dict[str, Any] = {"phase": "Pending", "containerStatuses": []}
TABLE: list[tuple[dict[str, Any], list[dict], str | None, str, str]] = [
    # the pod, its events, its log, cause, part of the text
    ({}, [], None, "none", "nothing"),
    ({"state": ended(137, "OOMKilled")}, [], None, "oom", "limit of 64Mi"),
    ({"state": ended(3)}, [], None, "exit", "exited with 3"),
    ({"state": ended(127)}, [], None, "exit", "the command was not found"),
    ({"state": ended(143)}, [], None, "exit", "ended by SIGTERM"),
    ({"state": ended(1)}, [], "boot\npsql: could not connect to server: x\n", "database", "cannot connect"),
    ({"state": ended(1)}, [], "KeyError: 'DATABASE_URL'", "env_missing", "DATABASE_URL"),
    ({"state": ended(1)}, [], "listen tcp :80: bind: address already in use", "port_conflict", "taken"),
    (
        {"state": ended(137)},
        [
            event("Unhealthy", "Liveness probe failed: HTTP 503"),
            event("Killing", "Container c failed liveness probe, will be restarted"),
        ],
        None,
        "probe_liveness",
        "HTTP 503",
    ),
    (
        {"not_ready_for": 60, "conditions": [{"type": "Ready", "status": "False"}]},
        [event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")],
        None,
        "probe_readiness",
        "runs, but readiness probe failed",
    ),
    (pull("manifest unknown"), [], None, "image_missing", "no such image"),
    (pull("401 unauthorized"), [], None, "image_auth", "credentials"),
    (pull("dial tcp 127.0.0.1:5000: connect: connection refused"), [], None, "registry_down", "not answer"),
    (pull("x509: certificate signed by unknown authority"), [], None, "image_tls", "TLS"),
    (pull("lookup reg.local: no such host"), [], None, "image_dns", "resolved"),
    (pull("write: no space left on device"), [], None, "disk_full", "full"),
    (pull("no match for platform in manifest"), [], None, "image_arch", "architecture"),
    (pull("toomanyrequests: slow down"), [], None, "image_rate_limit", "rate"),
    (pull("odd"), [], None, "image_pull", "odd"),
    (
        {"phase": "Pending", "state": {"waiting": {"reason": "InvalidImageName"}}},
        [],
        None,
        "image_name",
        "valid",
    ),
    (
        {
            "phase": "Pending",
            "state": {
                "waiting": {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
            },
        },
        [],
        None,
        "config",
        'secret "db" not found',
    ),
    (
        PENDING,
        [event("FailedScheduling", "0/1 nodes are available: 1 Insufficient memory.")],
        None,
        "unschedulable_memory",
        "enough memory",
    ),
    (
        PENDING,
        [event("FailedScheduling", "1 node(s) had untolerated taint {x: y}")],
        None,
        "unschedulable_taint",
        "taint",
    ),
    ({**PENDING, "claim": "data"}, [], None, "pvc", "its claim data is Pending"),
    ({**PENDING, "claim": "none"}, [], None, "pvc_missing", "does not exist"),
    (
        PLACED,
        [event("FailedCreatePodSandBox", "no IP addresses available in range set: 10.42.0.1-10.42.0.254")],
        None,
        "cni_full",
        "stale",
    ),
    (PLACED, [event("FailedMount", 'configmap "x" not found')], None, "volume", "mounted"),
    (
        PLACED,
        [{**event("Pulling", 'Pulling image "big"'), "lastTimestamp": "2025-12-31T23:40:00Z"}],
        None,
        "pulling",
        "pulling for 20 min",
    ),
    (
        {"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory"},
        [],
        None,
        "evicted",
        "memory",
    ),
    ({"phase": "Failed", "reason": "OutOfcpu"}, [], None, "rejected", "OutOfcpu"),
    ({"phase": "Failed", "reason": "Terminated"}, [], None, "shutdown", "ended with its node"),
    ({"phase": "Unknown", "containerStatuses": []}, [], None, "unknown", "stopped reporting"),
    ({"state": ended(255, "Unknown")}, [], None, "unknown", "lost with its node"),
    ({"deleted_for": 900, "finalizers": ["x.io/y"]}, [], None, "finalizer", "x.io/y"),
    ({"deleted_for": 900}, [], None, "terminating", "should have ended 900 s ago"),
]


@pytest.mark.req("SC-68", "SN-58")
@pytest.mark.parametrize(("shape", "events", "log", "cause", "text"), TABLE)
def test_cause(
    pod: Callable[..., dict], shape: dict, events: list[dict], log: str | None, cause: str, text: str
) -> None:
    thing = pod(**shape)
    thing["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}
    pvc = {"metadata": {"uid": "u"}, "status": {"phase": "Pending"}}
    facts = Facts(now=FakeClock().now(), events={"uid-p": events}, pvcs={("n", "data"): pvc})
    found = explain(thing, facts, log)
    assert found.cause == cause and text in found.text and found.fix


CREATION = [
    (
        'Internal error occurred: failed calling webhook "check.acme.dev": failed to call webhook: '
        'Post "https://x.ops.svc:443/": dial tcp 10.43.0.9:443: connect: connection refused',
        "webhook",
        "check.acme.dev does not answer",
    ),
    ('admission webhook "w.io" denied the request: no', "webhook_denied", "w.io denies it: no"),
    (
        'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3',
        "quota",
        "q (requested pods=1)",
    ),
    (
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot',
        "pod_security",
        "runAsNonRoot",
    ),
    ('error looking up service account n/x: serviceaccount "x" not found', "service_account", "x"),
    ("odd", "create", "odd"),
]


@pytest.mark.parametrize(("message", "cause", "text"), CREATION)
def test_why_no_pod_comes(message: str, cause: str, text: str) -> None:
    found = creation_failure([event("Other", ""), event("FailedCreate", message)])
    assert found is not None and found.cause == cause and text in found.text


def test_owners_without_their_pods_are_named() -> None:
    def owner(kind: str, **status: Any) -> dict[str, Any]:
        return {
            "kind": kind,
            "metadata": {"namespace": "n", "name": kind.lower()},
            "spec": {},
            "status": status,
        }

    owners = {"a": owner("ReplicaSet"), "b": owner("StatefulSet", replicas=1), "c": owner("Job", active=1)}
    events = {uid: [event("FailedCreate", "exceeded quota: q")] for uid in owners}
    facts = Facts(now=FakeClock().now(), owners=owners, events=events)
    assert [entry["name"] for entry in blocked_workloads(facts, Options())] == ["replicaset"]
    assert blocked_workloads(facts, Options(excluded=("n",))) == []


@pytest.mark.req("SN-44")
def test_info_lists_what_is_not_well_and_nothing_else(cluster: Any, pod: Callable[..., dict]) -> None:
    cluster.put_pod(pod("fine"))
    cluster.put_pod(pod("done", phase="Succeeded"))
    cluster.put_pod(pod("unready", conditions=[{"type": "Ready", "status": "False"}]))
    cluster.put_pod(pod("crashing", state=CRASH, restarts=9))
    params = {name: option.get("default") for name, option in SELECT.items()}
    result = info({**params, "logs": True, "list_limit": 10}, client=cluster, clock=FakeClock())
    assert [entry["name"] for entry in result["pods"]] == ["crashing", "unready"]
    assert (result["total"], result["broken"]) == (4, 2)
    assert result["counts"] == {"crash_loop": 1, "not_ready": 1}
    assert result["changed"] is False

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The client against a real HTTP server."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError, ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    CommandError,
    HoldfastError,
    PreconditionFailed,
)

PODS = "/api/v1/namespaces/n/pods"


def failure(code: int, reason: str, message: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message, **more}


def test_token_and_context_come_from_the_kubeconfig(api: Any, kubeconfig: str) -> None:
    api.on("GET", "/version", {"major": "1"})
    assert Client.connect(kubeconfig).request("GET", "/version") == {"major": "1"}
    Client.connect(kubeconfig, context="second").request("GET", "/version")
    assert [seen[4]["authorization"] for seen in api.seen] == ["Bearer token-first", "Bearer token-second"]


def test_lists_go_page_by_page_and_carry_their_kind(api: Any, client: Client) -> None:
    def pages(query: dict, body: Any, headers: dict) -> tuple[int, Any]:
        start = int(query.get("continue", 0))
        more = str(start + 2) if start + 2 < 5 else ""
        names = [{"metadata": {"name": str(n)}} for n in range(start, min(start + 2, 5))]
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": more}, "items": names}

    api.on("GET", PODS, pages)
    found = list(client.list(PODS, limit=2, field_selector="status.phase=Failed"))
    assert [pod["metadata"]["name"] for pod in found] == list("01234")
    assert {(pod["kind"], pod["apiVersion"]) for pod in found} == {("Pod", "v1")}
    assert [seen[2]["fieldSelector"] for seen in api.seen] == ["status.phase=Failed"] * 3


def test_an_expired_page_goes_on_from_the_offered_one(api: Any, client: Client) -> None:
    def pages(query: dict, body: Any, headers: dict) -> tuple[int, Any]:
        if query.get("continue") == "old":
            return failure(410, "Expired", "too old", metadata={"continue": "new"})
        last = query.get("continue") == "new"
        return 200, {
            "kind": "PodList",
            "metadata": {} if last else {"continue": "old"},
            "items": [{"metadata": {}}],
        }

    api.on("GET", PODS, pages)
    assert len(list(client.list(PODS))) == 2


def test_errors_keep_what_the_server_said(api: Any, client: Client) -> None:
    api.on("GET", PODS, failure(403, "Forbidden", "not you"))
    with pytest.raises(ApiError, match=f"GET {PODS}: the API answered 403 Forbidden: not you") as caught:
        list(client.list(PODS))
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert client.get(PODS + "/none") is None


def test_deletion_carries_its_preconditions(api: Any, client: Client) -> None:
    api.on("DELETE", PODS + "/a", {"kind": "Pod"})
    api.on("DELETE", PODS + "/b", failure(409, "Conflict", "Precondition failed: UID in precondition: x"))
    client.delete(PODS + "/a", uid="u", resource_version="7", grace_seconds=0, propagation="Background")
    assert api.seen[0][3] == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Background",
    }
    with pytest.raises(PreconditionFailed, match="changed since it was observed"):
        client.delete(PODS + "/b", uid="x")
    assert client.delete(PODS + "/gone", uid="x") is None


def test_apply_goes_server_side_by_the_group_of_the_object(api: Any, client: Client) -> None:
    api.on(
        "GET",
        "/apis/apps/v1",
        {
            "resources": [
                {"name": "deployments", "kind": "Deployment", "namespaced": True},
                {"name": "deployments/scale", "kind": "Scale", "namespaced": True},
            ]
        },
    )
    path = "/apis/apps/v1/namespaces/n/deployments/d"
    api.on(
        "PATCH", path, lambda query, body, headers: (200, {"query": query, "type": headers["content-type"]})
    )
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}}
    answer = client.apply(obj, force=True, dry_run=True)
    assert answer["type"] == "application/apply-patch+yaml"
    assert answer["query"] == {"fieldManager": "holdfast", "force": "true", "dryRun": "All"}
    client.apply(obj)
    assert sum(seen[1] == "/apis/apps/v1" for seen in api.seen) == 1
    assert client.path_for("apps/v1", "Deployment") == "/apis/apps/v1/deployments"
    with pytest.raises(HoldfastError, match="no Scale in apps/v1"):
        client.path_for("apps/v1", "Scale")


def test_a_dead_aggregated_api_is_only_absent(api: Any, client: Client) -> None:
    api.on("GET", "/apis/metrics.k8s.io/v1beta1", failure(503, "ServiceUnavailable", "dead"))
    assert not client.serves("metrics.k8s.io/v1beta1", "NodeMetrics")
    assert not client.serves("helm.toolkit.fluxcd.io/v2", "HelmRelease")
    api.on("GET", "/api/v1", {"resources": [{"name": "nodes", "kind": "Node", "namespaced": False}]})
    assert client.path_for("v1", "Node", "ignored", "x") == "/api/v1/nodes/x"


def test_throttling_is_waited_out(api: Any, client: Client) -> None:
    answers = iter([failure(429, "TooManyRequests", "slow"), (200, {"ok": 1})])
    api.on("POST", "/x", lambda query, body, headers: next(answers))
    assert client.request("POST", "/x", {"a": 1}) == {"ok": 1}
    assert len(api.seen) == 2


def test_logs_are_text(api: Any, client: Client) -> None:
    api.on("GET", PODS + "/a/log", (200, b"one\ntwo \xff"))
    assert client.logs("n", "a", container="c", previous=True, tail_lines=9) == "one\ntwo \ufffd"
    assert api.seen[0][2] == {"container": "c", "previous": "true", "tailLines": "9"}


def test_nobody_listening_is_one_clear_sentence(kubeconfig: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = Client.connect(kubeconfig, host=f"http://127.0.0.1:{port}", timeout=2)
    with pytest.raises(ApiUnreachable, match=r"host = .*the API does not answer.*refused.*Fix:"):
        client.get("/api/v1/nodes")
    with pytest.raises(ApiUnreachable):
        client.exec("n", "p", ["true"], timeout=2)


def test_a_silent_server_is_left_in_time(kubeconfig: str) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        client = Client.connect(kubeconfig, host=f"http://127.0.0.1:{mute.getsockname()[1]}", timeout=0.3)
        with pytest.raises(ApiUnreachable, match="timed out"):
            client.get("/api/v1/nodes")
        with pytest.raises(ApiUnreachable):
            client.exec("n", "p", ["true"], timeout=0.3)


def test_a_missing_kubeconfig_names_itself() -> None:
    with pytest.raises(HoldfastError, match=r"kubeconfig = '/nonexistent/x': no such file"):
        Client.connect("/nonexistent/x")


def test_exec_is_safe_for_bytes_both_ways(api: Any, client: Client) -> None:
    data = bytes(range(256)) * 1000

    def script(argv: list[str], stdin: bytes) -> tuple[bytes, bytes, dict]:
        causes = [{"reason": "ExitCode", "message": "3"}]
        return stdin, " ".join(argv).encode(), {"status": "Failure", "details": {"causes": causes}}

    api.exec_script = script
    result = client.exec("n", "p", ["cat", "a b"], container="c", stdin=data)
    assert (result.rc, result.err, result.out_bytes == data) == (3, "cat a b", True)
    api.exec_script = lambda argv, stdin: (b"hi", b"", {"status": "Success"})
    assert client.exec("n", "p", ["true"]).out == "hi"


def test_exec_that_hangs_ends(api: Any, client: Client) -> None:
    api.exec_script = lambda argv, stdin: (b"", b"", {})
    api.hang_exec = True
    with pytest.raises(CommandError, match=r"sleep in the pod did not end within 0.5 s"):
        client.exec("n", "p", ["sleep"], timeout=0.5)


def test_exec_into_nothing_is_the_servers_answer(client: Client) -> None:
    with pytest.raises(ApiError, match='404 NotFound: pods "x" not found'):
        client.exec("n", "x", ["true"])

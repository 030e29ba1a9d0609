"""What a workload needs: pods, services, names, storage, policies, metrics, exec and logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.k3s import DATA, K3s, eventually

BUSYBOX = "docker.io/rancher/mirrored-library-busybox:1.37.0"
SPACE = "contract"


def deployment(
    name: str, script: str, *, replicas: int = 1, volumes: list[Any] | None = None
) -> dict[str, Any]:
    """Return a Deployment of busybox that runs ``script``; the volume ``data`` is mounted on /data."""
    mounts = [{"name": "data", "mountPath": "/data"}] if volumes else []
    container = {
        "name": "main",
        "image": BUSYBOX,
        "command": ["sh", "-c", f"trap 'exit 0' TERM; {script}"],
        "volumeMounts": mounts,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [container],
                    "volumes": volumes or [],
                },
            },
        },
    }


WEB = deployment(
    "web",
    "mkdir -p /www; hostname > /www/index.html; echo web started; httpd -f -p 8080 -h /www & wait",
    replicas=2,
)
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": SPACE},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
CLIENT = deployment("client", "while true; do sleep 1; done")
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": SPACE},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
}
KEEPER = deployment(
    "keeper",
    "while true; do sleep 1; done",
    volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
)
FETCH = "timeout 3 wget -q -O - http://web.contract.svc.cluster.local"


@pytest.fixture(scope="module", autouse=True)
def workload(k3s: K3s) -> Iterator[None]:
    """Have the workload running; later files use it too, so it stays."""
    k3s.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
        CLAIM,
        WEB,
        SERVICE,
        CLIENT,
        KEEPER,
    )
    for name in ("web", "client", "keeper"):
        k3s.ready_pod(SPACE, f"app={name}")
    yield


def run(k3s: K3s, script: str, check: bool = True) -> str:
    """Run a script in the client's pod; the answer is empty when it failed and ``check`` is false."""
    pod = k3s.ready_pod(SPACE, "app=client")["metadata"]["name"]
    answer = k3s.cli("kubectl", "exec", "-n", SPACE, pod, "--", "sh", "-c", script, check=check)
    return answer.out if answer.rc == 0 else ""


def test_service_answers_by_name_and_address(k3s: K3s) -> None:
    eventually(lambda: run(k3s, FETCH, check=False).startswith("web-"), 30, "the service answers in a pod")
    address = k3s.get("service", "-n", SPACE, "web")["spec"]["clusterIP"]
    asked = ["curl", "-fsS", "-m", "5", f"http://{address}"]
    eventually(lambda: k3s.host.run(asked).out.startswith("web-"), 30, "the service answers on the host")


def test_cluster_dns(k3s: K3s) -> None:
    asked = "nslookup kubernetes.default.svc.cluster.local 10.43.0.10"
    eventually(lambda: "10.43.0.1" in run(k3s, asked, check=False), 30, "the cluster's name service answers")


def test_logs(k3s: K3s) -> None:
    pod = k3s.ready_pod(SPACE, "app=web")["metadata"]["name"]
    eventually(lambda: k3s.text("logs", "-n", SPACE, pod) == "web started\n", 30, "the pod's log")


def test_exec_passes_the_exit_code(k3s: K3s) -> None:
    pod = k3s.ready_pod(SPACE, "app=client")["metadata"]["name"]
    assert k3s.cli("kubectl", "exec", "-n", SPACE, pod, "--", "sh", "-c", "exit 7", check=False).rc == 7


def test_claim_is_a_folder_on_the_host(k3s: K3s) -> None:
    pod = k3s.ready_pod(SPACE, "app=keeper")["metadata"]["name"]
    k3s.cli("kubectl", "exec", "-n", SPACE, pod, "--", "sh", "-c", "echo kept > /data/file; sync")
    volume = k3s.get("pvc", "-n", SPACE, "data")["spec"]["volumeName"]
    assert k3s.host.read(f"{DATA}/storage/{volume}_{SPACE}_data/file") == "kept\n"


def test_network_policy_blocks_and_lets_go(k3s: K3s) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "nobody", "namespace": SPACE},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
    }
    k3s.apply(policy)
    try:
        eventually(lambda: not run(k3s, FETCH, check=False), 45, "the policy blocks")
    finally:
        k3s.cli("kubectl", "delete", "networkpolicy", "-n", SPACE, "nobody")
    eventually(lambda: run(k3s, FETCH, check=False), 45, "without the policy the service answers")


def test_metrics(k3s: K3s) -> None:
    def look() -> bool:
        pods = json.loads(k3s.text("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{SPACE}/pods"))[
            "items"
        ]
        return any(pod["containers"][0]["usage"]["memory"] != "0" for pod in pods)

    eventually(look, 90, "metrics of pods", interval=2)
    assert k3s.node in k3s.text("top", "nodes")


def test_kubelet_statistics_know_the_claim(k3s: K3s) -> None:
    def look() -> bool:
        summary = json.loads(k3s.text("get", "--raw", f"/api/v1/nodes/{k3s.node}/proxy/stats/summary"))
        return "node" in summary and any(
            volume.get("pvcRef", {}).get("name") == "data"
            for pod in summary["pods"]
            for volume in pod.get("volume", [])
        )

    eventually(look, 90, "usage of the claim in the kubelet's summary", interval=2)


def test_manifests_folder_is_applied_and_pruned(k3s: K3s) -> None:
    path = f"{DATA}/server/manifests/contract-extra.yaml"
    maps = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": SPACE},
            "data": {"a": "1"},
        }
        for name in ("extra-one", "extra-two")
    ]

    def names() -> set[str]:
        return {item["metadata"]["name"] for item in k3s.get("configmap", "-n", SPACE)["items"]}

    k3s.host.put(path, "\n---\n".join(json.dumps(item) for item in maps).encode(), 0o600)
    eventually(lambda: {"extra-one", "extra-two"} <= names(), 40, "the file is applied")
    k3s.host.put(path, json.dumps(maps[0]).encode(), 0o600)
    eventually(lambda: "extra-two" not in names(), 40, "an object that left the file is pruned")
    k3s.host.sudo(["rm", path])
    assert "extra-one" in names()
    addon = k3s.get("addons.k3s.cattle.io", "-n", "kube-system", "contract-extra")
    assert addon["spec"]["source"] == path


def test_static_pod(k3s: K3s) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "static", "namespace": SPACE, "labels": {"app": "static"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": BUSYBOX,
                    "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"],
                }
            ],
        },
    }
    path = f"{DATA}/agent/pod-manifests/static.yaml"
    k3s.host.put(path, json.dumps(pod).encode(), 0o600)
    try:
        k3s.ready_pod(SPACE, "app=static", 60)
    finally:
        k3s.host.sudo(["rm", "-f", path])
    listed = ["crictl", "pods", "-q", "--name", "^static-", "--state", "ready"]
    eventually(lambda: not k3s.cli(*listed).out.strip(), 60, "the static pod has ended")

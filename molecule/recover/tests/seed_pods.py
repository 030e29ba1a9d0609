"""Make dead pods by the thousand. Runs on the host:  seed_pods.py NAMESPACE CLASS=COUNT…

The pods wait for a scheduler that does not exist, so no kubelet ever sees them, and belong to an object that no controller
works for, so nothing but the reaper removes them: exactly the bookkeeping that piles up on a real node.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes import client, config

IMAGE = "docker.io/rancher/mirrored-library-busybox:1.37.0"
STATUS = {
    "failed": {"phase": "Failed"},
    "evicted": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
    "unknown": {"phase": "Unknown", "reason": "NodeLost"},
}
CONTAINERS = [{"name": "c", "image": IMAGE, "env": [{"name": "SEED_PASSWORD", "value": "canary-seed"}]}]


def main(namespace: str, wanted: dict[str, int]) -> None:
    """Create an owner and the pods, then give the pods their status."""
    config.load_kube_config("/etc/rancher/k3s/k3s.yaml")
    core = client.CoreV1Api()
    owner = core.create_namespaced_config_map(namespace, {"metadata": {"name": "seed"}}).metadata.uid
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "seed", "uid": owner, "controller": True}

    def make(item: tuple[str, dict[str, Any]]) -> None:
        name, status = item
        meta = {"name": name, "labels": {"app": "seed"}, "ownerReferences": [reference]}
        spec = {"schedulerName": "nobody", "containers": CONTAINERS}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
        core.create_namespaced_pod(namespace, pod, _preload_content=False)
        core.patch_namespaced_pod_status(name, namespace, {"status": status}, _preload_content=False)

    named = [(f"{kind}-{n}", STATUS[kind]) for kind, count in wanted.items() for n in range(count)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(make, named))
    print(len(named))


if __name__ == "__main__":
    main(sys.argv[1], {kind: int(count) for kind, count in (pair.split("=") for pair in sys.argv[2:])})

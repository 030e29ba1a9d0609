"""Three thousand Unknown pods: ours, with evidence and preconditions, beside kubectl and DeleteCollection, which have neither.

    make bench ARGS="-k reap"

Prints seconds and ratios. HOLDFAST_BENCH_PODS sets the number, HOLDFAST_SYSTEM the lab host, which must run k3s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import controller
from lab.host import LabHost

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = os.environ.get("HOLDFAST_SYSTEM", "songnodes")
PODS = int(os.environ.get("HOLDFAST_BENCH_PODS", "3000"))
SPACE = "holdfast-bench"
KUBECTL = ["/usr/local/bin/k3s", "kubectl"]


@pytest.fixture
def host() -> Iterator[LabHost]:
    """A host that runs k3s (converged when it does not yet), with an empty namespace."""
    subprocess.run([sys.executable, "-m", "lab", "up", "--name", SYSTEM], cwd=ROOT, check=True)
    found = LabHost.get(SYSTEM)
    if found.sudo([*KUBECTL, "get", "nodes"], check=False).rc:
        done = controller.playbook("holdfast.k3s.site", "--tags", "k3s", limit=SYSTEM, system=SYSTEM)
        done.check_returncode()
    found.sudo([*KUBECTL, "delete", "namespace", SPACE, "--ignore-not-found"], timeout=300)
    found.sudo([*KUBECTL, "create", "namespace", SPACE])
    yield found
    found.sudo([*KUBECTL, "delete", "namespace", SPACE, "--wait=false"])


def seed(host: LabHost) -> None:
    """Dead pods, made anew for each contestant. Unknown ones, since the node itself collects Failed ones meanwhile."""
    script = ROOT / "molecule/recover/tests/seed_pods.py"
    host.put("/tmp/holdfast-seed-pods.py", script.read_bytes())
    host.sudo(
        [*KUBECTL, "-n", SPACE, "delete", "configmap", "seed", "--ignore-not-found", "--cascade=orphan"]
    )
    host.sudo(["/usr/bin/python3", "/tmp/holdfast-seed-pods.py", SPACE, f"unknown={PODS}"], timeout=900)


def left(host: LabHost) -> int:
    """Pods that are still there."""
    listed = host.sudo([*KUBECTL, "-n", SPACE, "get", "pods", "-o", "name"], timeout=120).out
    return len(listed.split())


def by_kubectl(host: LabHost) -> None:
    """What a runbook says."""
    argv = [*KUBECTL, "-n", SPACE, "delete", "pods", "--force", "--grace-period=0"]
    host.sudo([*argv, "--field-selector=status.phase=Unknown", "--wait=false"], timeout=600)


def by_collection(host: LabHost) -> None:
    """The API's own way."""
    path = f"/api/v1/namespaces/{SPACE}/pods?fieldSelector=status.phase%3DUnknown"
    host.sudo([*KUBECTL, "delete", "--raw", path], timeout=600)


def by_us(host: LabHost) -> None:
    """The module through Ansible: connection, evidence, preconditions and verification included."""
    options = {"namespaces": [SPACE], "classes": ["unknown"], "unknown_grace": 0}
    done = controller.run(controller.module_argv("pod_reap", SYSTEM, options), 600)
    assert f'"done": {PODS}' in done.stdout and '"verified": true' in done.stdout, done.stdout[-2000:]


def test_reap(host: LabHost) -> None:
    seconds = {}
    for name, delete in (("kubectl", by_kubectl), ("DeleteCollection", by_collection), ("pod_reap", by_us)):
        seed(host)
        began = time.monotonic()
        delete(host)
        seconds[name] = time.monotonic() - began
        assert left(host) == 0
    print(
        f"\n{PODS} Unknown pods  seconds   against pod_reap (evidence, preconditions and verification included)"
    )
    for name, spent in seconds.items():
        print(f"{name:<20} {spent:8.1f}   {spent / seconds['pod_reap']:.2f}")

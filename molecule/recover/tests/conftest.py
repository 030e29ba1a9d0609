"""A namespace of our own on the lab host, and ways to run modules and playbooks on it as an operator would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from lab import controller  # noqa: E402
from lab.host import LabHost  # noqa: E402

SYSTEM = os.environ.get("HOLDFAST_SYSTEM", "songnodes")
SPACE = "holdfast-recover"
KUBECTL = ["/usr/local/bin/k3s", "kubectl"]
IMAGE = "docker.io/rancher/mirrored-library-busybox:1.37.0"
ENVIRONMENT = controller.environment()


def until(what: str, check: Callable[[], Any], seconds: float = 90) -> Any:
    """The first truthy answer; AssertionError with the last one when the time is over."""
    end = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < end:
        try:
            last = check()
        except Exception as failure:
            last = failure
        if last and not isinstance(last, Exception):
            return last
        time.sleep(1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s, last: {last}")


def run_module(name: str, check: bool = False, **options: Any) -> dict[str, Any]:
    """One of our modules on the host; a failed one has `failed: true`."""
    argv = [str(Path(sys.executable).parent / "ansible"), "-i", ".lab/inventory", SYSTEM, "--become"]
    argv += ["-m", f"holdfast.k3s.{name}", "-a", json.dumps(options), *(["--check"] if check else [])]
    done = subprocess.run(
        argv, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
    )
    head, arrow, rest = done.stdout.partition("=> ")
    assert arrow, f"no result: {done.stdout}\n{done.stderr}"
    return {**json.JSONDecoder().raw_decode(rest)[0], "failed": "FAILED" in head or "UNREACHABLE" in head}


def run_play(name: str, *arguments: str, **extra: Any) -> subprocess.CompletedProcess[str]:
    """One of our playbooks with the system's inventories."""
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), f"holdfast.k3s.{name}", "--limit", SYSTEM]
    for inventory in (f"inventories/{SYSTEM}", "inventories/lab", ".lab/inventory"):
        if (ROOT / inventory).exists():
            argv += ["-i", inventory]
    argv += ["-e", json.dumps(extra), *arguments]
    return subprocess.run(
        argv, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=1200, check=False
    )


class Space:
    """The namespace and what tests do in it."""

    name = SPACE

    def __init__(self, host: LabHost) -> None:
        self.host = host

    def kubectl(self, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        """kubectl in the namespace; its output."""
        argv = [*KUBECTL, "-n", self.name, *arguments]
        return self.host.sudo(argv, check=check, timeout=timeout).out

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.host.put("/tmp/holdfast-recover.json", content.encode())
        self.kubectl("apply", "-f", "/tmp/holdfast-recover.json")

    def pods(self, selector: str = "") -> list[dict[str, Any]]:
        """Pods of the namespace."""
        arguments = ["get", "pods", "-o", "json", *(["-l", selector] if selector else [])]
        return json.loads(self.kubectl(*arguments))["items"]

    def seed(self, *wanted: str) -> None:
        """Dead pods by the hundred: see seed_pods.py."""
        script = (Path(__file__).parent / "seed_pods.py").read_bytes()
        self.host.put("/tmp/holdfast-seed-pods.py", script)
        self.kubectl("delete", "configmap", "seed", "--ignore-not-found", "--cascade=orphan")
        self.host.sudo(["/usr/bin/python3", "/tmp/holdfast-seed-pods.py", self.name, *wanted], timeout=300)


def container(command: str, **more: Any) -> dict[str, Any]:
    """A container of the busybox image that every k3s host has."""
    return {
        "name": "c",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", command],
        **more,
    }


@pytest.fixture(scope="session")
def host() -> LabHost:
    """The host that the scenario converged."""
    return LabHost.get(SYSTEM)


@pytest.fixture
def space(host: LabHost) -> Iterator[Space]:
    """An empty namespace, gone afterwards whatever was left stuck in it."""
    made = Space(host)
    host.sudo([*KUBECTL, "delete", "namespace", SPACE, "--ignore-not-found", "--timeout=90s"], timeout=120)
    host.sudo([*KUBECTL, "create", "namespace", SPACE])
    yield made
    host.sudo([*KUBECTL, "delete", "namespace", SPACE, "--wait=false"])
    for pod in made.pods():
        if pod["metadata"].get("finalizers"):
            patch = '{"metadata":{"finalizers":null}}'
            made.kubectl("patch", "pod", pod["metadata"]["name"], "--type=merge", "-p", patch, check=False)

"""A namespace of our own on the lab host, and ways to run modules and playbooks on it as an operator would."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "molecule/shared")]

from as_operator import SYSTEM  # noqa: E402

from lab.host import LabHost  # noqa: E402
from tests.scenario import until  # noqa: E402

SPACE = "holdfast-recover"
KUBECTL = ["/usr/local/bin/k3s", "kubectl"]
IMAGE = "docker.io/rancher/mirrored-library-busybox:1.37.0"


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


def deployment(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A Deployment of one pod."""
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, **spec}}
    wanted = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": wanted}


class Database:
    """The application's database, asked without any of our code."""

    namespace = "songnodes"

    def __init__(self, host: LabHost) -> None:
        self.host = host

    def sql(self, text: str) -> str:
        """What SQL prints; LabError while the database does not answer."""
        argv = [*KUBECTL, "-n", self.namespace, "exec", "postgres-0", "--", "psql", "-X", "-q", "-At"]
        argv += ["-v", "ON_ERROR_STOP=1", "-U", "musicdb_user", "-d", "musicdb", "-c", text]
        return self.host.sudo(argv, timeout=60).out.strip()

    def rows(self, table: str) -> int:
        """Rows of a table."""
        return int(self.sql(f"SELECT count(*) FROM {table}"))


@pytest.fixture
def database(host: LabHost) -> Database:
    """The database, answering."""
    found = Database(host)
    until("the database answers", lambda: found.sql("SELECT 1"))
    return found


@pytest.fixture(scope="session")
def host() -> LabHost:
    """The host that the scenario converged."""
    return LabHost.get(SYSTEM)


@pytest.fixture
def space(host: LabHost) -> Iterator[Space]:
    """An empty namespace, gone afterwards whatever was left stuck in it."""
    made = Space(host)
    host.sudo([*KUBECTL, "delete", "namespace", SPACE, "--ignore-not-found", "--wait=false"])
    until("no namespace", lambda: not host.sudo([*KUBECTL, "get", "ns", SPACE, "--ignore-not-found"]).out)
    host.sudo([*KUBECTL, "create", "namespace", SPACE])
    until("pods are admitted", lambda: made.kubectl("get", "serviceaccount", "default"))
    yield made
    host.sudo([*KUBECTL, "delete", "namespace", SPACE, "--wait=false"])
    for pod in made.pods():
        if pod["metadata"].get("finalizers"):
            patch = '{"metadata":{"finalizers":null}}'
            made.kubectl("patch", "pod", pod["metadata"]["name"], "--type=merge", "-p", patch, check=False)

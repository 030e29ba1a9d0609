"""Two hundred objects: by module app, by `kubectl apply --server-side`, by one kubernetes.core.k8s task; first run and unchanged one.

    make bench ARGS="-k app"

Prints seconds and ratios. Ours and kubectl work on the lab host, the peer's task on the controller (its modules want a newer
Python client than the host has), so the peer pays for no SSH. A play that does nothing is measured beside them.
HOLDFAST_SYSTEM is the lab host; k3s is put on it when it has none.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import controller
from lab.host import LabHost

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = os.environ.get("HOLDFAST_SYSTEM", "songnodes")
KUBECTL = ["/usr/local/bin/k3s", "kubectl"]
OBJECTS = 200
ROUNDS = 3
RECAP = re.compile(r"changed=(\d+)\s+unreachable=0\s+failed=0")


def config_maps() -> dict[str, dict[str, str]]:
    """Names and data of as many ConfigMaps as there are objects beside the namespace."""
    return {
        f"settings-{number:03}": {"NUMBER": str(number), "TEXT": "x" * 200} for number in range(OBJECTS - 1)
    }


def manifests(space: str) -> list[dict[str, Any]]:
    """The same objects as plain manifests."""
    found: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}]
    for name, data in config_maps().items():
        found.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": space},
                "data": data,
            }
        )
    return found


@pytest.fixture
def host() -> Iterator[LabHost]:
    """A host that runs k3s."""
    subprocess.run([sys.executable, "-m", "lab", "up", "--name", SYSTEM], cwd=ROOT, check=True)
    found = LabHost.get(SYSTEM)
    if found.sudo([*KUBECTL, "get", "nodes"], check=False).rc:
        controller.playbook("holdfast.k3s.site", "--tags", "k3s", limit=SYSTEM).check_returncode()
    yield found


def play(tmp_path: Path, hosts: str, tasks: list[dict[str, Any]]) -> tuple[float, int]:
    """Run tasks as a play; seconds and the number of changed ones."""
    book = tmp_path / "play.yml"
    book.write_text(yaml.safe_dump([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
    began = time.monotonic()
    done = controller.playbook(str(book), limit=f"{SYSTEM},localhost", timeout=600)
    spent, recap = time.monotonic() - began, RECAP.search(done.stdout)
    assert done.returncode == 0 and recap, done.stdout[-4000:] + done.stderr[-1000:]
    return spent, int(recap.group(1))


def test_app(host: LabHost, tmp_path: Path) -> None:
    space = "holdfast-bench"
    config = {**yaml.safe_load(host.read("/etc/rancher/k3s/k3s.yaml"))}
    config["clusters"][0]["cluster"]["server"] = f"https://{host.address}:6443"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(0o600)
    kubeconfig.write_text(json.dumps(config))
    file = tmp_path / "objects.yml"
    file.write_text(yaml.safe_dump_all(manifests(space)))
    host.put("/tmp/holdfast-bench.yml", file.read_bytes())
    values = {"name": space, "service_account": {"create": False}, "config": config_maps()}

    def ours() -> tuple[float, int]:
        return play(
            tmp_path, SYSTEM, [{"holdfast.k3s.app": {"values": values, "wait": False}, "become": True}]
        )

    def theirs() -> tuple[float, int]:
        task = {"kubernetes.core.k8s": {"src": str(file), "kubeconfig": str(kubeconfig), "apply": True}}
        local = {"ansible_python_interpreter": sys.executable}
        return play(tmp_path, "localhost", [{**task, "vars": local}])

    def kubectl() -> tuple[float, int]:
        began = time.monotonic()
        host.sudo([*KUBECTL, "apply", "--server-side", "-f", "/tmp/holdfast-bench.yml"], timeout=300)
        return time.monotonic() - began, 0

    def nothing() -> tuple[float, int]:
        return play(tmp_path, SYSTEM, [{"ansible.builtin.ping": {}, "become": True}])

    contestants: dict[str, Callable[[], tuple[float, int]]] = {
        "a play that does nothing": nothing,
        "holdfast.k3s.app": ours,
        "kubectl --server-side": kubectl,
        "kubernetes.core.k8s": theirs,
    }
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _round in range(ROUNDS):  # in turns, so that a busy minute hits all of them
        for name, run in contestants.items():
            host.sudo([*KUBECTL, "delete", "namespace", space, "--ignore-not-found"], timeout=300)
            first, _changed = run()
            again, changed = run()
            assert changed == 0, f"{name}: the second run changed something"
            rounds[name].append((first, again))
    best = {name: [min(column) for column in zip(*runs)] for name, runs in rounds.items()}
    host.sudo([*KUBECTL, "delete", "namespace", space, "--ignore-not-found"], timeout=300)
    empty = best["a play that does nothing"][0]
    print(
        f"\n{OBJECTS} objects, best of {ROUNDS}      first   again   first and again without the empty play"
    )
    for name, (first, again) in best.items():
        less = 0.0 if name.startswith("kubectl") else empty
        print(f"{name:<28} {first:6.2f}  {again:6.2f}   {first - less:6.2f}  {again - less:6.2f}")
    assert best["holdfast.k3s.app"][1] < best["holdfast.k3s.app"][0], (
        "an unchanged run costs as much as a first one"
    )

"""A k3s on a host, as the contract suite drives it: by the commands and files that the product uses, no others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.errors import LabError
from lab.host import LabHost
from lab.proc import Result

K3S = "/usr/local/bin/k3s"
DATA = "/var/lib/rancher/k3s"
DROPINS = "/etc/rancher/k3s/config.yaml.d"
PATIENCE = 3


def eventually(look: Callable[[], Any], seconds: float, what: str, interval: float = 0.5) -> Any:
    """Return the first true answer of ``look``; fail with the last answer or error after thrice the ``seconds``
    that a quiet machine may take."""
    deadline = time.monotonic() + PATIENCE * seconds
    while True:
        last: Any = None
        try:
            last = look()
            if last:
                return last
        except (LabError, KeyError, IndexError, ValueError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE * seconds:.0f} s; last seen: {last}")
        time.sleep(interval)


class K3s:
    """The k3s server of one host."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.node = host.name

    def cli(self, *args: str, check: bool = True, timeout: float = 60) -> Result:
        """Run ``k3s ARGS``."""
        return self.host.sudo([K3S, *args], check=check, timeout=timeout)

    def text(self, *args: str, timeout: float = 60) -> str:
        """Run ``k3s kubectl ARGS`` and return what it printed."""
        return self.cli("kubectl", *args, timeout=timeout).out

    def get(self, *args: str) -> Any:
        """Run ``k3s kubectl get ARGS -o json`` and return the object."""
        return self.host.kubectl(["get", *args])

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply manifests."""
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}).encode()
        self.host.sudo([K3S, "kubectl", "apply", "-f", "-"], stdin=content)

    def unit(self, name: str) -> str:
        """Return a property of the systemd unit."""
        return self.host.run(["systemctl", "show", "-p", name, "--value", "k3s"]).out.strip()

    def cursor(self) -> str:
        """Return the journal's present end."""
        return (
            self.host.sudo(["journalctl", "-q", "-n", "1", "--show-cursor"])
            .out.rsplit("-- cursor: ", 1)[1]
            .strip()
        )

    def journal(self, cursor: str) -> str:
        """Return the unit's lines after ``cursor``."""
        return self.host.sudo(["journalctl", "-q", "-u", "k3s", "-o", "cat", "--after-cursor", cursor]).out

    def start(self, verb: str = "start") -> str:
        """Start the unit without waiting; return the journal's cursor from before."""
        cursor = self.cursor()
        self.host.sudo(["systemctl", "--no-block", verb, "k3s"])
        return cursor

    def stop(self) -> None:
        """Stop the unit; the workload goes on."""
        self.host.sudo(["systemctl", "stop", "k3s"], timeout=180)

    def wait_ready(self, seconds: float = 120) -> float:
        """Wait until the unit is active, the API is ready and so is the node; return the seconds."""
        start = time.monotonic()
        eventually(lambda: self.unit("ActiveState") == "active", seconds, "k3s.service is active")
        eventually(lambda: self.text("get", "--raw", "/readyz") == "ok", seconds, "/readyz")
        eventually(self.node_ready, seconds, "node Ready")
        return time.monotonic() - start

    def node_ready(self) -> bool:
        """Tell whether the node says it is ready."""
        conditions = self.get("node", self.node)["status"]["conditions"]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def wait_line(self, cursor: str, text: str, seconds: float = 60) -> None:
        """Wait until the unit's journal holds ``text``."""
        eventually(lambda: text in self.journal(cursor), seconds, f"journal line '{text}'")

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the pods with a label, those that are going away left out."""
        found = self.get("pods", "-n", namespace, "-l", selector)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready_pod(self, namespace: str, selector: str, seconds: float = 90) -> dict[str, Any]:
        """Wait for a ready pod with the label and return it."""

        def look() -> dict[str, Any] | None:
            for pod in self.pods(namespace, selector):
                conditions = pod["status"].get("conditions", [])
                if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                    return pod
            return None

        found: dict[str, Any] = eventually(look, seconds, f"a ready pod {selector} in {namespace}")
        return found

    @contextmanager
    def dropin(self, name: str, text: str) -> Iterator[None]:
        """Have a configuration drop-in for a while; the caller restarts k3s."""
        path = f"{DROPINS}/{name}.yaml"
        self.host.put(path, text.encode(), 0o600)
        try:
            yield
        finally:
            self.host.sudo(["rm", "-f", path])

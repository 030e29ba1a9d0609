"""What scenarios share: the collection's playbooks run as an operator would, and the k3s process of a lab host."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import controller
from lab.host import LabHost

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Play:
    """How a playbook ended. changed: names of the tasks that changed something, in order."""

    status: int
    output: str
    changed: tuple[str, ...]

    @property
    def words(self) -> str:
        """The output with every run of white space as one blank, so that wrapped messages can be searched."""
        return " ".join(self.output.split())

    def ok(self) -> Play:
        """This play; AssertionError with the end of its output when it failed."""
        assert self.status == 0, self.output[-6000:]
        return self


def play(
    name: str,
    *arguments: str,
    playbook: str = "site",
    system: str | None = None,
    timeout: float = 1500,
    **variables: Any,
) -> Play:
    """Run one of the collection's playbooks on the lab host `name`.

    arguments: further ones for ansible-playbook. system: the inventory below inventories/ that comes before the lab's.
    variables: extra variables. timeout: seconds; generous, because it only ends what hangs.
    """
    done = controller.playbook(
        f"holdfast.k3s.{playbook}",
        *arguments,
        limit=name,
        system=system,
        variables=variables,
        timeout=timeout,
    )
    return Play(done.returncode, done.stdout + done.stderr, changed_tasks(done.stdout))


def changed_tasks(output: str) -> tuple[str, ...]:
    """Names of the tasks below which the default callback wrote `changed:`."""
    found, task = [], ""
    for line in output.splitlines():
        if line.startswith(("TASK [", "RUNNING HANDLER [")):
            task = line.split("[", 1)[1].rsplit("]", 1)[0]
        elif line.startswith("changed: ["):
            found.append(task)
    return tuple(found)


def until(what: str, check: Callable[[], Any], seconds: float = 300) -> Any:
    """The first truthy answer of check; AssertionError with its last answer or exception when the time is over.

    seconds: generous, because a host may be busy, and it only ends what will never come.
    """
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = check()
        except Exception as failure:
            last = failure
        if last and not isinstance(last, Exception):
            return last
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} s, last: {last}")


def pid(host: LabHost, unit: str = "k3s") -> str:
    """Main process of a unit; 0 when it does not run."""
    return host.sudo(["systemctl", "show", unit, "--property=MainPID", "--value"]).out.strip()


def restart_k3s(host: LabHost) -> None:
    """Restart k3s as an administrator would, and wait until its API is ready."""
    host.sudo(["systemctl", "restart", "--no-block", "k3s"])
    until("k3s is active", lambda: active(host) and api_ready(host))


def active(host: LabHost) -> bool:
    """Whether k3s's unit is active and no job of it is pending."""
    shown = host.sudo(["systemctl", "show", "k3s", "--property=ActiveState,Job"]).out.split()
    return "ActiveState=active" in shown and all(
        word in ("ActiveState=active", "Job=", "Job=0") for word in shown
    )


def api_ready(host: LabHost) -> bool:
    """Whether the API server calls itself ready."""
    asked = host.sudo(["/usr/local/bin/k3s", "kubectl", "get", "--raw", "/readyz"], check=False)
    return asked.out.strip() == "ok"


def not_ready(host: LabHost) -> list[str]:
    """Pods that should be ready and are not."""
    found = []
    for pod in host.kubectl(["get", "pods", "-A"])["items"]:
        conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
        if pod["status"]["phase"] != "Succeeded" and conditions.get("Ready") != "True":
            found.append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']} {pod['status']['phase']}")
    return found


def all_pods_ready(host: LabHost, seconds: float = 300) -> None:
    """Wait until every pod that should be ready is; the AssertionError names those that are not."""

    def look() -> bool:
        bad = not_ready(host)
        if bad:
            raise AssertionError(f"not ready: {', '.join(bad)}")
        return True

    until("all pods are ready", look, seconds)


def fresh_host(name: str) -> LabHost:
    """A bare lab host with a mirror that holds everything, whatever was there under its name."""
    lab = [sys.executable, "-m", "lab"]
    subprocess.run([*lab, "down", "--name", name], cwd=ROOT, check=False, timeout=180)
    subprocess.run([*lab, "up", "--name", name], cwd=ROOT, check=True, timeout=3600)
    return LabHost.get(name)

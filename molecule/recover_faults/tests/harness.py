"""Break a lab host, run a recovery on it as an operator would, and keep the score."""

from __future__ import annotations

import json
import os
import random
from typing import Any

from as_operator import run_module
from faults import done, score

from lab.host import LabHost
from lab.proc import Result
from tests.scenario import until

FULL = bool(os.environ.get("HOLDFAST_FULL"))
DATABASE = "/var/lib/rancher/k3s/server/db/state.db"
DATA = "/var/lib/rancher/k3s"
INCIDENTS = "/var/lib/holdfast/incidents"
CONFIG_FAULT = "/etc/rancher/k3s/config.yaml.d/zz-fault.yaml"


def recover(_host: LabHost, check: bool = False, **options: Any) -> dict[str, Any]:
    """One run of k3s_recover."""
    result = run_module("k3s_recover", check, **options)
    assert not result["failed"], result.get("msg")
    return result


LOCAL = """
import json, os, select, signal, sys, time
if "FAKETIME" in os.environ:  # libfaketime breaks the system call below time.sleep
    time.sleep = lambda seconds: select.select([], [], [], max(0, seconds))
sys.path.insert(0, "/usr/local/lib/holdfast")
from ansible_collections.holdfast.k3s.plugins.module_utils.node import act, recover
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths
left, options = int(sys.argv[1]), json.loads(sys.argv[2])
run = act.Actor.run
def counted(self, action):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return run(self, action)
act.Actor.run = counted
print(json.dumps(recover.recover(recover.options_from(options), Paths(), check_mode=False, deadline_seconds=600, budget=None,
                                 evidence_dir="/var/lib/holdfast/incidents").as_dict()))
"""


def local(host: LabHost, *wrapper: str, actions: int = -1, **options: Any) -> Result:
    """The same recovery by the host's own installed library.

    wrapper: a command to run it under. actions: it kills itself before the action after so many; never when negative.
    """
    assert host.exists("/usr/local/lib/holdfast/ansible_collections"), (
        "role recovery did not install its library"
    )
    argv = [*wrapper, "python3", "-c", LOCAL, str(actions), json.dumps(options)]
    return host.sudo(argv, check=False, timeout=600)


def killed_after(host: LabHost, actions: int, **options: Any) -> None:
    """A recovery that dies of SIGKILL after so many actions."""
    ran = local(host, actions=actions, **options)
    # sudo dies of the same signal as its child, which ssh reports as 255
    assert ran.rc in (137, 255, -9) and "Traceback" not in ran.err, ran


def some(points: list[int]) -> list[int]:
    """All of them in the full run, else one by a seed that the environment may set (HOLDFAST_SEED)."""
    return points if FULL else [random.Random(os.environ.get("HOLDFAST_SEED", "1")).choice(points)]


def ids(result: dict[str, Any], where: str = "findings") -> list[str]:
    """The ids among the findings."""
    return [one["id"] for one in result[where]]


def healed(host: LabHost, fault: str, result: dict[str, Any], cause: str) -> None:
    """The whole claim: named, healed, evidence there and private, nothing left to do."""
    assert cause in ids(result), result["findings"]
    assert result["verified"], result["verdict"]
    score(fault, result, cause)
    assert_evidence(host, result)
    again = recover(host)
    assert again["findings"] == [] or all(one["severity"] == "info" for one in again["findings"]), again[
        "findings"
    ]
    assert again["changed"] is False and again["verified"], again["verdict"]


def refused(host: LabHost, fault: str, result: dict[str, Any], cause: str) -> None:
    """The other claim: named, nothing but a copy made, the reason said, evidence there."""
    assert cause in ids(result), result["findings"]
    assert set(done(result)) <= {"copy_aside", "prune_own", "vacuum_journal"}, result["actions"]
    assert result["verified"] is False
    told = next(one for one in result["remaining"] if one["id"] == cause)
    assert told["needs_person"], told
    score(fault, result, cause, told["needs_person"])
    assert_evidence(host, result)


def assert_evidence(host: LabHost, result: dict[str, Any]) -> None:
    """The bundle is there, private, and its manifest names its files."""
    path = result["evidence"]
    assert path, "no evidence"
    assert host.sudo(["stat", "--format", "%a", path]).out.strip() == "700"
    names = host.sudo(["ls", path]).out.split()
    assert "findings.json" in names and "facts.json" in names


def bundles(host: LabHost) -> set[str]:
    """Names of the evidence bundles on the host."""
    return set(host.sudo(["ls", INCIDENTS], check=False).out.split())


def unit(host: LabHost, prop: str) -> str:
    """A property of the k3s unit."""
    return host.sudo(["systemctl", "show", "k3s", "--property", prop, "--value"]).out.strip()


def pid_of(host: LabHost, pattern: str) -> int:
    """The oldest process whose command line matches."""
    return int(host.sudo(["pgrep", "--oldest", "--full", pattern]).out.split()[0])


def ready(host: LabHost) -> bool:
    """The node is Ready, asked of the API."""
    argv = ["/usr/local/bin/k3s", "kubectl", "get", "nodes", "--no-headers", "--request-timeout=3s"]
    return " Ready" in host.sudo(argv, check=False, timeout=20).out


def well(host: LabHost) -> bool:
    """The host's own diagnosis finds nothing: a node can be called Ready by its last report while k3s is down."""
    said = host.sudo(["holdfast", "status"], check=False, timeout=60).out
    if not said.startswith("{") or not ready(host):
        return False
    report = json.loads(said)
    return report["verdict"] == "nothing is wrong" and "STARTING" not in ids(report)


def rows(host: LabHost) -> int:
    """Tracks in the application's database, asked of PostgreSQL itself; LabError while it does not answer."""
    argv = ["/usr/local/bin/k3s", "kubectl", "-n", "songnodes", "exec", "postgres-0", "--"]
    argv += ["psql", "-U", "musicdb_user", "-d", "musicdb", "-Atc", "SELECT count(*) FROM tracks"]
    return int(host.sudo(argv, timeout=60).out)


def edit_config(host: LabHost, text: str | None) -> None:
    """Put a drop-in into k3s's configuration, or take it away."""
    path = CONFIG_FAULT
    if text is None:
        host.sudo(["rm", "--force", path])
    else:
        host.put(path, text.encode(), 0o600)


def restart(host: LabHost) -> None:
    """Restart k3s without waiting."""
    host.sudo(["systemctl", "restart", "--no-block", "k3s"])


def start_well(host: LabHost) -> None:
    """k3s started and Ready."""
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    until("node Ready", lambda: ready(host))

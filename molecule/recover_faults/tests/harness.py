"""Break a lab host, run a recovery on it as an operator would, and keep the score."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lab import controller
from lab.host import LabHost

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "build" / "faults.json"
FULL = bool(os.environ.get("HOLDFAST_FULL"))
DATABASE = "/var/lib/rancher/k3s/server/db/state.db"
DATA = "/var/lib/rancher/k3s"
CONFIG_FAULT = "/etc/rancher/k3s/config.yaml.d/zz-fault.yaml"


def module(
    host: LabHost, name: str, check: bool = False, timeout: float = 900, **options: Any
) -> dict[str, Any]:
    """Run one of our modules on the host through Ansible; a failed module's result has `failed: true`."""
    argv = [str(Path(sys.executable).parent / "ansible"), "--inventory", str(ROOT / ".lab/inventory"), host.name,
            "--become", "--module-name", f"holdfast.k3s.{name}"]  # fmt: skip
    argv += ["--args", json.dumps(options)] if options else []
    env = controller.environment()
    ran = subprocess.run(
        [*argv, *(["--check"] if check else [])], cwd=ROOT, env=env, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    head, arrow, rest = ran.stdout.partition("=> ")
    assert arrow, f"no result: {ran.stdout}\n{ran.stderr}"
    result: dict[str, Any] = json.JSONDecoder().raw_decode(rest)[0]
    return {**result, "failed": "FAILED" in head or "UNREACHABLE" in head}


def recover(host: LabHost, check: bool = False, **options: Any) -> dict[str, Any]:
    """One run of k3s_recover."""
    result = module(host, "k3s_recover", check, **options)
    assert not result["failed"], result.get("msg")
    return result


def ids(result: dict[str, Any], where: str = "findings") -> list[str]:
    """The ids among the findings."""
    return [one["id"] for one in result[where]]


def done(result: dict[str, Any]) -> list[str]:
    """Kinds of the actions that were carried out."""
    return [one["kind"] for one in result["actions"] if one["outcome"] == "done"]


def score(fault: str, result: dict[str, Any], cause: str) -> None:
    """Add a line to the table of faults."""
    lines = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    lines = [one for one in lines if one["fault"] != fault]
    seconds = result.get("seconds", {})
    remaining = [one for one in result.get("remaining", []) if one["id"] == cause]
    lines.append(
        {
            "fault": fault,
            "cause": cause,
            "actions": done(result),
            "healed": bool(result.get("verified")),
            "why": remaining[0]["needs_person"] if remaining else "",
            "detect": seconds.get("detect"),
            "total": seconds.get("total"),
        }
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(sorted(lines, key=lambda one: one["fault"]), indent=1) + "\n")


def healed(host: LabHost, fault: str, result: dict[str, Any], cause: str) -> None:
    """The whole claim: named, healed, evidence there and private, nothing left to do."""
    score(fault, result, cause)
    assert cause in ids(result), result["findings"]
    assert result["verified"], result["verdict"]
    assert_evidence(host, result)
    again = recover(host)
    assert again["findings"] == [] or all(one["severity"] == "info" for one in again["findings"]), again[
        "findings"
    ]
    assert again["changed"] is False and again["verified"], again["verdict"]


def refused(host: LabHost, fault: str, result: dict[str, Any], cause: str) -> None:
    """The other claim: named, nothing but a copy made, the reason said, evidence there."""
    score(fault, result, cause)
    assert cause in ids(result), result["findings"]
    assert set(done(result)) <= {"copy_aside", "prune_own", "vacuum_journal"}, result["actions"]
    assert result["verified"] is False
    told = next(one for one in result["remaining"] if one["id"] == cause)
    assert told["needs_person"], told
    assert_evidence(host, result)


def assert_evidence(host: LabHost, result: dict[str, Any]) -> None:
    """The bundle is there, private, and its manifest names its files."""
    path = result["evidence"]
    assert path, "no evidence"
    assert host.sudo(["stat", "--format", "%a", path]).out.strip() == "700"
    names = host.sudo(["ls", path]).out.split()
    assert "findings.json" in names and "facts.json" in names


def unit(host: LabHost, prop: str) -> str:
    """A property of the k3s unit."""
    return host.sudo(["systemctl", "show", "k3s", "--property", prop, "--value"]).out.strip()


def pid_of(host: LabHost, pattern: str) -> int:
    """The oldest process whose command line matches."""
    return int(host.sudo(["pgrep", "--oldest", "--full", pattern]).out.split()[0])


def wait(what: str, predicate: Any, seconds: float = 60) -> None:
    """Until `predicate()` is true; AssertionError with `what` otherwise."""
    until = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)


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
    wait("node Ready", lambda: ready(host), 120)

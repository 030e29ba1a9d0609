"""The command for 3 a.m.: preview, recovery, report, second run, and an honest verdict when it cannot help."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import SYSTEM, Space, container, run_play, until

from lab.host import LabHost

REBOOT = {"incident_settle": 60, "incident_wait": 240}


def changed(output: str) -> int:
    """Number of changed tasks in a recap without failures."""
    found = re.search(
        rf"^{SYSTEM}\s*: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0", output, re.MULTILINE
    )
    assert found, output[-4000:]
    return int(found.group(1))


def test_preview_recovery_report_and_nothing_left(space: Space) -> None:
    space.seed("failed=10", "evicted=5")
    # A small patience for the pods in question; everything else as the inventory has it.
    quick: dict[str, Any] = {"incident_namespaces": [Space.name], "incident_settle": 3, "incident_wait": 60}
    plan = run_play("recover", "--check", **quick)
    assert changed(plan.stdout) >= 1 and "would do 15 x delete_pod" in plan.stdout, plan.stdout[-4000:]
    assert "plan only, nothing was touched" in plan.stdout and len(space.pods()) == 15
    done = run_play("recover", **quick)
    assert changed(done.stdout) == 1 and "verdict: healthy" in done.stdout, done.stdout[-4000:]
    assert space.pods() == []
    page = re.search(r"page: (\S+/timeline\.html)", done.stdout)
    evidence = re.search(r"evidence: (\S+-pod-reap)", done.stdout)
    assert page and evidence
    assert "<html" in space.host.sudo(["cat", page.group(1)]).out
    assert "manifest.json" in space.host.sudo(["ls", evidence.group(1)]).out
    assert changed(run_play("recover", **quick).stdout) == 0


def test_what_cannot_be_healed_fails_with_a_clear_verdict(space: Space) -> None:
    spec = {"containers": [container("echo 'could not connect to server: db'; exit 1")]}
    labels = {"app": "broken"}
    deployment = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": spec},
    }
    space.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "broken"}, "spec": deployment}
    )
    until(
        "it crashes",
        lambda: any(s["restartCount"] for p in space.pods() for s in p["status"]["containerStatuses"]),
    )
    done = run_play("recover_pods", incident_namespaces=[Space.name], incident_wait=3, incident_row_checks=[])
    assert done.returncode != 0 and f"{SYSTEM} is degraded" in done.stdout, done.stdout[-3000:]
    assert "cannot connect to something that it needs" in done.stdout or "exited with 1" in done.stdout


def count_tracks(host: LabHost) -> int:
    """Rows of the catalogue, asked of the database without any of our code."""
    argv = ["/usr/local/bin/k3s", "kubectl", "-n", "songnodes", "exec", "postgres-0", "--"]
    argv += ["psql", "-U", "musicdb_user", "-d", "musicdb", "-Atc", "SELECT count(*) FROM tracks"]
    return int(host.sudo(argv, timeout=60).out)


@pytest.mark.req("SN-09", "SN-29", "SN-30", "SN-31")
def test_power_loss(host: LabHost) -> None:
    before = until("the database answers", lambda: count_tracks(host) or None)
    host.power_loss()
    done = run_play("recover_reboot", **REBOOT)
    assert "verdict: healthy" in done.stdout, done.stdout[-5000:]
    assert f"{before} rows in musicdb.tracks" in done.stdout
    assert count_tracks(host) == before
    again = run_play("recover_reboot", **REBOOT)
    assert changed(again.stdout) == 0 and "verdict: healthy" in again.stdout

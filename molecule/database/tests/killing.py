"""Kill one thing at one step of a script while a module runs it on the lab host."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from database import NAMESPACE, ROOT, module_argv

from lab import controller
from lab.host import LabHost

FULL = os.environ.get("HOLDFAST_FULL") == "1"
SEED = os.environ.get("HOLDFAST_SEED") or date.today().isoformat()
RESULTS = ROOT / "build" / "kills.jsonl"
VICTIMS = {
    "module": "pkill -KILL -f '[A]nsiballZ_pg_'",
    "job": f"/usr/local/bin/k3s kubectl -n {NAMESPACE} delete pods -l holdfast.dev/script=SCRIPT --field-selector status.phase=Running --grace-period=0 --force --wait=false",
    "postgres": "pkill -KILL -x postgres",
    "containerd": "pkill -KILL -x containerd",
    "host": "true",  # the test cuts the power itself
}
MARKER = "/var/tmp/holdfast-kill-marker"  # outlives a power cut

# Wait until a job of this run says that it has come to a step, then kill in the same breath.
WATCH = f"""
for _ in $(seq 1 6000); do
    logs=$(find /var/log/pods -name '*.log' -path "*-$1-*" -newer {MARKER})
    if [ -n "$logs" ] && grep -qs '"step":"'"$2"'"' $logs; then
        sh -c "$3" || true
        exit 0
    fi
    sleep 0.05
done
exit 9
"""
LAST = f"find /var/log/pods -name '*.log' -path '*_postgres-backup-*' -newer {MARKER} -printf '%T@ %p\\n' | sort -n | tail -n 1 | cut -d' ' -f2 | xargs -r tail -n 1"


@dataclass(frozen=True)
class Case:
    """script: prepare, swap or backup. step: what the script says when it begins. victim: one of VICTIMS."""

    script: str
    step: str
    victim: str

    def __str__(self) -> str:
        return f"{self.script}-{self.step}-{self.victim}"


def chosen(steps: dict[str, Sequence[str]], some: int) -> list[Case]:
    """Every step with every victim in the full run; otherwise `some` of them, others every day."""
    pairs = [(script, step) for script, names in steps.items() for step in names]
    cases = [Case(script, step, victim) for (script, step), victim in itertools.product(pairs, VICTIMS)]
    return cases if FULL else random.Random(SEED).sample(cases, some)


@dataclass(frozen=True)
class Interrupted:
    """completed: the module ended well all the same. last_step: what the jobs of this run said last. began: monotonic."""

    completed: bool
    last_step: str
    began: float


def interrupt(host: LabHost, case: Case, module: str, options: dict[str, Any]) -> Interrupted:
    """Run a module as an operator would, kill the victim when the script comes to the step, and wait for the module's end."""
    host.sudo(["touch", MARKER])
    began = time.monotonic()
    process = subprocess.Popen(
        module_argv(module, options, False),
        cwd=ROOT,
        env=controller.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        command = VICTIMS[case.victim].replace("SCRIPT", case.script)
        host.sudo(["sh", "-c", WATCH, "sh", case.script, case.step, command], timeout=400)
        if case.victim == "host":
            host.power_loss()
        if case.victim in ("module", "host"):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=500)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Interrupted(process.returncode == 0, last_step(host), began)


def last_step(host: LabHost) -> str:
    """The last step that the jobs of this run spoke of."""
    said = host.sudo(["sh", "-c", LAST], check=False).out
    try:
        return str(json.loads(said[said.index("{") :])["step"])
    except (ValueError, KeyError):
        return "?"


def note(case: Case, first: Interrupted, state: str, resumed: bool) -> None:
    """Keep what was seen, for tools/kill_table.py."""
    row = {
        "script": case.script,
        "step": case.step,
        "victim": case.victim,
        "first": first.completed,
        "last_step": first.last_step,
        "state": state,
        "resumed": resumed,
        "seconds": round(time.monotonic() - first.began),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")

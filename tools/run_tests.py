"""Run the steps of tools/steps.py one after the other, keep a log of each, and say where the time went.

    python tools/run_tests.py [--full] [--only NAME[,NAME…]] [--list]

Exit status 0 when every step passed. Logs: build/logs/<step>.log (of a second attempt: <step>.2.log).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from steps import STEPS, Step

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "logs"
TAIL_LINES = 60


@dataclass
class Report:
    """How one step went: attempts made, seconds in all, whether it passed in the end."""

    step: Step
    passed: bool = False
    attempts: int = 0
    seconds: float = 0.0
    logs: list[Path] = field(default_factory=list)


def attempt(step: Step, log: IO[bytes]) -> bool:
    """Run the step once with its output into `log` and, line by line, to the terminal with the step's name."""
    process = subprocess.Popen(step.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    for line in process.stdout:
        log.write(line)
        if not os.environ.get("CI"):
            sys.stdout.write(f"  {step.name} | {line.decode(errors='replace')}")
            sys.stdout.flush()
    return process.wait() == 0


def fresh_host(step: Step) -> None:
    """Before a second attempt: take every lab host of this checkout down, whatever state the first one left."""
    print(f"    {step.name}: removing the lab hosts before the second attempt", flush=True)
    subprocess.run([sys.executable, "-m", "lab", "down", "--all"], cwd=ROOT, check=False, timeout=180)


def run(step: Step, index: int, total: int) -> Report:
    """Run a step with as many attempts as it may have."""
    report = Report(step)
    LOGS.mkdir(parents=True, exist_ok=True)
    while report.attempts < step.attempts and not report.passed:
        if report.attempts:
            fresh_host(step)
        report.attempts += 1
        path = LOGS / (f"{step.name}.log" if report.attempts == 1 else f"{step.name}.{report.attempts}.log")
        report.logs.append(path)
        print(f"[{index}/{total}] {step.name}: {' '.join(step.command)}", flush=True)
        began = time.monotonic()
        with path.open("wb") as log:
            report.passed = attempt(step, log)
        spent = time.monotonic() - began
        report.seconds += spent
        print(f"    {step.name}: {'passed' if report.passed else 'FAILED'} after {spent:.0f} s", flush=True)
        if not report.passed:
            tail = path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            print("\n".join(f"    | {line}" for line in tail), flush=True)
            print(f"    what to do next: {step.hint}\n    whole log: {path.relative_to(ROOT)}", flush=True)
    return report


def table(reports: list[Report]) -> str:
    """Where the time went, one line a step."""
    lines = [f"{'step':<20} {'result':<8} {'seconds':>8}  attempts"]
    for report in reports:
        result = "passed" if report.passed else "FAILED"
        lines.append(f"{report.step.name:<20} {result:<8} {report.seconds:>8.0f}  {report.attempts}")
    lines.append(f"{'all':<20} {'':<8} {sum(report.seconds for report in reports):>8.0f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the project's tests step by step.")
    parser.add_argument("--full", action="store_true", help="also the long loops (HOLDFAST_FULL=1)")
    parser.add_argument("--only", default="", help="comma-separated names of steps")
    parser.add_argument("--list", action="store_true", help="name the steps and stop")
    arguments = parser.parse_args()
    wanted = [name for name in arguments.only.split(",") if name]
    unknown = sorted(set(wanted) - {step.name for step in STEPS})
    if unknown:
        parser.error(
            f"no such step: {', '.join(unknown)}; there are {', '.join(step.name for step in STEPS)}"
        )
    steps = [s for s in STEPS if (s.name in wanted if wanted else arguments.full or not s.full_only)]
    if arguments.list:
        print("\n".join(f"{step.name:<20} {' '.join(step.command)}" for step in STEPS))
        return 0
    if arguments.full:
        os.environ["HOLDFAST_FULL"] = "1"
    os.environ.setdefault("HOLDFAST_KEEP", "1")
    reports = [run(step, index, len(steps)) for index, step in enumerate(steps, 1)]
    subprocess.run([sys.executable, "-m", "lab", "down", "--all"], cwd=ROOT, check=False, timeout=300)
    print("\n" + table(reports))
    failed = [report for report in reports if not report.passed]
    print(f"\n{len(reports) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

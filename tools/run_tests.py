"""Run the steps of tools/steps.py, keep a log of each, and say where the time went.

    python tools/run_tests.py [--full] [--only NAME[,NAME…]] [--lanes N] [--list]

The steps run in lanes side by side, each lane with a family of lab hosts of its own; a step waits for the one that it
needs. Exit status 0 when every step passed. Logs: build/logs/<step>.log (of a second attempt:
<step>.2.log).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from steps import STEPS, Step

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "logs"
TAIL_LINES = 60
# What pytest's summary and Ansible say of a failure, each on one line.
FAILURE = re.compile(
    r"^(?:(?:FAILED|ERROR) \S+::|(?:fatal|failed): \[|\S+: error: |ERROR: \S+:\d+:|CRITICAL +Ansible return code)"
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What molecule draws around its verifier's output.
FRAME = re.compile(r"^ *│ ")


@dataclass
class Report:
    """How one step went: attempts made (none when what it needs failed), seconds in all, whether it passed in the end."""

    step: Step
    passed: bool = False
    attempts: int = 0
    seconds: float = 0.0
    logs: list[Path] = field(default_factory=list)


class Lane:
    """Runs steps one after the other on its own family of lab hosts. number: 0 has the hosts without a prefix."""

    def __init__(self, number: int = 0) -> None:
        own = {"HOLDFAST_LAB_PREFIX": f"lane{number}"} if number else {}
        self.environment = {**os.environ, **own}

    def run(self, step: Step) -> Report:
        """Run a step with as many attempts as it may have."""
        report = Report(step)
        while report.attempts < step.attempts and not report.passed:
            if report.attempts:
                print(f"    {step.name}: removing the lab hosts before the second attempt", flush=True)
                self.clear()
            report.attempts += 1
            path = LOGS / (
                f"{step.name}.log" if report.attempts == 1 else f"{step.name}.{report.attempts}.log"
            )
            report.logs.append(path)
            print(f"{step.name}: {' '.join(step.command)}", flush=True)
            began = time.monotonic()
            with path.open("wb") as log:
                report.passed = self.attempt(step, log)
            spent = time.monotonic() - began
            report.seconds += spent
            lines = [f"    {step.name}: {'passed' if report.passed else 'FAILED'} after {spent:.0f} s"]
            if not report.passed:
                tail = path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
                lines += [f"    | {line}" for line in tail]
                lines += [f"    what to do next: {step.hint}", f"    whole log: {path.relative_to(ROOT)}"]
            print("\n".join(lines), flush=True)
        return report

    def attempt(self, step: Step, log: IO[bytes]) -> bool:
        """Run the step once with its output into `log` and, line by line, to the terminal with the step's name."""
        process = subprocess.Popen(
            step.command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if not os.environ.get("CI"):
                sys.stdout.write(f"  {step.name} | {line.decode(errors='replace')}")
                sys.stdout.flush()
        return process.wait() == 0

    def drain(self, waiting: SimpleQueue[Step], reports: dict[str, Future[Report]]) -> None:
        """Run what waits until nothing does, then take the hosts down."""
        while True:
            try:
                step = waiting.get_nowait()
            except Empty:
                self.clear()
                return
            # What is needed stands earlier in the queue, so another lane is at it already; left out, it is not waited for.
            need = reports.get(step.needs)
            if need is None or need.result().passed:
                reports[step.name].set_result(self.run(step))
            else:
                print(f"    {step.name}: not run, because {step.needs} failed", flush=True)
                reports[step.name].set_result(Report(step))

    def clear(self) -> None:
        """Take every lab host of this lane down, whatever state it is in."""
        argv = [sys.executable, "-m", "lab", "down", "--all"]
        try:
            subprocess.run(argv, cwd=ROOT, env=self.environment, check=False, timeout=600)
        except subprocess.TimeoutExpired:
            print("    the lab hosts could not be removed in 600 s; the next run takes them over", flush=True)


def run_all(steps: Sequence[Step], lanes: int) -> list[Report]:
    """Run the steps in lanes; reports in the order of the steps."""
    LOGS.mkdir(parents=True, exist_ok=True)
    reports: dict[str, Future[Report]] = {step.name: Future() for step in steps}
    waiting: SimpleQueue[Step] = SimpleQueue()
    for step in steps:
        waiting.put(step)
    with ThreadPoolExecutor(lanes) as pool:
        running = [pool.submit(Lane(number).drain, waiting, reports) for number in range(lanes)]
    for lane in running:
        lane.result()  # an error of this program's own
    return [reports[step.name].result() for step in steps]


def table(reports: Sequence[Report], seconds: float) -> str:
    """Where the time went, one line a step. seconds: wall time of all."""
    lines = [f"{'step':<20} {'result':<8} {'seconds':>8}  attempts"]
    for report in reports:
        result = "passed" if report.passed else "FAILED"
        lines.append(f"{report.step.name:<20} {result:<8} {report.seconds:>8.0f}  {report.attempts}")
    lines.append(f"{'all, wall time':<20} {'':<8} {seconds:>8.0f}")
    return "\n".join(lines)


def reasons(text: str, most: int = 3, width: int = 160) -> list[str]:
    """The lines of a step's log that say what failed: at most `most` of them, each cut to `width` characters."""
    lines = (FRAME.sub("", COLOUR.sub("", line)) for line in text.splitlines())
    return list(dict.fromkeys(line[:width] for line in lines if FAILURE.match(line)))[-most:]


def digest(reports: Sequence[Report]) -> list[str]:
    """What failed, also in attempts that a later one made good: last of all, where a cut log still shows it."""
    lines = []
    for report in reports:
        for number, log in enumerate(report.logs, 1):
            if number < report.attempts or not report.passed:
                said = reasons(log.read_text(errors="replace")) or [f"see {log.relative_to(ROOT)}"]
                lines += [f"{report.step.name}, attempt {number}: {line}" for line in said]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the project's tests step by step.")
    parser.add_argument(
        "--full", action="store_true", help="the long loops whole, not a few of them (HOLDFAST_FULL=1)"
    )
    parser.add_argument("--only", default="", help="comma-separated names of steps")
    parser.add_argument("--lanes", type=int, default=2, help="steps at the same time (default 2)")
    parser.add_argument("--list", action="store_true", help="name the steps and stop")
    arguments = parser.parse_args()
    wanted = [name for name in arguments.only.split(",") if name]
    unknown = sorted(set(wanted) - {step.name for step in STEPS})
    if unknown:
        parser.error(
            f"no such step: {', '.join(unknown)}; there are {', '.join(step.name for step in STEPS)}"
        )
    steps = [s for s in STEPS if not wanted or s.name in wanted]
    if arguments.list:
        print("\n".join(f"{step.name:<20} {' '.join(step.command)}" for step in STEPS))
        return 0
    if arguments.full:
        os.environ["HOLDFAST_FULL"] = "1"
    os.environ.setdefault("HOLDFAST_KEEP", "1")
    began = time.monotonic()
    reports = run_all(steps, max(1, arguments.lanes))
    print("\n" + table(reports, time.monotonic() - began))
    failed = [report for report in reports if not report.passed]
    print(f"\n{len(reports) - len(failed)} passed, {len(failed)} failed")
    print("\n".join(digest(reports)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

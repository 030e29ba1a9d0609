"""Start, stop and signal the server: every wait has its own deadline, every signal its precondition."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    DeadlineExceeded,
    PreconditionFailed,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.node import process, unit
from ansible_collections.holdfast.k3s.plugins.module_utils.node.api import Api, kubelet, readyz
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Options
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

DOWN = ("inactive", "failed")
STAYS_DOWN_SECONDS = 15.0  # longer than systemd takes to begin with a start that was asked for


class Gone(PreconditionFailed):
    """The process that a signal was meant for is not there any more: what was wrong with it went with it."""


class Service:
    """The k3s unit of this host."""

    def __init__(self, commands: Commands, paths: Paths, options: Options, clock: Clock) -> None:
        self.commands, self.paths, self.options, self.clock = commands, paths, options, clock

    def state(self) -> dict[str, Any]:
        """The unit as systemd sees it now."""
        return unit.probe(self.commands, self.paths.unit)

    def systemctl(self, *arguments: str) -> None:
        """A systemctl call that does not wait for the job."""
        self.commands.run(["systemctl", "--no-block", *arguments], timeout=20)

    def wait_ready(self, seconds: float) -> dict[str, Any]:
        """Until the unit is active and /readyz and kubelet say ok; DeadlineExceeded says what was still missing.

        A unit that stays down is not waited for: nobody is about to start it.
        """
        deadline = Deadline(self.clock, seconds)
        began = self.clock.monotonic()
        last_up = began
        while True:
            state = self.state()
            missing = f"unit {state['active']}/{state['sub']}"
            last_up = last_up if state["active"] in DOWN else self.clock.monotonic()
            if state["active"] == "active":
                answer = readyz(Api(self.paths.kubeconfig, 3))
                missing = "" if answer["ok"] else f"/readyz: {answer.get('failed') or answer.get('error')}"
                if answer["ok"] and not kubelet(3)["ok"]:
                    missing = "kubelet does not answer"
                if not missing:
                    return {"ready_after": round(self.clock.monotonic() - began, 1)}
            if deadline.expired() or self.clock.monotonic() - last_up > STAYS_DOWN_SECONDS:
                raise DeadlineExceeded(
                    f"k3s is not ready after {self.clock.monotonic() - began:.0f} s: {missing}", field="unit", value=self.paths.unit,
                    fix=f"look at journalctl -u {self.paths.unit} -n 50",
                )  # fmt: skip
            self.clock.sleep(0.5)

    def stop(self) -> dict[str, Any]:
        """Stop the server; a main process that does not end in time is killed. Containers keep running."""
        before = self.state()
        if before["active"] in DOWN:
            return {"already": True}
        main = process.stat(before["main_pid"]) if before["main_pid"] else None
        self.systemctl("stop", self.paths.unit)
        killed = False
        deadline = Deadline(self.clock, self.options.stop_seconds)
        while self.state()["active"] not in DOWN:
            if deadline.expired():
                if killed or main is None:
                    raise DeadlineExceeded("k3s does not stop", field="unit", value=self.paths.unit)
                self.end(main, signal.SIGKILL)
                killed, deadline = True, Deadline(self.clock, 20)
            self.clock.sleep(0.3)
        return {"killed": killed}

    def start(self) -> dict[str, Any]:
        """Start the server and wait until it is ready; one that is still stopping is waited for first."""
        if self.state()["active"] == "deactivating":
            self.stop()
        self.commands.run(["systemctl", "reset-failed", self.paths.unit], timeout=20, check=False)
        self.systemctl("start", self.paths.unit)
        return self.wait_ready(self.options.start_seconds)

    def restart(self, main_pid: int) -> dict[str, Any]:
        """Restart, unless somebody restarted it since it was looked at: then only wait.

        main_pid: the main process when it was looked at.
        """
        now = self.state()
        if now["main_pid"] not in (0, main_pid) and now["active_seconds"] < 30:
            return {"restarted_meanwhile": True, **self.wait_ready(self.options.start_seconds)}
        return {**self.stop(), **self.start()}

    def signal(self, pid: int, start: int, number: int) -> dict[str, Any]:
        """Send a signal to exactly the process that was looked at."""
        gone = Gone("the process is gone", field="pid", value=pid, fix="run again: nothing was done")
        if not process.same(pid, start):
            raise gone
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            raise gone from None
        return {"pid": pid, "signal": signal.Signals(number).name}

    def end(self, one: dict[str, Any], number: int) -> None:
        """The same for a process that is meant to end: one that is gone is as it should be."""
        with contextlib.suppress(Gone):
            self.signal(one["pid"], one["start"], number)

    def stop_containers(self) -> dict[str, Any]:
        """Ask the first process of every container to end: TERM, at half time INT (PostgreSQL's fast shutdown)."""

        def alive() -> list[dict[str, Any]]:
            found = process.container_roots(process.table(), self.paths.data_dir)
            return [one for one in found if one["comm"] != "pause" and one["state"] != "Z"]

        roots = alive()
        first = len(roots)
        deadline = Deadline(self.clock, self.options.grace_seconds)
        for number, until in ((signal.SIGTERM, self.options.grace_seconds / 2), (signal.SIGINT, 0.0)):
            for one in roots:
                self.end(one, number)
            while roots and deadline.remaining() > until:
                self.clock.sleep(0.3)
                roots = alive()
        return {"asked": first, "left": len(roots)}

    def killall(self) -> dict[str, Any]:
        """Run k3s's own script: it ends what is left of the containers and clears network leftovers."""
        where = {"K3S_DATA_DIR": self.paths.data_dir}
        result = self.commands.run([self.paths.killall], timeout=120, env=where)
        return {"seconds": round(result.seconds, 1)}

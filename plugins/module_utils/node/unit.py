"""What systemd and the journal say about the server's unit."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

PROPERTIES = (
    "LoadState,UnitFileState,ActiveState,SubState,NRestarts,MainPID,Result,ExecMainStatus,"
    "StateChangeTimestampMonotonic,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic,ControlGroup"
)
STARTING = re.compile(r"Starting k3s v")


def parse_show(text: str) -> dict[str, str]:
    """`systemctl show` output as a dictionary."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def describe(show: dict[str, str], uptime: float) -> dict[str, Any]:
    """The unit's state in our words.

    activating_seconds: how long the present start attempt lasts, 0 unless the unit is `activating`.
    """

    def monotonic(name: str) -> float:
        return int(show.get(name) or 0) / 1e6

    active = show.get("ActiveState", "unknown")
    began = monotonic("InactiveExitTimestampMonotonic") if active == "activating" else uptime
    return {
        "exists": show.get("LoadState") == "loaded",
        "enabled": show.get("UnitFileState", ""),
        "active": active,
        "sub": show.get("SubState", ""),
        "n_restarts": int(show.get("NRestarts") or 0),
        "main_pid": int(show.get("MainPID") or 0),
        "result": show.get("Result", ""),
        "exit_status": int(show.get("ExecMainStatus") or 0),
        "activating_seconds": round(max(0.0, uptime - began), 1) if active == "activating" else 0.0,
        "active_seconds": round(max(0.0, uptime - monotonic("ActiveEnterTimestampMonotonic")), 1)
        if active == "active"
        else 0.0,
    }


def boot_seconds() -> float:
    """CLOCK_MONOTONIC, the clock of systemd's monotonic stamps."""
    import time

    return time.clock_gettime(time.CLOCK_MONOTONIC)


def probe(commands: Commands, unit: str, timeout: float = 10) -> dict[str, Any]:
    """The state of a unit."""
    result = commands.run(["systemctl", "show", f"{unit}.service", "--property", PROPERTIES], timeout=timeout)
    return {"name": unit, **describe(parse_show(result.out), boot_seconds())}


def journal(
    commands: Commands, unit: str, starts: int = 2, lines: int = 400, timeout: float = 15
) -> dict[str, Any]:
    """The unit's last journal lines of this boot; `attempt` are those of the last `starts` starts."""
    try:
        result = commands.run(
            [
                "journalctl",
                "--unit",
                f"{unit}.service",
                "--boot",
                "--lines",
                str(lines),
                "--output",
                "cat",
                "--no-pager",
                "--quiet",
            ],
            timeout=timeout,
        )
    except HoldfastError as error:
        return {"lines": [], "attempt": [], "error": str(error)}
    found = result.out.splitlines()
    return {"lines": found[-50:], "attempt": last_attempts(found, starts)}


def starts_that_count(state: dict[str, Any]) -> int:
    """How many of the last starts tell about the present: two only while systemd tries again by itself.

    A unit that is active, or was started by hand since (which sets NRestarts to 0), has nothing to do with the error of an
    earlier start; one that waits for its next start has said all it had to say in the last one.
    """
    again = state.get("active") == "activating" and state.get("sub") != "auto-restart"
    return 2 if again and state.get("n_restarts", 0) > 0 else 1


def last_attempts(lines: list[str], starts: int = 2) -> list[str]:
    """The lines since the last `starts` starts: the newest attempt may not have reached its error yet."""
    marks = [number for number, line in enumerate(lines) if STARTING.search(line)]
    return lines[marks[-starts]:] if len(marks) >= starts else lines  # fmt: skip

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The registry's systemd unit: what it needs now. The plan is pure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action


@dataclass(frozen=True)
class State:
    """active, enabled: systemd's words. reload: unit files on disk are newer than systemd's copy.

    changed: files that are newer than the running process.
    """

    active: str
    enabled: str
    reload: bool
    changed: Sequence[str] = ()


def plan(
    unit: str, state: State, timers: Mapping[str, State], timers_on: bool, pending: bool
) -> list[Action]:
    """Reload, enable, start or restart; and the timers on or off.

    pending: in check mode, whether earlier tasks would change the unit or its files.
    """
    actions = []
    if state.reload or pending or any(timer.reload for timer in timers.values()):
        actions.append(Action("daemon_reload", "systemd", "unit files changed"))
    if state.enabled != "enabled":
        actions.append(Action("enable", unit, f"is {state.enabled or 'not installed'}"))
    if state.active != "active":
        actions.append(Action("restart", unit, f"is {state.active}"))
    elif state.changed or pending:
        why = f"changed since it started: {', '.join(state.changed) or 'its files'}"
        actions.append(Action("restart", unit, why, risk="medium"))
    for name, timer in timers.items():
        on = timer.enabled == "enabled" and timer.active == "active"
        if timers_on and not on:
            actions.append(
                Action("enable_now", name, f"is {timer.enabled or 'not installed'}/{timer.active}")
            )
        elif not timers_on and (on or timer.active == "active"):
            actions.append(Action("disable_now", name, "is not wanted"))
    return actions


def observe(commands: Any, unit: str, paths: Sequence[str] = ()) -> State:
    """State of a unit; `paths` are the files whose change needs a restart."""
    properties = "ActiveState,UnitFileState,NeedDaemonReload,ExecMainStartTimestampMonotonic"
    out = commands.run(["systemctl", "show", unit, f"--property={properties}"]).out
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    active = found.get("ActiveState", "inactive")
    changed: list[str] = []
    if active == "active":
        started = _wall(int(found.get("ExecMainStartTimestampMonotonic") or 0))
        changed = [path for path in paths if _modified(path) > started]
    return State(active, found.get("UnitFileState", ""), found.get("NeedDaemonReload") == "yes", changed)


def act(commands: Any, action: Action) -> None:
    """Carry out one action of the plan."""
    argv = {
        "daemon_reload": ["systemctl", "daemon-reload"],
        "enable": ["systemctl", "enable", action.target],
        "restart": ["systemctl", "restart", action.target],
        "enable_now": ["systemctl", "enable", "--now", action.target],
        "disable_now": ["systemctl", "disable", "--now", action.target],
    }[action.kind]
    commands.run(argv, timeout=90)


def _wall(monotonic_usec: int) -> float:
    """Wall-clock seconds of a moment that systemd names in microseconds of CLOCK_MONOTONIC."""
    return time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - monotonic_usec / 1e6)


def _modified(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0

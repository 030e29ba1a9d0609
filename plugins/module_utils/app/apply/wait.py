# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait for the workloads of a phase, and stop as soon as waiting is pointless."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import Item, Obj
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.watch import WATCHED, Trouble, judge
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded, HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.progress import Progress
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text

INTERVAL = 0.5
LONGEST_INTERVAL = 3.0
LOG_LINES = 15


class RolloutFailed(HoldfastError):
    """A workload cannot become ready; the message holds the cause and its last log lines."""


@dataclass
class Waiter:
    """waits: seconds per workload, for the result."""

    client: Client
    namespace: str
    clock: Clock
    secrets: tuple[str, ...] = ()
    progress: Progress = field(default_factory=Progress)
    waits: dict[str, float] = field(default_factory=dict)

    def wait(self, phase: str, items: Iterable[Item], deadline: Deadline) -> None:
        """Return when every workload of the items is ready. Raises RolloutFailed or DeadlineExceeded."""
        open_items = {
            (item.manifest["kind"], item.manifest["metadata"]["name"]): item
            for item in items
            if _watched(item)
        }
        began, interval, missing = self.clock.monotonic(), INTERVAL, ""
        total = len(open_items)
        while open_items:
            workloads, pods = self._look({kind for kind, _name in open_items})
            troubles, reasons = [], []
            for key in list(open_items):
                workload = workloads.get(key)
                if workload is None:
                    reasons.append(f"{key[0].lower()}/{key[1]}: it is not there yet")
                    continue
                done, why, trouble = judge(workload, pods, self.clock.now())
                if done:
                    self.waits[f"{key[0].lower()}/{key[1]}"] = round(self.clock.monotonic() - began, 1)
                    del open_items[key]
                elif trouble:
                    troubles.append(trouble)
                else:
                    reasons.append(f"{key[0].lower()}/{key[1]}: {why}")
            if troubles:
                raise RolloutFailed("\n".join(self._tell(trouble) for trouble in troubles))
            missing = "; ".join(reasons)
            self.progress.report(f"{phase}: ready", total - len(open_items), total, waiting=missing)
            if not open_items:
                return
            longest = max(item.timeout for item in open_items.values())
            if self.clock.monotonic() - began > longest:
                raise DeadlineExceeded(
                    f"not ready within {longest} s: {missing}",
                    fix="see the pods' events; or raise rollout_timeout",
                )
            deadline.check(missing)
            deadline.sleep(interval)
            interval = min(LONGEST_INTERVAL, interval * 1.2)

    def _look(self, kinds: set[str]) -> tuple[dict[tuple[str, str], Obj], list[Obj]]:
        """Workloads by kind and name, and all pods of the namespace."""
        paths = {"Pod": self.client.path_for("v1", "Pod", self.namespace)}
        for kind in kinds:
            version = "batch/v1" if kind == "Job" else "apps/v1"
            paths[kind] = self.client.path_for(version, kind, self.namespace)
        with ThreadPoolExecutor(max_workers=len(paths)) as pool:
            found = dict(zip(paths, pool.map(lambda path: list(self.client.list(path)), paths.values())))
        pods = found.pop("Pod")
        workloads = {
            (kind, obj["metadata"]["name"]): {**obj, "kind": kind}
            for kind, objs in found.items()
            for obj in objs
        }
        return workloads, pods

    def _tell(self, trouble: Trouble) -> str:
        """The cause, and what the container said last."""
        text = f"{trouble.workload} cannot become ready: {trouble.cause}"
        if trouble.pod and trouble.container:
            text += self._last_lines(trouble)
        return redact_text(text, self.secrets)

    def _last_lines(self, trouble: Trouble) -> str:
        for previous in (trouble.previous, False):
            try:
                log = self.client.logs(
                    self.namespace,
                    trouble.pod,
                    container=trouble.container,
                    previous=previous,
                    tail_lines=LOG_LINES,
                )
            except HoldfastError:
                continue
            if log.strip():
                return f"\nlast lines of {trouble.pod}:\n{log.rstrip()}"
        return ""


def _watched(item: Item) -> bool:
    manifest: dict[str, Any] = item.manifest
    return manifest["kind"] in WATCHED

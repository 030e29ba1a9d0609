# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply a planned release: phase by phase, in parallel within a phase, waiting for what the next phase needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.compare import shown
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.facts import WORKERS, Facts, record_of
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.plan import keys_after, replaced
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import (
    FIELD_MANAGER,
    Item,
    Key,
    Obj,
    Release,
    desired,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.wait import Waiter
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.progress import Progress

OWN_MANAGERS = "holdfast-"
IMMUTABLE_HINT = "the field cannot be changed in place: keep it as it was, or delete the object first (its volume claims stay)"


@dataclass
class Apply:
    """One run. force: take over fields that another manager owns. dry_run: the server only says what it would do."""

    client: Client
    release: Release
    facts: Facts
    envelope: Envelope
    clock: Clock
    deadline: Deadline
    waiter: Optional[Waiter] = None
    force: bool = False
    dry_run: bool = False
    progress: Progress = field(default_factory=Progress)
    diffs: list[dict[str, str]] = field(default_factory=list)

    def run(self) -> None:
        """Apply every planned object, wait where the order asks for it, then prune and remember."""
        planned = {
            action.params["key"]: action
            for action in self.envelope.plan
            if action.kind in ("create", "update")
        }
        total, done = len(planned), 0
        for (phase, _order), items in groupby(self.release.items, key=lambda item: (item.phase, item.order)):
            group = list(items)
            due = [item for item in group if item.key in planned]
            if due:
                self._remember_before()
                self._together(due, lambda item: self._apply(item, planned[item.key]))
                done += len(due)
                self.progress.report(phase, done, total)
            if self.waiter is not None and not self.dry_run:
                self.waiter.wait(phase, group, self.deadline)
        self._together([a for a in self.envelope.plan if a.kind == "prune"], self._delete)
        if not self.dry_run:
            self._remember_after()

    def _together(self, entries: Iterable[Any], work: Callable[[Any], Outcome]) -> None:
        """Do all of a group; then say everything that went wrong at once."""
        entries = list(entries)
        if not entries:
            return
        self.deadline.check(f"{len(entries)} objects")
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            outcomes = list(pool.map(work, entries))
        self.envelope.actions += outcomes
        self.envelope.changed = self.envelope.changed or any(
            outcome.outcome == "done" for outcome in outcomes
        )
        failed = [outcome for outcome in outcomes if outcome.outcome in ("failed", "refused")]
        if failed:
            lines = [f"{outcome.action.target}: {outcome.error}" for outcome in failed]
            raise HoldfastError(
                f"{len(failed)} of {len(outcomes)} objects could not be applied:\n  " + "\n  ".join(lines)
            )

    def _apply(self, item: Item, action: Action) -> Outcome:
        began, live = self.clock.monotonic(), self.facts.objects.get(item.key)
        outcome = Outcome(action)
        try:
            after = self._send(desired(self.release, item, live))
        except ApiError as error:
            outcome.outcome = "refused" if error.status == 409 else "failed"
            outcome.error = explain(error)
        else:
            same = live is not None and _version(live) == _version(after)
            if same and not self.dry_run:
                outcome.outcome = "skipped"
            elif not self.dry_run or shown(live) != shown(after):
                self.diffs.append(diff_entry(action.target, live, after))
        outcome.seconds = self.clock.monotonic() - began
        return outcome

    def _send(self, wanted: Obj) -> Obj:
        """Apply one object; what another of our own hands has set is not somebody else's."""

        def send(force: bool) -> Obj:
            return self.client.apply(wanted, field_manager=FIELD_MANAGER, force=force, dry_run=self.dry_run)

        try:
            return send(self.force)
        except ApiError as error:
            if not only_ours(error):
                raise
            return send(True)

    def _delete(self, action: Action) -> Outcome:
        began, live = self.clock.monotonic(), self.facts.objects[action.params["key"]]
        outcome = Outcome(action)
        self.diffs.append(diff_entry(action.target, live, None))
        if not self.dry_run:
            try:
                key = action.params["key"]
                delete(self.client, key, live, "Orphan" if replaced(self.release, key) else "Background")
            except HoldfastError as error:
                outcome.outcome, outcome.error = "failed", str(error)
        outcome.seconds = self.clock.monotonic() - began
        return outcome

    def _remember_before(self) -> None:
        """Before the first object is made, remember all of them: a run that dies leaves nothing unknown behind."""
        if self.dry_run or self.facts.record.keys() >= {item.key for item in self.release.items}:
            return
        if not any(item.phase == "namespace" for item in self.release.items) or self._namespace_is_there():
            union = {
                **self.facts.record,
                **{item.key: item.manifest["apiVersion"] for item in self.release.items},
            }
            self._write_record(union)

    def _namespace_is_there(self) -> bool:
        return self.client.get(f"/api/v1/namespaces/{self.release.namespace}") is not None

    def _remember_after(self) -> None:
        self._write_record(keys_after(self.release, self.facts, self.envelope.plan))

    def _write_record(self, keys: dict[Key, str]) -> None:
        if keys != self.facts.record:
            self.client.apply(record_of(self.release, keys), field_manager=FIELD_MANAGER, force=True)
            self.facts.record = dict(keys)


def delete(client: Client, key: Key, live: Obj, propagation: str = "Background") -> None:
    """Delete exactly the object that was seen, and what belongs to it unless it is orphaned."""
    kind, namespace, name = key[1:]
    path = client.path_for(live["apiVersion"], kind, namespace or None, name)
    client.delete(path, uid=live["metadata"].get("uid"), propagation=propagation)


def _version(obj: Obj) -> Any:
    return obj["metadata"].get("resourceVersion")


def diff_entry(target: str, before: Optional[Obj], after: Optional[Obj]) -> dict[str, str]:
    """One entry of Ansible's diff."""
    return {
        "before": shown(before), "after": shown(after), "before_header": target, "after_header": target,
    }  # fmt: skip


def conflicts(error: ApiError) -> list[Obj]:
    """The fields that other managers own, as the server names them; empty for any other error."""
    body = error.body if isinstance(error.body, dict) else {}
    causes = (body.get("details") or {}).get("causes") or []
    found = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    return found if error.status == 409 else []


def only_ours(error: ApiError) -> bool:
    """Whether every conflict is with a part of this collection, such as the off-hours timer."""
    found = conflicts(error)
    return bool(found) and all(
        f'conflict with "{OWN_MANAGERS}' in cause.get("message", "") for cause in found
    )


def explain(error: ApiError) -> str:
    """The server's no, with the way out where there is one."""
    causes = conflicts(error)
    if causes:
        fields = ", ".join(f"{cause.get('field')} ({cause.get('message')})" for cause in causes)
        return f"another owner set these fields: {fields}. Fix: take them out of the values, or force_conflicts: true"
    if error.status == 422 and any(text in error.message for text in ("immutable", "forbidden: updates to")):
        return f"{error.message}. Fix: {IMMUTABLE_HINT}"
    return str(error)

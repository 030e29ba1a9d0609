# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run of the app module on the host: observe, check, plan, apply, verify."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply import (
    act,
    lost,
    owners,
    ownership,
    preflight,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.facts import Facts, observe
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.plan import plan_absent, plan_apply
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import Obj, Release, from_options
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.verify import verify
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.wait import Waiter
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding, blocking, waive
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.progress import DIRECTORY, Progress

Params = Mapping[str, Any]


def apply_release(params: Params, *, check_mode: bool, diff: bool, clock: Optional[Clock] = None) -> Envelope:
    """params: the module's options. Every exception carries the partial envelope."""
    clock = clock or Clock()
    if params.get("name") is None or params.get("objects") is None:
        raise Refused(
            "the values were not rendered",
            fix="use holdfast.k3s.app as a task; its action plugin renders them",
        )
    release = from_options(params)
    envelope = Envelope(extra={"objects": len(release.items), "findings": list(params.get("findings") or [])})
    try:
        client = _client(params, check_mode)
        facts = _observe(client, release, check_mode)
        if client is None or not facts.api:
            return _predicted(release, envelope, params)
        _run(client, release, facts, envelope, params, check_mode, diff, clock)
    except HoldfastError as failure:
        failure.envelope = envelope
        raise
    return envelope


def _client(params: Params, check_mode: bool) -> Optional[Client]:
    """The client; None in check mode on a host that has no cluster yet."""
    try:
        return Client.connect(
            params.get("kubeconfig"), params.get("context"), timeout=params.get("api_timeout") or 30
        )
    except HoldfastError:
        if check_mode:
            return None
        raise


def _observe(client: Optional[Client], release: Release, check_mode: bool) -> Facts:
    if client is None:
        return Facts(api=False)
    try:
        return observe(client, release)
    except ApiUnreachable:
        if check_mode:
            return Facts(api=False)
        raise


def _predicted(release: Release, envelope: Envelope, params: Params) -> Envelope:
    """What would happen on a bare host: everything is new."""
    if params["state"] == "present":
        envelope.plan = plan_apply(release, Facts(), prune=False, prune_data=False)
    envelope.changed = bool(envelope.plan)
    envelope.extra.update(predicted=True, unchanged=0)
    return envelope


def _run(
    client: Client,
    release: Release,
    facts: Facts,
    envelope: Envelope,
    params: Params,
    check_mode: bool,
    diff: bool,
    clock: Clock,
) -> None:
    deadline = Deadline(clock, params["deadline"])
    foreign = list(owners.findings(_ours(release, facts), lambda one: owners.suspended(client, one)))
    if params["state"] == "present":
        foreign += ownership.findings(release, facts)
    _refuse(foreign, envelope, params)
    if params["state"] == "absent":
        _absent(client, release, facts, envelope, params, check_mode)
        return
    _preflight(client, release, facts, envelope, params)
    envelope.plan = plan_apply(release, facts, prune=params["prune"], prune_data=params["prune_data"])
    touched = {action.params["key"] for action in envelope.plan}
    envelope.extra["unchanged"] = sum(item.key not in touched for item in release.items)
    progress = Progress(None if check_mode else f"{DIRECTORY}/app-{release.name}.jsonl", clock)
    secrets = tuple(
        value for values in release.secret_data.values() for value in values.values() if len(value) >= 6
    )
    waiter = Waiter(client, release.namespace, clock, secrets, progress) if params["wait"] else None
    run = act.Apply(
        client, release, facts, envelope, clock, deadline,
        waiter=waiter, force=params["force_conflicts"], dry_run=check_mode, progress=progress,
    )  # fmt: skip
    try:
        if check_mode and _namespace_missing(release, facts):
            envelope.changed = True
            run.diffs = [
                act.diff_entry(a.target, None, _item(release, a.params["key"])) for a in envelope.plan
            ]
        else:
            run.run()
    finally:
        if waiter is not None:
            envelope.extra["waits"] = waiter.waits
        if diff and run.diffs:
            envelope.extra["diff"] = run.diffs
    if params["wait"] and not check_mode:
        envelope.verified, problems = verify(client, release)
        if problems:
            envelope.extra["problems"] = problems


def _item(release: Release, key: Any) -> Any:
    return next((item.manifest for item in release.items if item.key == key), None)


def _ours(release: Release, facts: Facts) -> list[Obj]:
    """The live objects that this release names, now or from an earlier run."""
    named = {*facts.record, *(item.key for item in release.items)}
    return [obj for key, obj in facts.objects.items() if key in named]


def _namespace_missing(release: Release, facts: Facts) -> bool:
    """The server cannot judge objects of a namespace that is not there yet."""
    return any(item.phase == "namespace" and item.key not in facts.objects for item in release.items)


def _preflight(client: Client, release: Release, facts: Facts, envelope: Envelope, params: Params) -> None:
    found = list(lost.findings(release, facts, preflight.claims(client, release.namespace)))
    if params["preflight"]:
        expects = release.expects
        found += preflight.findings(preflight.gather(client, release.namespace, expects), expects)
    _refuse(found, envelope, params)


def _refuse(found: Iterable[Finding], envelope: Envelope, params: Params) -> None:
    """Stop before anything is applied when a finding says so; what is waived stays in the result."""
    judged = waive(found, params.get("waivers") or [])
    envelope.extra["findings"] += [finding.as_dict() for finding in judged]
    stopping = blocking(judged)
    if stopping:
        lines = "\n".join(f"  {number}. {finding.text()}" for number, finding in enumerate(stopping, start=1))
        raise Refused(f"{len(stopping)} thing(s) stand in the way, nothing was applied:\n{lines}")


def _absent(
    client: Client, release: Release, facts: Facts, envelope: Envelope, params: Params, check_mode: bool
) -> None:
    envelope.plan = plan_absent(release, facts, prune_data=params["prune_data"])
    due = [action for action in envelope.plan if action.kind == "delete"]
    envelope.changed = bool(due) or facts.record_object is not None
    if check_mode:
        return
    for action in due:
        act.delete(client, action.params["key"], facts.objects[action.params["key"]])
        envelope.actions.append(Outcome(action))
    if facts.record_object is not None:
        client.delete(client.path_for("v1", "ConfigMap", release.namespace, release.record_name))

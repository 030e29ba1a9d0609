# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pod_reap from its options to its result."""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import EvidenceError, HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import act, evidence, facts, options, verify
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import plan as planning
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts


def reap(
    params: dict[str, Any],
    check_mode: bool,
    *,
    client: Client,
    commands: Optional[Commands] = None,
    clock: Optional[Clock] = None,
    hostname: Optional[str] = None,
) -> dict[str, Any]:
    """Run the module. params: its options as Ansible checked them. Returns the envelope as a dict."""
    commands, clock = commands or Commands(), clock or Clock()
    wanted = options.from_params(params)
    made = planning.Plan()

    def plan(seen: Facts) -> list[Action]:
        nonlocal made
        made = planning.make(seen, wanted)
        return made.actions

    def keep(seen: Facts, actions: list[Action]) -> Optional[str]:
        try:
            return evidence.write(
                client,
                commands,
                clock,
                seen,
                actions,
                root=params["evidence_dir"],
                log_pods=params["evidence_log_pods"],
            )
        except EvidenceError:
            if params["evidence_required"]:
                raise
            return None

    def look_again(_seen: Facts, outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
        seconds = params["wait_timeout"] if params["wait"] else 0
        return verify.verify(client, clock, wanted, outcomes, wait_seconds=seconds)

    try:
        envelope = run(
            observe=lambda: facts.observe(client, commands, clock, wanted, hostname or socket.gethostname()),
            plan=plan,
            act=lambda action, context: act.act(client, commands, action, context),
            verify=look_again,
            check_mode=check_mode,
            clock=clock,
            deadline_seconds=params["deadline"],
            budget=params["budget"],
            evidence=keep,
            workers=max(1, params["workers"]),
        )
    except HoldfastError as failure:
        if isinstance(failure.envelope, Envelope):
            _complete(failure.envelope, made)
        raise
    _complete(envelope, made)
    return shorten(envelope.as_dict(), params["list_limit"])


def _complete(envelope: Envelope, made: planning.Plan) -> None:
    outcomes = Counter(outcome.outcome for outcome in envelope.actions)
    envelope.extra.update(counts=made.counts, left=made.left, outcomes=dict(outcomes))
    if envelope.changed or (envelope.plan and not envelope.actions):
        # Before and after as names: what a person compares. Cut with the lists below.
        before = [action.target for action in envelope.plan]
        gone = {outcome.action.target for outcome in envelope.actions if outcome.outcome == "done"}
        after = [target for target in before if target not in gone] if envelope.actions else []
        envelope.diff = {"before": {"pods": before}, "after": {"pods": after}}


def shorten(result: dict[str, Any], limit: int) -> dict[str, Any]:
    """Cut the long lists of a result; the counts stay complete, and what was cut is said."""
    cut = {}
    for key in ("plan", "actions", "left", "pods"):
        if len(result.get(key) or []) > limit:
            cut[key] = len(result[key])
            result[key] = result[key][:limit]
    for side in ("before", "after"):
        names = ((result.get("diff") or {}).get(side) or {}).get("pods") or []
        if len(names) > limit:
            result["diff"][side]["pods"] = [*names[:limit], f"and {len(names) - limit} more"]
    if cut:
        result["cut_lists"] = cut
    return result

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From findings to actions: who owns the pod, may it go, and how. No I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.classify import classify_all
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.finalizers import (
    explain as explain_finalizers,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import (
    CLASSES,
    Facts,
    Finding,
    Options,
    controller,
    is_guarded,
    is_static,
    name,
    uid,
)

RISKS = {"unknown": "medium", "terminating": "medium", "crash_loop": "medium"}


@dataclass
class Plan:
    """actions: in the order to run. left: pods of a wanted class that stay, each with its why. counts: by class."""

    actions: list[Action] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def make(facts: Facts, options: Options) -> Plan:
    """The plan for everything in a wanted class."""
    order = {kind: place for place, kind in enumerate(CLASSES)}
    findings = [f for f in classify_all(facts, options) if f.kind in options.classes]
    findings.sort(key=lambda f: (order[f.kind], name(f.pod)))
    plan = Plan(counts=dict(Counter(f.kind for f in findings)))
    used: Counter[str] = Counter()
    for finding in findings:
        namespace = str(finding.pod["metadata"].get("namespace"))
        actions, why = _decide(finding, facts, options)
        if actions and options.namespace_budget is not None and used[namespace] >= options.namespace_budget:
            actions, why = [], f"the budget of namespace {namespace} ({options.namespace_budget}) is used up"
        if actions:
            used[namespace] += 1
            plan.actions += actions
        else:
            plan.left.append(_left(finding, why))
    return plan


def needs_cri(facts: Facts, options: Options) -> bool:
    """Whether the plan depends on what the container runtime says."""
    return any(
        is_guarded(finding.pod) and _is_forced(finding)
        for finding in classify_all(facts, options)
        if finding.kind in options.classes
    )


def container_lives(pod: dict[str, Any], facts: Facts) -> tuple[Optional[bool], str]:
    """Whether a container of the pod lives: True, False (proven dead) or None (cannot be told), and why."""
    node = (pod.get("spec") or {}).get("nodeName")
    if not node:
        return False, "it was never given to a node"
    if node not in facts.local_nodes:
        return None, f"it is on node {node}, whose containers cannot be seen from here"
    if facts.cri is None:
        return None, f"the container runtime did not answer: {facts.cri_error or 'it was not asked'}"
    if facts.cri.get(uid(pod)):
        return True, "a container of it still runs"
    return False, "the container runtime shows no living container of it"


def _decide(finding: Finding, facts: Facts, options: Options) -> tuple[list[Action], str]:
    pod = finding.pod
    owner = controller(pod)
    if is_static(pod):
        return [], "a static pod: its file on the node is what counts"
    if finding.kind == "terminating":
        return _end(finding, facts, options)
    if owner is None and not options.bare:
        return [], "a bare pod: nothing would create it again (include_bare allows it)"
    if owner is not None and owner.get("kind") == "Job" and not options.jobs:
        return [], f"its Job {owner.get('name')} counts and keeps its pods (include_jobs allows it)"
    if is_guarded(pod) and _is_forced(finding):
        lives, why = container_lives(pod, facts)
        if lives is not False:
            return [], f"refused: {why}, and a second one beside it could damage its data"
    return [_delete(finding, forced=False)], ""


def _is_forced(finding: Finding) -> bool:
    """Whether the API would drop the pod at once, without the kubelet's word that its containers ended."""
    return finding.kind in ("terminating", "failed", "evicted", "rejected")


def _end(finding: Finding, facts: Facts, options: Options) -> tuple[list[Action], str]:
    pod = finding.pod
    finalizers = list(pod["metadata"].get("finalizers") or [])
    lives, why = container_lives(pod, facts)
    if is_guarded(pod) and lives is not False:
        return [], f"refused: {why}, and a second one beside it could damage its data"
    stays = [item for item in finalizers if item not in options.finalizers]
    if stays:
        return [], explain_finalizers(stays, facts)
    if not finalizers:
        return [_delete(finding, forced=True)], ""
    return [_release(finding, finalizers)], ""


def _release(finding: Finding, finalizers: list[str]) -> Action:
    """One action for both steps, the forced deletion first: as two they would run at once and spoil each other."""
    released = _released(finding.pod, finalizers)
    return Action(
        "remove_finalizers",
        name(finding.pod),
        f"{finding.reason}; named for removal: {', '.join(finalizers)}",
        risk="high",
        destructive=True,
        params={**_params(finding), "remove": finalizers, "delete": not released, "grace": 0},
    )


def _released(pod: dict[str, Any], finalizers: list[str]) -> bool:
    """Grace zero and only finalizers hold it: deleting once more would change nothing."""
    return bool(finalizers) and not pod["metadata"].get("deletionGracePeriodSeconds")


def _delete(finding: Finding, *, forced: bool) -> Action:
    for_seconds = "" if finding.seconds is None else f" for {finding.seconds:.0f} s"
    reason = finding.reason + ("" if finding.kind == "terminating" else for_seconds)
    return Action(
        "force_delete_pod" if forced else "delete_pod",
        name(finding.pod),
        f"{finding.kind}: {reason}",
        risk=RISKS.get(finding.kind, "low"),
        destructive=True,
        params={**_params(finding), "grace": 0 if forced else None},
    )


def _params(finding: Finding) -> dict[str, Any]:
    meta = finding.pod["metadata"]
    return {
        "namespace": meta.get("namespace"),
        "name": meta["name"],
        "uid": meta.get("uid"),
        "resource_version": meta.get("resourceVersion"),
        "class": finding.kind,
        "guarded": is_guarded(finding.pod) and _is_forced(finding),
        "node": (finding.pod.get("spec") or {}).get("nodeName"),
        "owner": controller(finding.pod),
    }


def _left(finding: Finding, why: str) -> dict[str, Any]:
    return {
        "namespace": finding.pod["metadata"].get("namespace"),
        "name": finding.pod["metadata"]["name"],
        "class": finding.kind,
        "reason": finding.reason,
        "why": why,
    }

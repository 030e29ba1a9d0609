"""Every known fault as data, and the diagnosis: which of them this host shows."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.holdfast.k3s.plugins.module_utils.node import (
    causes_datastore,
    causes_host,
    causes_identity,
    causes_runtime,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import Facts
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Cause, Finding, Options

# The order is the order of treatment within a rung: what other faults follow from comes first.
CAUSES: tuple[Cause, ...] = (
    *causes_identity.CAUSES,
    *causes_datastore.CAUSES,
    *causes_runtime.CAUSES,
    *causes_host.CAUSES,
)
SERIOUS = ("down", "degraded")


def by_id(cause: str) -> Cause:
    """The cause of that id; KeyError when there is none."""
    return {one.id: one for one in CAUSES}[cause]


def diagnose(facts: Facts, options: Options) -> list[Finding]:
    """What is wrong, worst first; consequences of a cause that was found are left out."""
    found: list[tuple[Cause, str]] = []
    for cause in CAUSES:
        evidence = cause.detect(facts, options)
        if evidence:
            found.append((cause, evidence))
    proven = [cause for cause, _evidence in found if not cause.proof or cause.proof(facts, options)]
    hidden = {name for cause in proven for name in cause.hides}
    if any(cause.severity == "down" and cause.id not in hidden for cause, _evidence in found):
        hidden.add("STARTING")  # a start attempt of a server that is known to fail is no news
    findings = []
    for cause, evidence in found:
        if cause.id in hidden:
            continue
        planned = cause.remedy(facts, options, evidence) if cause.remedy else []
        actions = [replace(one, params={**one.params, "causes": [cause.id]}) for one in planned]
        # only keeping a copy heals nothing: then it still needs a person
        heals = any(action.kind != "copy_aside" for action in actions)
        findings.append(
            Finding(
                cause=cause.id,
                title=cause.title,
                severity=cause.severity,
                evidence=evidence,
                needs_person="" if heals else cause.person,
                actions=actions,
            )
        )
    order = {"down": 0, "degraded": 1, "info": 2}
    return sorted(findings, key=lambda one: order[one.severity])

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whose finalizer holds a pod, and is its controller alive? Explained, never guessed away."""

from __future__ import annotations

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.predicates import pod_ready
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts, name

BUILT_IN = {
    "batch.kubernetes.io/job-tracking": "the Job controller of the control plane; it counts the pod first",
    "foregroundDeletion": "the garbage collector of the control plane; it waits for the pod's dependents",
    "orphan": "the garbage collector of the control plane",
    "kubernetes": "the namespace controller of the control plane",
}


def explain(finalizers: list[str], facts: Facts) -> str:
    """One sentence about every finalizer: whose it is, whether that controller runs, and how to go on."""
    parts = [f"{item} ({_owner(item, facts)})" for item in finalizers]
    return f"held by {'; '.join(parts)}. Repair that controller, or name the finalizer in remove_finalizers"


def _owner(finalizer: str, facts: Facts) -> str:
    if finalizer in BUILT_IN:
        return BUILT_IN[finalizer]
    domain = finalizer.split("/", 1)[0]
    words = [word for word in domain.split(".") if len(word) > 3 and word not in ("kubernetes", "example")]
    found = [pod for pod in facts.pods if words and words[0] in _names(pod)]
    if not found:
        return f"no pod that looks like the controller of {domain} is there"
    alive = [pod for pod in found if pod_ready(pod)[0]]
    if alive:
        return f"probably {name(alive[0])}, which is Ready"
    return f"probably {name(found[0])}, which is not Ready"


def _names(pod: dict) -> str:
    images = [container.get("image", "") for container in (pod.get("spec") or {}).get("containers") or []]
    return " ".join([name(pod), *images])

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look again: are the pods gone, and did what replaced them become Ready? If not, which and why."""

from __future__ import annotations

from typing import Any, Callable, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import predicates
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import (
    ApiError,
    ApiUnreachable,
    passing,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import facts as look
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import why
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import (
    Facts,
    Options,
    controller,
    name,
    uid,
)

WORKLOADS = {
    "ReplicaSet": ("apps/v1", "replicasets"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
}
MAX_OWNERS = 200


def verify(
    client: Client,
    clock: Clock,
    options: Options,
    outcomes: list[Outcome],
    *,
    wait_seconds: float,
    interval: float = 1.0,
) -> tuple[bool, dict[str, Any]]:
    """verified, and: remaining (pods that should be gone), not_ready (owners whose replacements are not, and why).

    An action that failed or was refused leaves its pod as it was, so nothing is verified then.
    wait_seconds: how long replacements may take; 0 looks once.
    """
    done = [o for o in outcomes if o.outcome == "done"]
    whole = not any(o.outcome in ("failed", "refused") for o in outcomes)
    if not done:
        return whole, {"remaining": [], "not_ready": []}
    deadline = Deadline(clock, wait_seconds)
    forced = {o.action.params["uid"] for o in done if o.action.kind != "delete_pod"}
    gone = {o.action.params["uid"] for o in done}
    owners = _owners(done)
    while True:
        try:
            pods = list(look.pods(client, options))
            remaining = [
                name(pod)
                for pod in pods
                if uid(pod) in gone and (uid(pod) in forced or not pod["metadata"].get("deletionTimestamp"))
            ]
            ending = [name(pod) for pod in pods if uid(pod) in gone and name(pod) not in remaining]
            waiting = _not_ready(client, owners)
            failure: Optional[str] = None
        except (ApiUnreachable, ApiError) as lost:
            if not passing(lost):
                raise
            remaining, ending, waiting, pods, failure = [], [], {}, [], str(lost)
        if not (remaining or ending or waiting or failure) or deadline.expired():
            break
        deadline.sleep(interval)
    explained = _explain(client, clock, pods, waiting, options)
    extra = {"remaining": remaining, "still_ending": ending, "not_ready": explained}
    if failure:
        extra["error"] = failure
    return whole and not (remaining or ending or waiting or failure), extra


def _owners(done: list[Outcome]) -> dict[str, tuple[str, dict[str, Any]]]:
    """UID → (path, reference) of the controllers that must bring replacements."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for outcome in done:
        reference = outcome.action.params.get("owner")
        if reference and reference["kind"] in WORKLOADS and len(found) < MAX_OWNERS:
            group, plural = WORKLOADS[reference["kind"]]
            namespace = outcome.action.params["namespace"]
            path = f"/apis/{group}/namespaces/{namespace}/{plural}/{reference['name']}"
            found[reference["uid"]] = (path, reference)
    return found


def _not_ready(client: Client, owners: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    waiting = {}
    for owner_uid, (path, reference) in owners.items():
        owner = client.get(path)
        if owner is None or owner["metadata"]["uid"] != owner_uid:
            continue  # deleted or replaced meanwhile: nothing of it is to be waited for
        ready, reason = CHECKS[reference["kind"]](owner)
        if not ready:
            waiting[owner_uid] = {
                "kind": reference["kind"],
                "namespace": owner["metadata"]["namespace"],
                "name": reference["name"],
                "state": reason,
            }
    return waiting


def _replicaset_ready(owner: dict[str, Any]) -> predicates.Verdict:
    wanted = owner["spec"].get("replicas")
    wanted = 1 if wanted is None else int(wanted)
    ready = int((owner.get("status") or {}).get("readyReplicas") or 0)
    return ready >= wanted, f"{ready} of {wanted} replicas ready"


def _explain(
    client: Client,
    clock: Clock,
    pods: list[dict[str, Any]],
    waiting: dict[str, dict[str, Any]],
    options: Options,
) -> list[dict[str, Any]]:
    if not waiting:
        return []
    facts = Facts(now=clock.now(), pods=pods)
    try:
        facts.events = look.events(client, options.namespaces)
        facts.pvcs = look.claims(client, options.namespaces)
    except (ApiUnreachable, ApiError):
        pass  # the reason is a help, not the verdict
    explained = []
    for owner_uid, entry in waiting.items():
        reasons = []
        for pod in pods:
            reference = controller(pod)
            if reference and reference["uid"] == owner_uid and not predicates.pod_settled(pod)[0]:
                reasons.append(redact_text(f"{pod['metadata']['name']}: {why.explain(pod, facts).text}"))
        blocked = why.creation_failure(facts.events.get(owner_uid) or [])
        if blocked is not None:
            reasons.append(redact_text(blocked.text))
        explained.append({**entry, "why": reasons[:5]})
    return explained


CHECKS: dict[str, Callable[[dict[str, Any]], predicates.Verdict]] = {
    "ReplicaSet": _replicaset_ready,
    "StatefulSet": predicates.statefulset_ready,
    "DaemonSet": predicates.daemonset_ready,
}

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry the Secrets of namespaces out of a cluster and into a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome

# The application's deliveries apply as this manager; as another one the copy would stand in their way.
FIELD_MANAGER = "holdfast-app"
# Made by the cluster itself, or by helm for releases that are installed anew.
MADE_ANEW = ("kubernetes.io/service-account-token", "helm.sh/release.v1", "bootstrap.kubernetes.io/token")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Obj = dict[str, Any]


def portable(secret: Obj) -> Obj:
    """A Secret without what only its old cluster knows."""
    meta = secret["metadata"]
    kept = {"name": meta["name"], "namespace": meta["namespace"]}
    notes = {key: value for key, value in (meta.get("annotations") or {}).items() if key != _LAST_APPLIED}
    for field, value in (("labels", meta.get("labels")), ("annotations", notes)):
        if value:
            kept[field] = dict(value)
    found = {"apiVersion": "v1", "kind": "Secret", "metadata": kept, "type": secret.get("type", "Opaque")}
    if secret.get("immutable"):
        found["immutable"] = True
    return {**found, "data": dict(secret.get("data") or {})}


def read(client: Client, namespaces: Sequence[str]) -> list[Obj]:
    """The Secrets of the namespaces that a new cluster could not make by itself, by namespace and name."""
    found = [
        portable(secret)
        for namespace in dict.fromkeys(namespaces)
        for secret in client.list(f"/api/v1/namespaces/{namespace}/secrets")
        if secret.get("type") not in MADE_ANEW and not secret["metadata"].get("ownerReferences")
    ]
    return sorted(found, key=lambda one: (one["metadata"]["namespace"], one["metadata"]["name"]))


def write(client: Client, secrets: Sequence[Obj], *, check_mode: bool) -> Envelope:
    """Create the Secrets that are missing, and their namespaces. One that is there with other content is an error.

    Raises Refused before anything is made.
    """
    live: dict[tuple[str, str], Obj] = {}
    spaces = list(dict.fromkeys(str(one["metadata"]["namespace"]) for one in secrets))
    absent = [space for space in spaces if client.get(f"/api/v1/namespaces/{space}") is None]
    for space in set(spaces) - set(absent):
        for one in client.list(f"/api/v1/namespaces/{space}/secrets"):
            live[space, one["metadata"]["name"]] = one
    missing = []
    for secret in secrets:
        space, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
        there = live.get((space, name))
        if there is None:
            missing.append(secret)
        elif (there.get("data") or {}) != secret["data"]:
            raise Refused(
                "the Secret is there with another content; nothing was written",
                field="secrets",
                value=f"{space}/{name}",
                fix="delete it if the copy is the right one, or take it out of the copy",
            )
    envelope = Envelope(
        plan=[
            *[Action("create", f"namespace/{space}", "it is not there", "low") for space in absent],
            *[
                Action(
                    "create",
                    f"{one['metadata']['namespace']}/{one['metadata']['name']}",
                    "it is not there",
                    "low",
                )
                for one in missing
            ],
        ]
    )
    envelope.changed = bool(envelope.plan)
    if check_mode:
        return envelope
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}} for space in absent]
    for action, obj in zip(envelope.plan, [*made, *missing]):
        client.apply(obj, field_manager=FIELD_MANAGER)
        envelope.actions.append(Outcome(action))
    now = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): one["data"] for one in read(client, spaces)
    }
    envelope.verified = all(
        now.get((one["metadata"]["namespace"], one["metadata"]["name"])) == one["data"] for one in secrets
    )
    return envelope

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Do one action of a plan, under preconditions: only the very pod that was seen, only as it was seen."""

from __future__ import annotations

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import PreconditionFailed, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import Context
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import facts as look


def act(client: Client, commands: Commands, action: Action, context: Context) -> Outcome:
    """Run a delete_pod, force_delete_pod or remove_finalizers action."""
    params = action.params
    path = f"/api/v1/namespaces/{params['namespace']}/pods/{params['name']}"
    if params["guarded"] and params["node"]:
        _prove_dead(commands, params)
    if action.kind != "remove_finalizers" or params["delete"]:
        answer = client.delete(
            path,
            uid=params["uid"],
            resource_version=params["resource_version"],
            grace_seconds=params["grace"],
            propagation="Background",
        )
        if answer is None:
            return Outcome(action, "skipped", error="it was gone already")
    return _remove_finalizers(client, path, action) if action.kind == "remove_finalizers" else Outcome(action)


def _prove_dead(commands: Commands, params: dict[str, Any]) -> None:
    """Ask the runtime again, right before: between plan and act a container may have started."""
    living, failure = look.containers(commands, params["uid"])
    if living is None:
        raise Refused(
            f"the container runtime cannot say whether a container of {params['name']} lives: {failure}"
        )
    if living.get(params["uid"]):
        raise Refused(
            f"a container of {params['namespace']}/{params['name']} still runs",
            fix="end it on the node first (k3s crictl stop ID); two of it at once could damage its data",
        )


def _remove_finalizers(client: Client, path: str, action: Action) -> Outcome:
    current = client.get(path)
    if current is None:
        deleted = action.params["delete"]
        return Outcome(action) if deleted else Outcome(action, "skipped", error="it was gone already")
    meta = current["metadata"]
    if meta["uid"] != action.params["uid"]:
        raise PreconditionFailed(f"{action.target} is another pod now")
    kept = [item for item in meta.get("finalizers") or [] if item not in action.params["remove"]]
    client.patch(
        path,
        {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "finalizers": kept}},
    )
    return Outcome(action, detail={"kept": kept})

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Deployments that write to a database: stopped around the swap, started again, waited for."""

from __future__ import annotations

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import wait
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.predicates import deployment_ready
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded, Refused


def _path(client: Client, namespace: str, name: str = "") -> str:
    return client.path_for("apps/v1", "Deployment", namespace, name or None)


def replicas(client: Client, namespace: str, name: str) -> int:
    """How many replicas a Deployment wants. Refused when it does not exist."""
    found = client.get(_path(client, namespace, name))
    if found is None:
        raise Refused(
            "no such Deployment", field="stop", value=name, fix=f"see those of namespace {namespace}"
        )
    return int(found["spec"].get("replicas", 1))


def scale(client: Client, namespace: str, name: str, wanted: int) -> None:
    """Set a Deployment's replicas."""
    client.patch(_path(client, namespace, name), {"spec": {"replicas": wanted}})


def ready_now(client: Client, namespace: str) -> list[str]:
    """The Deployments that are ready and want at least one replica."""
    found = client.list(_path(client, namespace))
    return sorted(
        item["metadata"]["name"]
        for item in found
        if int(item["spec"].get("replicas", 1)) > 0 and deployment_ready(item)[0]
    )


def wait_ready(client: Client, namespace: str, wanted: list[str], deadline: Deadline) -> list[str]:
    """Wait for these Deployments; the ones that did not get ready in time, with the reason."""
    late = []
    for name in wanted:
        path = _path(client, namespace, name)

        def ready(path: str = path) -> tuple[bool, str]:
            found = client.get(path)
            return deployment_ready(found) if found else (False, "does not exist")

        try:
            wait.until(ready, deadline, describe=f"Deployment {name}")
        except DeadlineExceeded as failure:
            late.append(str(failure.msg))
    return late

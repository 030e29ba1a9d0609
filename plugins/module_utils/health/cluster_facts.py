# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the API tells: one list per kind, and the kubelet's own statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError, ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import facts as look
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts, Options
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import rows

FLUX = (
    ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    ("source.toolkit.fluxcd.io/v1", "GitRepository"),
)


@dataclass
class ClusterFacts:
    """error: why the API could not be asked; then the rest is empty."""

    error: Optional[str] = None
    readyz: list[str] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    look: Optional[Facts] = None
    cronjobs: list[dict[str, Any]] = field(default_factory=list)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    flux: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    backup_rows: list[dict[str, Any]] = field(default_factory=list)


def gather(
    connect: Any, clock: Clock, namespaces: tuple[str, ...], timeout: float, row_checks: list[dict[str, Any]]
) -> ClusterFacts:
    """Ask the API. connect: makes a Client; a missing kubeconfig or a silent API is a fact like any other."""
    facts = ClusterFacts()
    try:
        client: Client = connect()
        status, body = client.raw(
            "GET", "/readyz", query={"verbose": ""}, accept="*/*", timeout=min(timeout, 15)
        )
        if status != 200:
            text = body.decode("utf-8", "replace")
            facts.readyz = [line for line in text.splitlines() if line.startswith("[-]")] or [
                f"HTTP {status}"
            ]
        facts.nodes = list(client.list("/api/v1/nodes", limit=look.PAGE))
        _workloads(client, clock, facts, namespaces)
    except HoldfastError as failure:
        facts.error = str(failure)
        return facts
    for node in facts.nodes:
        name = node["metadata"]["name"]
        try:
            facts.stats[name] = client.request("GET", f"/api/v1/nodes/{name}/proxy/stats/summary", timeout=10)
        except HoldfastError as failure:
            facts.stats[name] = {"error": str(failure)}
    facts.rows = [count_rows(client, wanted) for wanted in row_checks]
    return facts


def count_backup_rows(connect: Any, facts: ClusterFacts, params: dict[str, Any]) -> None:
    """Compare every database that is backed up here with its newest manifest; nothing while the API is down."""
    if facts.error:
        return
    try:
        facts.backup_rows = rows.since_backup(
            connect(), params["rows_may_shrink"], f"{params['state_dir']}/backups"
        )
    except HoldfastError as failure:
        facts.backup_rows = [{"namespace": "*", "database": "*", "error": str(failure)}]


def count_rows(client: Client, wanted: dict[str, Any]) -> dict[str, Any]:
    """Exact rows of a table, counted by psql in the database's own pod; or error."""
    table = ".".join('"' + part.replace('"', '""') + '"' for part in wanted["table"].split("."))
    argv = ["psql", "-X", "-w", "-At", "-U", wanted["user"], "-d", wanted["database"]]
    argv += ["-c", f"SELECT count(*) FROM {table}"]
    found = {key: wanted[key] for key in ("namespace", "pod", "database", "table", "min_rows")}
    try:
        result = client.exec(
            wanted["namespace"], wanted["pod"], argv, container=wanted["container"], timeout=30
        )
    except HoldfastError as failure:
        return {**found, "error": str(failure)}
    if result.rc != 0 or not result.out.strip().isdigit():
        return {**found, "error": (result.err or result.out).strip()[-200:]}
    return {**found, "rows": int(result.out)}


def _workloads(client: Client, clock: Clock, facts: ClusterFacts, namespaces: tuple[str, ...]) -> None:
    seen = Facts(now=clock.now(), pods=list(look.pods(client, Options(namespaces=namespaces))))
    seen.events = look.events(client, namespaces)
    seen.owners = look.owners(client, namespaces)
    seen.pvcs = look.claims(client, namespaces)
    facts.look = seen
    facts.cronjobs = _listed(client, "/apis/batch/v1", "cronjobs", namespaces)
    facts.budgets = _listed(client, "/apis/policy/v1", "poddisruptionbudgets", namespaces)
    for api_version, kind in FLUX:
        if client.serves(api_version, kind):
            facts.flux += list(client.list(client.path_for(api_version, kind)))


def _listed(client: Client, base: str, plural: str, namespaces: tuple[str, ...]) -> list[dict[str, Any]]:
    try:
        paths = look.collection_paths(base, plural, namespaces)
        return [item for path in paths for item in client.list(path, limit=look.PAGE)]
    except ApiUnreachable:
        raise
    except ApiError:
        return []

"""The example inventories as Ansible reads them, rendered without a cluster."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import merge_all
from ansible_collections.holdfast.k3s.plugins.module_utils.app.plain import plain
from ansible_collections.holdfast.k3s.plugins.module_utils.app.render import Rendered

ROOT = Path(__file__).resolve().parents[5]
SYSTEMS = ("songnodes", "soundspan", "soundcore", "starter", "whatsthecraic")
VAULT = {
    f"vault_{name}": f"value-of-{name}"
    for name in (
        "soundcore_database_password", "soundcore_openai_api_key", "whatsthecraic_db_host", "whatsthecraic_db_password",
        "whatsthecraic_jwt_secret", "whatsthecraic_ticketmaster_api_key", "whatsthecraic_bandsintown_app_id",
        "whatsthecraic_spotify_client_id", "whatsthecraic_spotify_client_secret", "whatsthecraic_eventbrite_api_token",
        "whatsthecraic_apify_token",
    )
}  # fmt: skip


def _templar(system: str, lab: bool, extra: tuple[tuple[str, Any], ...]) -> tuple[Templar, dict[str, Any]]:
    loader = DataLoader()
    sources = [str(ROOT / "inventories" / system)] + ([str(ROOT / "inventories/lab")] if lab else [])
    inventory = InventoryManager(loader=loader, sources=sources)
    manager = VariableManager(loader=loader, inventory=inventory)
    variables = manager.get_vars(host=inventory.get_host(system))
    variables = {**({} if lab else VAULT), **variables, **dict(extra)}
    return Templar(loader=loader, variables=variables), variables


@cache
def _variables(
    system: str, lab: bool, extra: tuple[tuple[str, Any], ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    templar, variables = _templar(system, lab, extra)
    values = plain(templar.template(variables["app_values"]))
    overlay = plain(templar.template(variables.get("app_values_overlay", {})))
    return values, overlay


def named(system: str, prefix: str, *, lab: bool = False, **extra: Any) -> dict[str, Any]:
    """The inventory's variables that begin with prefix, without it."""
    templar, variables = _templar(system, lab, tuple(sorted(extra.items())))
    return {
        name.removeprefix(prefix): plain(templar.template(value))
        for name, value in variables.items()
        if name.startswith(prefix)
    }


class Release:
    """A rendered inventory, easy to ask."""

    def __init__(
        self, system: str, overlay: dict[str, Any] | None = None, *, lab: bool = False, **extra: Any
    ) -> None:
        values, lab_overlay = _variables(system, lab, tuple(sorted(extra.items())))
        overlays = [lab_overlay, overlay or {}]
        self.values = merge_all(values, overlays)
        self.app, self.rendered, self.findings = release.build(values, overlays)

    rendered: Rendered

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """The one object of that kind and name."""
        found = [m for m in self.rendered.manifests if m["kind"] == kind and m["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)} found, there are {self.names(kind)}"
        return found[0]

    def names(self, kind: str) -> list[str]:
        """Names of every object of a kind, in apply order."""
        return [m["metadata"]["name"] for m in self.rendered.manifests if m["kind"] == kind]

    def pod(self, name: str, kind: str = "Deployment") -> dict[str, Any]:
        """The pod spec of a workload."""
        spec: dict[str, Any] = self.get(kind, name)["spec"]["template"]["spec"]
        return spec

    def container(self, name: str, kind: str = "Deployment") -> dict[str, Any]:
        """The one container of a workload."""
        (found,) = self.pod(name, kind)["containers"]
        return found

    def env(self, name: str, kind: str = "Deployment") -> dict[str, Any]:
        """Literal variables of a workload's container."""
        return {entry["name"]: entry.get("value") for entry in self.container(name, kind).get("env", [])}

    def resources(self, name: str, kind: str = "Deployment") -> str:
        """Requests and limits as one line: cpu/memory -> cpu/memory."""
        given = self.container(name, kind)["resources"]
        return " -> ".join(f"{given[part]['cpu']}/{given[part]['memory']}" for part in ("requests", "limits"))

    def phase(self, kind: str, name: str) -> int:
        """Position of an object in the apply order."""
        return [(m["kind"], m["metadata"]["name"]) for m in self.rendered.manifests].index((kind, name))

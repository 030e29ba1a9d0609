# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects that somebody else keeps in shape: a change by us would be reverted, or fought over for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client

Obj = Mapping[str, Any]
_FLUX = {
    "kustomize.toolkit.fluxcd.io": ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    "helm.toolkit.fluxcd.io": ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
}


@dataclass(frozen=True)
class Owner:
    """tool: who it is for people. api_version, kind, namespace, name: the object that reconciles; empty where there is none."""

    tool: str
    name: str
    namespace: str = ""
    api_version: str = ""
    kind: str = ""

    def text(self) -> str:
        """The owner as people write it."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.tool} {where}{self.name}"


def owner_of(obj: Obj) -> Optional[Owner]:
    """Who else keeps this object, as its labels and annotations say."""
    meta = obj.get("metadata") or {}
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    for prefix, (version, kind) in _FLUX.items():
        if f"{prefix}/name" in labels:
            return Owner(
                f"Flux {kind}", labels[f"{prefix}/name"], labels.get(f"{prefix}/namespace", ""), version, kind
            )
    if "meta.helm.sh/release-name" in notes and labels.get("app.kubernetes.io/managed-by") == "Helm":
        return Owner(
            "Helm release",
            notes["meta.helm.sh/release-name"],
            notes.get("meta.helm.sh/release-namespace", ""),
        )
    if "argocd.argoproj.io/tracking-id" in notes:
        return Owner("Argo CD application", str(notes["argocd.argoproj.io/tracking-id"]).partition(":")[0])
    return None


def suspended(client: Client, owner: Owner) -> bool:
    """Whether the owner leaves its objects alone at the moment. Only Flux has such a switch."""
    if not owner.kind or not client.serves(owner.api_version, owner.kind):
        return False
    path = client.path_for(owner.api_version, owner.kind, owner.namespace or None, owner.name)
    reconciler = client.get(path)
    return bool(((reconciler or {}).get("spec") or {}).get("suspend"))


def findings(objects: Iterable[Obj], is_suspended: Callable[[Owner], bool]) -> Iterator[Finding]:
    """One finding per owner that is at work."""
    owned: dict[Owner, list[str]] = {}
    for obj in objects:
        owner = owner_of(obj)
        if owner:
            owned.setdefault(owner, []).append(f"{obj['kind'].lower()}/{obj['metadata']['name']}")
    for owner, names in owned.items():
        if not is_suspended(owner):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            switch = f"flux suspend {owner.kind.lower()} {owner.name}, or " if owner.kind else ""
            yield Finding(
                "cluster.foreign_owner",
                "(cluster)",
                f"{names[0]}{more} belongs to {owner.text()}, which would put back what is changed here.",
                f"{switch}set delivery to what owns it, or take the objects out of it",
                owner.text(),
                source="CF-26",
            )

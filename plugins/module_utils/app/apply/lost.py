# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Generated secrets that are gone while the data they open is still there: a new value would lock the data's owner out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.facts import Facts
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import Obj, Release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding


def findings(release: Release, facts: Facts, claims: list[str]) -> Iterator[Finding]:
    """One finding for each generated Secret that lacks a value over existing data. claims: of the namespace. Pure.

    Data is what a StatefulSet that reads the Secret keeps: a database sets its password once, on an empty volume.
    """
    for name, generated in release.secret_generate.items():
        live = facts.objects.get(("", "Secret", release.namespace, name)) or {}
        lacking = sorted(key for key in generated if not (live.get("data") or {}).get(key))
        if not lacking:
            continue
        held = sorted(claim for item in release.items for claim in _claims(item.manifest, name, claims))
        if held:
            yield Finding(
                "cluster.secret_lost",
                f"secrets.{name}",
                f"{', '.join(lacking)} would be generated anew, but the volume {held[0]} was made with the old value.",
                f"bring the Secret back, or give the old value with secrets.{name}.values (a pod that still runs has it in its environment)",
                source="SN-42",
            )


def _claims(manifest: Obj, secret: str, claims: list[str]) -> list[str]:
    """The existing claims of a StatefulSet that reads the Secret."""
    if manifest["kind"] != "StatefulSet" or not _reads(manifest["spec"]["template"]["spec"], secret):
        return []
    name, templates = manifest["metadata"]["name"], manifest["spec"].get("volumeClaimTemplates") or []
    stems = tuple(f"{template['metadata']['name']}-{name}-" for template in templates)
    volumes = manifest["spec"]["template"]["spec"].get("volumes") or []
    named = {(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in volumes}
    return [
        claim
        for claim in claims
        if claim in named or (claim.startswith(stems) and claim.rpartition("-")[2].isdigit())
    ]


def _reads(node: Any, secret: str) -> bool:
    """Whether a pod's spec names the Secret: as a variable, as a whole environment or as a volume."""
    if isinstance(node, list):
        return any(_reads(entry, secret) for entry in node)
    if not isinstance(node, dict):
        return False
    named = (
        (node.get("secretKeyRef") or {}).get("name"),
        (node.get("secretRef") or {}).get("name"),
        (node.get("secret") or {}).get("secretName"),
    )
    return secret in named or any(_reads(entry, secret) for entry in node.values())

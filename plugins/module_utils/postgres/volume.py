# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a claim's data lies on this host."""

from __future__ import annotations

from typing import Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client


def host_path(client: Client, namespace: str, claim: str) -> Optional[str]:
    """The directory of a bound claim on a local volume; None when it is not bound or lies elsewhere."""
    found = client.get(client.path_for("v1", "PersistentVolumeClaim", namespace, claim))
    name = ((found or {}).get("spec") or {}).get("volumeName")
    if not name:
        return None
    spec = (client.get(client.path_for("v1", "PersistentVolume", None, name)) or {}).get("spec") or {}
    source = spec.get("local") or spec.get("hostPath") or {}
    return source.get("path")

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a registry can really serve an image: every blob that its manifest names is read, not only asked about."""

from __future__ import annotations

import platform
from typing import Any


def missing_blobs(client: Any, repository: str, wanted: str, known: dict[str, bool]) -> list[str]:
    """Digests that the manifest names and that cannot be read up to the size it names; of an index, this machine's part counts.

    client: a RegistryClient. wanted: tag or digest; unknown to the registry, it is the one that is missing.
    known: what was read already, by repository and digest; images share most of their layers.
    """
    manifest = client.manifest(repository, wanted)
    if manifest is None:
        return [wanted]
    missing = []
    for digest, size in manifest.blobs():
        key = f"{repository}@{digest}"
        if key not in known:
            known[key] = client.readable(repository, digest, size)
        missing += [] if known[key] else [digest]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    children = manifest.data().get("manifests", [])
    for child in children:
        architecture = (child.get("platform") or {}).get("architecture", machine)
        if architecture in (machine, "unknown") and not (architecture == "unknown" and len(children) > 1):
            missing += missing_blobs(client, repository, child["digest"], known)
    return missing

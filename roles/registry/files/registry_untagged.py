"""Forget manifests that no tag leads to, so that the garbage collection frees their layers:  registry-untagged STORAGE

Registry 2.8 has --delete-untagged for it, but that also forgets the parts of an image for several architectures, which
have no tag of their own (distribution issue 3178). A manifest younger than an hour is left alone: its push may go on.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

GRACE_SECONDS = 3600


def referenced(manifest: Path) -> list[str]:
    """Digests of the manifests that a manifest names: the parts of an index. Raises ValueError when it is no manifest."""
    found = json.loads(manifest.read_text())
    return [part["digest"] for part in found.get("manifests") or []]


def subject(manifest: Path) -> str:
    """The manifest that this one says something about (a signature does), empty for most."""
    return (json.loads(manifest.read_text()).get("subject") or {}).get("digest", "")


def untagged(manifests: Path, blobs: Path, now: float) -> list[Path]:
    """Revisions of one repository that nothing leads to. Raises OSError or ValueError when a manifest cannot be read."""

    def content(digest: str) -> Path:
        algorithm, value = digest.split(":", 1)
        return blobs / algorithm / value[:2] / value / "data"

    # A manifest that was deleted through the API leaves its directory behind, without the link and maybe without content.
    revisions = {
        f"{link.parent.parent.name}:{link.parent.name}": link.parent
        for link in manifests.glob("revisions/*/*/link")
    }
    waiting = [link.read_text().strip() for link in manifests.glob("tags/*/current/link")]
    kept: set[str] = set()
    while waiting:
        digest = waiting.pop()
        if digest not in kept and digest in revisions:
            kept.add(digest)
            waiting += referenced(content(digest))
            waiting += [
                other for other in revisions if other not in kept and subject(content(other)) == digest
            ]
    return [
        path
        for digest, path in revisions.items()
        if digest not in kept and now - (path / "link").stat().st_mtime > GRACE_SECONDS
    ]


def main(storage: str) -> int:
    """Remove the revisions; a repository with something unreadable is left alone and named."""
    root = Path(storage) / "docker/registry/v2"
    for manifests in sorted((root / "repositories").glob("**/_manifests")):
        name = manifests.parent.relative_to(root / "repositories")
        try:
            for path in untagged(manifests, root / "blobs", time.time()):
                print(f"{name}: forgetting {path.name}", flush=True)
                shutil.rmtree(path)
        except (OSError, ValueError) as failure:
            print(f"{name}: left alone: {failure}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

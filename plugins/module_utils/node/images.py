"""Keep images over a reset of containerd's metadata: remember names, keep blobs by hard link, import them again."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.node.files import write_json
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

BLOBS = "io.containerd.content.v1.content/blobs/sha256"


def ctr(paths: Paths, *arguments: str) -> list[str]:
    """The argv of a ctr call in the namespace of Kubernetes."""
    return [paths.binary, "ctr", "--namespace", "k8s.io", *arguments]


def listed(text: str) -> dict[str, dict[str, str]]:
    """`ctr images list` as name → type and digest; names that are digests are left out."""
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) >= 3 and not words[0].startswith("sha256:") and words[2].startswith("sha256:"):
            found[words[0]] = {"type": words[1], "digest": words[2]}
    return found


def present(commands: Commands, paths: Paths) -> dict[str, dict[str, str]]:
    """Images that containerd has."""
    return listed(commands.run(ctr(paths, "images", "list"), timeout=20).out)


def remember(commands: Commands, paths: Paths) -> int:
    """Write down names and digests while containerd is well; returns how many."""
    found = present(commands, paths)
    if found:
        Path(paths.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(f"{paths.state_dir}/images.json", found)
    return len(found)


def remembered(paths: Paths) -> dict[str, dict[str, str]]:
    """What was written down last."""
    try:
        return json.loads(Path(paths.state_dir, "images.json").read_text())
    except (OSError, ValueError):
        return {}


def keep_blobs(paths: Paths, folder: str) -> int:
    """Hard links of all content blobs in `folder`: containerd's own garbage collection cannot reach them."""
    source = Path(paths.containerd, BLOBS)
    target = Path(folder, "blobs")
    target.mkdir(mode=0o700, exist_ok=True)
    count = 0
    for blob in source.iterdir() if source.is_dir() else []:
        if not (target / blob.name).exists():
            os.link(blob, target / blob.name)
        count += 1
    return count


def blobs_of(folder: Path, digest: str, seen: set[str]) -> bool:
    """Collect into `seen` every blob that a manifest needs and that is there; False when one is missing.

    An index counts as whole when at least one of its manifests is.
    """
    path = folder / digest.partition(":")[2]
    if not path.exists():
        return False
    seen.add(digest)
    try:
        document = json.loads(path.read_text())
    except ValueError:
        return False
    if "manifests" in document:
        whole = False
        for child in document["manifests"]:
            part: set[str] = set()
            if blobs_of(folder, child["digest"], part):
                seen |= part
                whole = True
        return whole
    wanted = [document["config"]["digest"], *[layer["digest"] for layer in document.get("layers", [])]]
    seen.update(wanted)
    return all((folder / one.partition(":")[2]).exists() for one in wanted)


def pack(folder: str, name: str, image: dict[str, str], target: str) -> bool:
    """Write one image as an OCI archive; False when its blobs are not all there."""
    blobs = Path(folder, "blobs")
    needed: set[str] = set()
    if not blobs_of(blobs, image["digest"], needed):
        return False
    size = (blobs / image["digest"].partition(":")[2]).stat().st_size
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": image["type"],
                "digest": image["digest"],
                "size": size,
                "annotations": {"io.containerd.image.name": name},
            }
        ],
    }
    with tarfile.open(target, "w") as archive:
        for path, value in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
            written = Path(folder, path)
            written.write_text(json.dumps(value))
            archive.add(str(written), path)
        for digest in sorted(needed):
            blob = blobs / digest.partition(":")[2]
            if blob.exists():
                archive.add(str(blob), f"blobs/sha256/{blob.name}")
    return True


def restore(commands: Commands, paths: Paths, folder: str) -> dict[str, Any]:
    """Import what containerd had before its reset and does not have now. Failures are listed, not raised."""
    have = present(commands, paths)
    done, missing = [], []
    for name, image in sorted(remembered(paths).items()):
        if name in have:
            continue
        archive = str(Path(folder, "image.tar"))
        try:
            if not pack(folder, name, image, archive):
                missing.append(name)
                continue
            commands.run(ctr(paths, "images", "import", "--local", "--all-platforms", archive), timeout=300)
            done.append(name)
        except HoldfastError:
            missing.append(name)
        finally:
            Path(archive).unlink(missing_ok=True)
    return {"restored": done, "missing": missing}

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where an image that the registry lost can come from: containerd, tar files, or single blobs in containerd's store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.archive import Archive
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.refs import Reference

CONTAINERD = "containerd"
BLOBS = "containerd's blobs"


def source_of(
    reference: Reference,
    whole: Collection[str],
    archives: Sequence[str],
    lost: Sequence[str],
    content: str,
) -> str:
    """`CONTAINERD`, the path of a tar file, `BLOBS`, or an empty string when the image cannot be had.

    whole: names that containerd can export. archives: directories with tar files. lost: digests that the registry
    misses while it still has the manifest. content: containerd's content store.
    """
    if reference.name in whole:
        return CONTAINERD
    archive = archive_with(reference, archives)
    if archive:
        return archive
    return BLOBS if lost and all(blob_file(content, one).is_file() for one in lost) else ""


def blob_file(content: str, digest: str) -> Path:
    """The file in which containerd keeps a blob."""
    return Path(content, digest.partition(":")[2])


def whole_in_containerd(commands: Commands, binary: str) -> set[str]:
    """Names of the images that containerd has with all of their content; empty when it does not answer.

    A listed image is often not whole: a pull leaves out the layers that are unpacked already, so an image that was
    removed and pulled again while a container ran from it starts well and cannot be exported.
    """
    argv = [binary, "ctr", "--namespace", "k8s.io", "images", "check"]
    try:
        return complete(commands.run(argv, timeout=15).out)
    except HoldfastError:
        return set()


def complete(text: str) -> set[str]:
    """Names that `ctr images check` calls complete."""
    lines = [line.split() for line in text.splitlines()[1:]]
    return {words[0] for words in lines if len(words) > 3 and words[3] == "complete"}


def archive_with(reference: Reference, folders: Sequence[str]) -> str:
    """A tar file below `folders` that holds the image under its own name, or an empty string."""
    for folder in folders:
        for path in sorted(Path(folder).glob("*.tar")):
            try:
                archive = Archive(str(path))
            except HoldfastError:
                continue
            try:
                archive.image(f"{reference.registry}/{reference.repository}:{reference.tag}", exact=True)
                return str(path)
            except (HoldfastError, KeyError, ValueError):
                continue
            finally:
                archive.close()
    return ""

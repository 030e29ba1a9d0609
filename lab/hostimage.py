"""The image of a bare host: Debian 12 with systemd and sshd, nothing of Kubernetes."""

from __future__ import annotations

from pathlib import Path

from lab import debian
from lab.cache import cached, key_of, locked
from lab.paths import SOURCES, cache_root
from lab.podman import image_exists, podman
from lab.proc import run, say

FILES = SOURCES / "host_files"


def _inputs() -> list[str | bytes | Path]:
    return [debian.LAYOUT, FILES / "root", FILES / "packages.txt", FILES / "setup.sh"]


def root_tar() -> Path:
    """Return the tar of the host's root file system, built when its inputs changed."""

    def build(scratch: Path) -> None:
        packages = (FILES / "packages.txt").read_text().split()
        upper = debian.layer(scratch, packages, (FILES / "setup.sh").read_text(), seed=FILES / "root")
        debian.merged_tar(upper, scratch / "root.tar")
        run(["rm", "-rf", str(upper)])

    return cached("host-root", _inputs(), build) / "root.tar"


def host_image() -> str:
    """Return the name of the host image, imported into podman when it is not there."""
    image = f"localhost/holdfast-host:{key_of(_inputs())}"
    with locked(cache_root() / ".host-image.lock"):
        if not image_exists(image):
            tar = root_tar()
            say("importing the host image into podman")
            podman(["import", "--change", 'CMD ["/sbin/init"]', str(tar), image], timeout=600)
    return image

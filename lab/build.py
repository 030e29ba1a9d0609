"""Fill the mirror: k3s and its images, the images of the systems, Debian packages."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import aptmirror, containerimages, debian, k3sbuild, mirror, offsite
from lab.cache import locked
from lab.errors import LabError
from lab.hostimage import host_image
from lab.paths import MIRROR, STATE

AIRGAP = "k3s-airgap-images-amd64.tar.zst"


def _host() -> None:
    host_image()


def _k3s() -> None:
    _release(k3sbuild.binary(), _airgap())


def _airgap() -> Path:
    given = os.environ.get("LAB_K3S_IMAGES")
    if given and not Path(given).is_file():
        raise LabError(
            f"LAB_K3S_IMAGES='{given}': no such file; name k3s's {AIRGAP}, or unset it for the lab's own"
        )
    return Path(given).resolve() if given else containerimages.addons()


def _images() -> None:
    for name, make in containerimages.BUILDERS.items():
        _link(make(), MIRROR / "images" / f"{name}.tar")
    _link(offsite.image(), MIRROR / "images/offsite.tar")


def _apt() -> None:
    _link(aptmirror.repository(), MIRROR / "apt")


PARTS: dict[str, Callable[[], None]] = {"host": _host, "apt": _apt, "images": _images, "k3s": _k3s}


def build(what: Sequence[str]) -> None:
    """Build the named parts (``host``, ``apt``, ``images``, ``k3s`` or ``all``) as far as they are not cached.

    Go builds and Debian builds run side by side: the first wait for the compiler, the others for packages.
    """
    unknown = [part for part in what if part not in {*PARTS, "all"}]
    if unknown:
        raise LabError(f"nothing to build is called '{unknown[0]}': use {', '.join(PARTS)} or all")
    wanted = [part for part in PARTS if part in what or "all" in what]
    debian_parts = [part for part in wanted if part != "k3s"]
    with ThreadPoolExecutor(max_workers=2) as pool:
        if debian_parts:
            debian.base()
        running = [pool.submit(_all_of, ["k3s"])] if "k3s" in wanted else []
        running.append(pool.submit(_all_of, debian_parts))
        for done in running:
            done.result()


def _all_of(parts: Sequence[str]) -> None:
    for part in parts:
        PARTS[part]()


def _release(binary: Path, images: Path) -> None:
    """Lay out the release folder: binary, images, and their checksums in the form of the release site."""
    folder = mirror.k3s_folder()
    with locked(STATE / ".release.lock"):
        sums = "".join(
            f"{_sha256(path)}  {name}\n" for name, path in sorted({AIRGAP: images, "k3s": binary}.items())
        )
        _link(binary, folder / "k3s")
        _link(images, folder / AIRGAP)
        target = folder / "sha256sum-amd64.txt"
        if not target.exists() or target.read_text() != sums:
            target.write_text(sums)


def _link(source: Path, target: Path) -> None:
    """Point ``target`` at ``source`` in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() and target.readlink() == source:
        return
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(source)
    fresh.replace(target)


def _sha256(path: Path) -> str:
    """Return the checksum of a file; remembered by size and time, since the binaries are large."""
    memory = STATE / "sums.json"
    found = path.stat()
    mark = f"{path}:{found.st_size}:{found.st_mtime_ns}"
    try:
        known: dict[str, str] = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    if mark not in known:
        digest = hashlib.sha256()
        with path.open("rb") as content:
            while chunk := content.read(1 << 20):
                digest.update(chunk)
        known = {**{k: v for k, v in known.items() if not k.startswith(f"{path}:")}, mark: digest.hexdigest()}
        memory.write_text(json.dumps(known))
    return known[mark]

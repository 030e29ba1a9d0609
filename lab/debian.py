"""Debian root file systems: one small base, and layers of packages on top of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.cache import cached
from lab.errors import LabError
from lab.proc import run

SUITE = "bookworm"
LAYOUT = "3"  # raise it to build everything anew

# The layer is built in a mount namespace of its own: when the build is killed its mounts are gone with it.
_IN_CHROOT = r"""
set -eu
root=$1; shift
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$UPPER,workdir=$WORK" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -eu -c "$SCRIPT" sh "$@"
rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/log/*.log
rm -rf "$root"/var/log/apt "$root"/var/cache/debconf/*-old "$root"/var/cache/ldconfig/aux-cache
"""

_INSTALL = 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null\n'


def sources() -> str:
    """Return apt lines of Debian's own repositories as this machine is set up for them."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    ).out
    lines = {
        f"deb {uri} {release} {component}"
        for uri, release, component in (
            line.split() for line in listed.splitlines() if len(line.split()) == 3
        )
        if release in {SUITE, f"{SUITE}-updates", f"{SUITE}-security"} and component == "main"
    }
    if not any(line.split()[2] == SUITE for line in lines):
        raise LabError(
            f"apt on this machine has no Debian {SUITE}: run 'apt-get update', or use a Debian 12 machine"
        )
    return "\n".join(sorted(lines)) + "\n"


def base() -> Path:
    """Return the root of a minimal Debian 12 (about 120 MB), the layer below every image."""

    def build(scratch: Path) -> None:
        lines = sources()
        mirror = next(line.split()[1] for line in lines.splitlines() if line.split()[2] == SUITE)
        root = scratch / "root"
        run(["debootstrap", "--variant=minbase", SUITE, str(root), mirror], timeout=1200)
        (root / "etc/apt/sources.list").write_text(lines)
        (root / "etc/dpkg/dpkg.cfg.d/lab").write_text(
            "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/info/*\n"
            "path-exclude=/usr/share/locale/*\nforce-unsafe-io\n"
        )
        for folder in ("doc", "man", "info", "locale", "lintian"):
            shutil.rmtree(root / "usr/share" / folder, ignore_errors=True)
            (root / "usr/share" / folder).mkdir()
        for deb in (root / "var/cache/apt/archives").glob("*.deb"):
            deb.unlink()

    return cached("debian-base", [LAYOUT, SUITE, "minbase"], build) / "root"


def layer(
    scratch: Path, packages: Sequence[str], script: str = "", *, before: str = "", seed: Path | None = None
) -> Path:
    """Install ``packages`` on the base between two shell scripts run as root inside, and return what changed.

    ``seed`` is a folder whose content is laid over the base first, owned by root. The result is a directory in overlay form: new and changed files, and a 0/0 character device for each file
    that was removed. ``scratch`` must be empty and is the caller's to remove.
    """
    upper, work, merged = scratch / "upper", scratch / "work", scratch / "merged"
    for folder in (upper, work, merged):
        folder.mkdir()
    if seed:
        run(["cp", "-a", "--no-preserve=ownership", f"{seed}/.", str(upper)])
    install = _INSTALL if packages else ""
    run(
        ["unshare", "--mount", "sh", "-c", _IN_CHROOT, "sh", str(merged), *packages],
        env={
            "BASE": str(base()),
            "UPPER": str(upper),
            "WORK": str(work),
            "SCRIPT": before + install + script,
        },
        timeout=1500,
    )
    shutil.rmtree(work)
    merged.rmdir()
    return upper


def merged_tar(upper: Path, tar: Path) -> None:
    """Write base and layer as one tar, seen through a throw-away overlay mount."""
    mount = tar.parent / "merged"
    mount.mkdir()
    script = (
        "set -eu; mount --make-rprivate /;"
        ' mount -t overlay overlay -o "ro,lowerdir=$UPPER:$BASE" "$1"; tar -C "$1" --numeric-owner -cf "$2" .'
    )
    run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(mount), str(tar)],
        env={"BASE": str(base()), "UPPER": str(upper)},
        timeout=600,
    )
    mount.rmdir()


def download(package: str, folder: Path) -> None:
    """Fetch one package without its dependencies into ``folder``; an old list of packages is renewed once."""
    fetch = ["apt-get", "download", "-q", package]
    if run(fetch, cwd=folder, check=False, timeout=300).rc:
        run(["apt-get", "update", "-q"], timeout=300)
        run(fetch, cwd=folder, timeout=300)

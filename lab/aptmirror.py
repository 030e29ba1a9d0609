"""A flat Debian repository: every package that a role installs on a host, with all it needs beyond the bare host."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from lab import debian
from lab.cache import cached
from lab.hostimage import FILES
from lab.proc import run

WANTED = FILES / "apt-mirror.txt"


def repository() -> Path:
    """Return the folder with the packages and their index."""

    def build(scratch: Path) -> None:
        packages = (FILES / "packages.txt").read_text().split()
        wanted = WANTED.read_text().split()
        # The host's own packages are installed first, so that only what a host lacks is fetched.
        upper = debian.layer(
            scratch,
            packages,
            "mkdir -p /debs/partial\n"
            "apt-get install -y -qq --no-install-recommends --download-only -o Dir::Cache::archives=/debs "
            f"{' '.join(wanted)} >/dev/null\n",
        )
        for deb in sorted((upper / "debs").glob("*.deb")):
            shutil.move(str(deb), scratch / deb.name)
        run(["rm", "-rf", str(upper), str(scratch / "merged")])
        index = run(["dpkg-scanpackages", "--multiversion", "."], cwd=scratch, timeout=300).out
        (scratch / "Packages").write_text(index)
        (scratch / "Packages.gz").write_bytes(gzip.compress(index.encode(), mtime=0))

    return cached("apt-mirror", [debian.LAYOUT, FILES / "packages.txt", WANTED], build)

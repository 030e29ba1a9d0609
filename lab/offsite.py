"""Another place for backups, as one image: restic from Debian, and an S3 server (versitygw, built from the Go module proxy)."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import debian
from lab.archive import Image, write_archive, write_layer
from lab.cache import cached
from lab.containerimages import REGISTRY, base_layer
from lab.paths import SOURCES
from lab.proc import run

REFERENCE = f"{REGISTRY}/offsite:1"
_SERVER = "github.com/versity/versitygw/cmd/versitygw@v1.0.14"


def server() -> Path:
    """Return the S3 server's program (a minute from cold)."""

    def build(scratch: Path) -> None:
        run(
            ["go", "install", "-trimpath", "-ldflags", "-s -w", _SERVER],
            env={
                "GOBIN": str(scratch),
                "CGO_ENABLED": "0",
                "GOTOOLCHAIN": "local",
                "GOFLAGS": "-buildvcs=false",
            },
            timeout=1800,
        )

    return cached("s3-server", [_SERVER], build) / "versitygw"


def image() -> Path:
    """Return the archive of the image."""

    def build(scratch: Path) -> None:
        upper = debian.layer(scratch, ["restic", "openssh-client", "ca-certificates"], "true\n")
        target = upper / "usr/local/bin/versitygw"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(server(), target)
        target.chmod(0o755)
        write_layer(upper, scratch / "layer.tar")
        whole = Image(
            REFERENCE,
            [base_layer(), scratch / "layer.tar"],
            command=["sh"],
            user="999:999",
            env={"HOME": "/tmp"},
        )
        write_archive([whole], scratch / "offsite.tar")
        (scratch / "layer.tar").unlink()
        run(["rm", "-rf", str(upper), str(scratch / "merged")])

    code = [SOURCES / "archive.py", SOURCES / "offsite.py"]
    return cached("image-offsite", [debian.LAYOUT, *code], build) / "offsite.tar"

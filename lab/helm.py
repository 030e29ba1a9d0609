"""The helm program, built from its module: role app delivers charts with it."""

from __future__ import annotations

from pathlib import Path

from lab.cache import cached
from lab.proc import run

_PACKAGE = "helm.sh/helm/v3/cmd/helm@v3.19.0"


def program() -> Path:
    """Return the static program."""

    def build(scratch: Path) -> None:
        env = {
            "GOBIN": str(scratch),
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false",
        }
        run(["go", "install", "-trimpath", "-ldflags", "-s -w", _PACKAGE], cwd=scratch, env=env, timeout=1800)

    return cached("helm", [_PACKAGE], build) / "helm"

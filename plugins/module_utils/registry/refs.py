"""Image references: what `nginx`, `localhost:5000/lab/postgres:15` and `name@sha256:…` mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"


@dataclass(frozen=True)
class Reference:
    """registry: host and port. repository: path without them. tag or digest: what is asked for."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def wanted(self) -> str:
        """What a registry is asked for: the digest if there is one, else the tag."""
        return self.digest or self.tag

    @property
    def name(self) -> str:
        """The full name under which containerd keeps the image."""
        suffix = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{self.registry}/{self.repository}{suffix}"


def parse(text: str) -> Reference | None:
    """A reference from what a manifest says; None when it is no valid name."""
    rest, _at, digest = text.strip().partition("@")
    if digest and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return None
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, path = head, tail
    else:
        registry, path = DOCKER_HUB, rest
    path, _colon, tag = path.partition(":")
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if not re.fullmatch(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", path):
        return None
    if tag and not re.fullmatch(r"\w[\w.-]{0,127}", tag):
        return None
    return Reference(registry, path, tag or ("" if digest else "latest"), digest)

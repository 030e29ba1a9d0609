"""Image archives in the form that ``docker save`` writes: containerd imports them, registries are filled from them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_EPOCH = 0  # one time for all files: the same inputs give the same digests


@dataclass(frozen=True)
class Image:
    """One image: its reference, layer tars from the bottom up, and the settings of its containers."""

    reference: str
    layers: Sequence[Path]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = ""
    workdir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()

    def config(self, diff_ids: Sequence[str]) -> bytes:
        """Return the image's configuration as JSON."""
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **self.env}
        content: dict[str, Any] = {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": list(self.entrypoint) or None,
                "Cmd": list(self.command) or None,
                "User": self.user,
                "WorkingDir": self.workdir,
                "Env": [f"{name}={value}" for name, value in environment.items()],
                "ExposedPorts": {f"{port}/tcp": {} for port in self.ports},
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in diff_ids]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "lab"} for _ in diff_ids],
        }
        return json.dumps(content, sort_keys=True).encode()


def write_layer(root: Path, tar: Path) -> None:
    """Write the folder ``root`` (in overlay form, see :func:`lab.debian.layer`) as a layer."""
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as archive:
        for folder, subfolders, files in os.walk(root):
            subfolders.sort()
            for name in sorted([*subfolders, *files]):
                _add(archive, Path(folder) / name, str((Path(folder) / name).relative_to(root)))


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    found = path.lstat()
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
        entry = tarfile.TarInfo(str(Path(name).with_name(f".wh.{Path(name).name}")))
        entry.mtime = _EPOCH
        archive.addfile(entry)
        return
    if stat.S_ISSOCK(found.st_mode):
        return
    entry = archive.gettarinfo(str(path), name)
    entry.mtime, entry.uname, entry.gname = _EPOCH, "", ""
    if entry.isreg():
        with path.open("rb") as content:
            archive.addfile(entry, content)
    else:
        archive.addfile(entry)


def write_archive(images: Iterable[Image], tar: Path) -> None:
    """Write ``images`` into one archive; a layer that several share is in it once."""
    manifest: list[dict[str, Any]] = []
    done: set[str] = set()
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as archive:
        for image in images:
            diff_ids = [_digest(layer) for layer in image.layers]
            for digest, layer in zip(diff_ids, image.layers):
                if digest not in done:
                    done.add(digest)
                    entry = tarfile.TarInfo(f"{digest}/layer.tar")
                    entry.size = layer.stat().st_size
                    with layer.open("rb") as content:
                        archive.addfile(entry, content)
            config = image.config(diff_ids)
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            if name not in done:
                done.add(name)
                _add_bytes(archive, name, config)
            manifest.append(
                {
                    "Config": name,
                    "RepoTags": [image.reference],
                    "Layers": [f"{digest}/layer.tar" for digest in diff_ids],
                }
            )
        _add_bytes(archive, "manifest.json", json.dumps(manifest).encode())


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

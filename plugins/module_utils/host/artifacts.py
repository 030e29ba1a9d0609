# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""k3s's binary and air-gap images: fetched beside their place, verified, and only then put there, all or none."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Optional
from urllib.parse import quote

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action

BINARY = "/usr/local/bin/k3s"
# Below it k3s writes containerd's configuration, with the passwords of registries, readable for everybody.
AGENT_DIR = "/var/lib/rancher/k3s/agent"
IMAGES_DIR = f"{AGENT_DIR}/images"
_CHUNK = 1 << 20
_SUFFIX = {"amd64": "", "arm64": "-arm64", "arm": "-armhf"}


@dataclass(frozen=True)
class Artifact:
    """One file of a release. sha256: the pinned digest, empty when the release's own list decides."""

    name: str
    dest: str
    mode: int
    sha256: str = ""


def wanted(arch: str, *, binary_sha256: str, images_sha256: str, images: bool) -> list[Artifact]:
    """The artefacts of a release for one architecture, in the order in which they are put in place."""
    found = []
    if images:
        name = f"k3s-airgap-images-{arch}.tar.zst"
        found.append(Artifact(name, f"{IMAGES_DIR}/{name}", 0o644, images_sha256.lower()))
    found.append(Artifact(f"k3s{_SUFFIX[arch]}", BINARY, 0o755, binary_sha256.lower()))
    for artifact in found:
        if artifact.sha256 and not re.match(r"^[0-9a-f]{64}$", artifact.sha256):
            raise HoldfastError(
                f"not a sha256 digest for {artifact.name}",
                field="sha256",
                value=artifact.sha256,
                fix="write 64 hexadecimal digits, or leave it empty to trust the release's own list",
            )
    return found


def plan(artifacts: Sequence[Artifact], pins: Mapping[str, str], present: Mapping[str, str]) -> list[Action]:
    """Install what is missing or has another digest.

    pins: artefact name to wanted digest. present: destination to digest, empty when missing.
    """
    actions = []
    for artifact in artifacts:
        found = present.get(artifact.dest, "")
        if found != pins[artifact.name]:
            why = (
                "missing" if not found else f"has sha256 {found[:12]}… instead of {pins[artifact.name][:12]}…"
            )
            params = {"name": artifact.name, "sha256": pins[artifact.name]}
            actions.append(Action("install", artifact.dest, why, params=params))
    return actions


def parse_sums(text: str) -> dict[str, str]:
    """File name to digest, from sha256sum's format."""
    return {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})[ *]+(\S+)$", text, re.MULTILINE)}


def digest(path: str) -> str:
    """sha256 of a file, empty when there is none."""
    try:
        with Path(path).open("rb") as stream:
            return _hash(stream)
    except FileNotFoundError:
        return ""


class Source:
    """Where a release's files come from: a directory on the host, or `<url>/<version>/`.

    timeout: seconds without a byte before a download counts as dead.
    """

    def __init__(self, *, url: str, directory: str, version: str, timeout: float = 60) -> None:
        self._directory = directory
        self._base = f"{url.rstrip('/')}/{quote(version, safe='')}"
        self._timeout = timeout

    def where(self, name: str) -> str:
        """Path or URL of a file, for messages."""
        return str(Path(self._directory) / name) if self._directory else f"{self._base}/{name}"

    def text(self, name: str) -> str:
        """A small file's text."""
        with self._open(name)[0] as stream:
            return stream.read(_CHUNK).decode("utf-8", "replace")

    def fetch(self, name: str, target: Path) -> str:
        """Copy a file to `target` (synced to disk) and return its sha256; a short transfer is an error."""
        stream, size = self._open(name)
        summed, copied = hashlib.sha256(), 0
        with stream:
            self._room(name, size, target)
            try:
                with target.open("wb") as out:
                    while True:
                        block = stream.read(_CHUNK)
                        if not block:
                            break
                        out.write(block)
                        summed.update(block)
                        copied += len(block)
                    out.flush()
                    os.fsync(out.fileno())
            except OSError as failure:
                full = failure.errno == errno.ENOSPC
                raise HoldfastError(
                    f"the transfer broke off after {copied} bytes: {failure}",
                    field="artifact",
                    value=self.where(name),
                    fix=f"free space below {target.parent}" if full else "try again",
                ) from failure
        if size is not None and copied != size:
            raise HoldfastError(
                f"the download ended after {copied} of {size} bytes",
                field="artifact",
                value=self.where(name),
                fix="try again; nothing on the host was replaced",
            )
        return summed.hexdigest()

    def _open(self, name: str) -> tuple[IO[bytes], Optional[int]]:
        try:
            if self._directory:
                path = Path(self._directory) / name
                return path.open("rb"), path.stat().st_size
            answer = _opener().open(f"{self._base}/{name}", timeout=self._timeout)
        except (OSError, urllib.error.URLError, ValueError) as failure:
            raise HoldfastError(
                f"cannot be fetched: {failure}",
                field="k3s_artifact_dir" if self._directory else "k3s_artifact_url",
                value=self.where(name),
                fix="check the address, the version's spelling and the host's network",
            ) from failure
        length = answer.headers.get("Content-Length")
        return answer, int(length) if length else None

    def _room(self, name: str, size: Optional[int], target: Path) -> None:
        free = shutil.disk_usage(target.parent).free
        if size is not None and size > free:
            raise HoldfastError(
                f"needs {size // 1_000_000} MB, {free // 1_000_000} MB are free on its filesystem",
                field="artifact",
                value=self.where(name),
                fix=f"free space below {target.parent}; nothing on the host was replaced",
            )


class Staging:
    """Fetched files wait beside their destinations until `commit`; `discard` leaves no trace of them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._staged: list[tuple[Path, Path]] = []

    def add(self, name: str, sha256: str, dest: str, mode: int) -> Path:
        """Fetch and verify one artefact; a wrong digest is an error and nothing is replaced."""
        target = Path(dest)
        make_parents(target)
        temporary = target.with_name(f".{target.name}.holdfast-part")
        self._staged.append((temporary, target))
        found = self._source.fetch(name, temporary)
        if found != sha256:
            raise HoldfastError(
                f"sha256 is {found}, expected {sha256}",
                field="artifact",
                value=self._source.where(name),
                fix="do not use this file: get it again from a source you trust, or correct the pin; "
                "nothing on the host was replaced",
            )
        temporary.chmod(mode)
        return temporary

    def commit(self) -> None:
        """Put every verified file in its place, each by one rename."""
        for temporary, target in self._staged:
            temporary.replace(target)
        self._staged.clear()

    def discard(self) -> None:
        """Remove what was fetched and not committed."""
        for temporary, _target in self._staged:
            if temporary.exists():
                temporary.unlink()
        self._staged.clear()


def make_parents(target: Path, private: Optional[Path] = None) -> None:
    """Make the directories above a file. The one that k3s keeps for root gets its mode when it is made: k3s would not change it."""
    private = private or Path(AGENT_DIR)
    if private in target.parents:
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP with the system's certificate authorities and the environment's proxies."""
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=ssl.create_default_context()))


def _hash(stream: IO[bytes]) -> str:
    summed = hashlib.sha256()
    for block in iter(lambda: stream.read(_CHUNK), b""):
        summed.update(block)
    return summed.hexdigest()


def version_of(binary: Path, commands: Any) -> str:
    """Version that a binary reports about itself."""
    result = commands.run([str(binary), "--version"], check=False, timeout=30)
    found = re.match(r"\S+ version (\S+)", result.out)
    return found.group(1) if found else ""

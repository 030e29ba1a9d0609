# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The evidence bundle: what the world looked like before something destructive was done to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import EvidenceError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_object, redact_text

ROOT = "/var/lib/holdfast/incidents"
MAX_BYTES = 64 * 1024 * 1024
MANIFEST = "manifest.json"
_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"^(\d{8}T\d{6}Z)-")


class Bundle:
    """One directory `<UTC>-<what>` (0700, files 0600), redacted, capped in size, sealed with a sha256 manifest."""

    def __init__(
        self, path: Path, what: str, clock: Clock, max_bytes: int, secrets: Iterable[str] = ()
    ) -> None:
        self.path, self.what, self.clock, self.max_bytes = path, what, clock, max_bytes
        self.secrets = tuple(secrets)
        self._files: list[dict[str, Any]] = []
        self._bytes = 0
        self._sealed = False

    @classmethod
    def open(
        cls,
        what: str,
        root: str = ROOT,
        clock: Optional[Clock] = None,
        max_bytes: int = MAX_BYTES,
        secrets: Iterable[str] = (),
    ) -> Bundle:
        """Make the directory. Raises EvidenceError when it cannot be made.

        what: a short name, part of the directory's name. max_bytes: size of all files together.
        secrets: literal values to take out of everything.
        """
        clock = clock or Clock()
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", what).strip("-") or "incident"
        name = f"{clock.now().strftime(_STAMP)}-{slug}"
        try:
            base = Path(root)
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number in range(1000):
                path = base / (name if number == 0 else f"{name}.{number}")
                try:
                    path.mkdir(mode=0o700)
                except FileExistsError:
                    continue
                path.chmod(0o700)
                return cls(path, what, clock, max_bytes, secrets)
        except OSError as failure:
            raise _unwritable(root, failure) from failure
        raise EvidenceError("too many bundles of the same second", field="evidence_dir", value=root)

    def add_text(self, name: str, text: str) -> None:
        """Keep text under `name`; what does not fit under the cap loses its beginning (the end tells more)."""
        self._write(name, redact_text(text, self.secrets).encode("utf-8", "replace"))

    def add_json(self, name: str, obj: Any) -> None:
        """Keep an object as JSON, which is YAML too. Objects of a list stand one a line."""
        clean = redact_object(obj, self.secrets)
        if isinstance(clean, list):
            lines = ",\n".join(json.dumps(item, separators=(",", ":"), default=str) for item in clean)
            text = f"[\n{lines}\n]\n"
        else:
            text = json.dumps(clean, indent=1, default=str) + "\n"
        self._write(name, text.encode())

    def add_file(self, name: str, path: str, tail_bytes: int = 1024 * 1024) -> None:
        """Keep the last `tail_bytes` of a file as text; a file that cannot be read is noted, not an error."""
        try:
            with Path(path).open("rb") as stream:
                stream.seek(0, os.SEEK_END)
                stream.seek(max(0, stream.tell() - tail_bytes))
                data = stream.read(tail_bytes)
        except OSError as failure:
            self.add_text(name, f"not readable: {path}: {failure.strerror}\n")
            return
        self.add_text(name, data.decode("utf-8", "replace"))

    def seal(self) -> str:
        """Write the manifest, flush everything to disk, and return the directory's path."""
        manifest = {
            "what": self.what,
            "created": self.clock.now().isoformat(),
            "bytes": self._bytes,
            "files": self._files,
        }
        try:
            _store(self.path / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
            for directory in {Path(entry["name"]).parent for entry in self._files} | {Path()}:
                _sync_directory(self.path / directory)
            _sync_directory(self.path.parent)
        except OSError as failure:
            raise _unwritable(str(self.path), failure) from failure
        self._sealed = True
        return str(self.path)

    def _write(self, name: str, data: bytes) -> None:
        if self._sealed:
            raise EvidenceError("the bundle is sealed already", field="evidence", value=str(self.path))
        relative = Path(re.sub(r"[^A-Za-z0-9._/-]+", "_", name).lstrip("/"))
        if ".." in relative.parts or str(relative) == MANIFEST:
            raise EvidenceError("not a name for a file of a bundle", field="name", value=name)
        room = max(0, self.max_bytes - self._bytes)
        cut = len(data) > room
        if cut:
            data = data[len(data) - room :]
        target = self.path / relative
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _store(target, data)
        except OSError as failure:
            raise _unwritable(str(target), failure) from failure
        self._bytes += len(data)
        self._files.append(
            {
                "name": str(relative),
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "truncated": cut,
            }
        )


def prune(
    root: str = ROOT,
    max_age_days: float = 30,
    max_bytes: int = 1024 * 1024 * 1024,
    clock: Optional[Clock] = None,
) -> list[str]:
    """Remove bundles older than max_age_days, then the oldest until all together are under max_bytes.

    The newest bundle always stays. Returns the removed paths. Only directories named like bundles are touched.
    """
    base = Path(root)
    if not base.is_dir():
        return []
    found = sorted(
        path for path in base.iterdir() if path.is_dir() and not path.is_symlink() and _NAME.match(path.name)
    )
    oldest = ((clock or Clock()).now() - timedelta(days=max_age_days)).strftime(_STAMP)
    sizes = {path: sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) for path in found}
    total = sum(sizes.values())
    removed: list[str] = []
    for path in found[:-1]:
        if path.name[: len(oldest)] < oldest or total > max_bytes:
            shutil.rmtree(path, ignore_errors=True)
            total -= sizes[path]
            removed.append(str(path))
    return removed


def verify(path: str) -> list[str]:
    """What is wrong with a sealed bundle: missing, changed or unlisted files. Empty when it is whole."""
    base = Path(path)
    try:
        manifest = json.loads((base / MANIFEST).read_text())
    except (OSError, ValueError) as failure:
        return [f"{MANIFEST}: {failure}"]
    listed = {entry["name"]: entry["sha256"] for entry in manifest["files"]}
    present = {str(f.relative_to(base)) for f in base.rglob("*") if f.is_file()} - {MANIFEST}
    wrong = [f"{name}: not in the manifest" for name in sorted(present - set(listed))]
    for name, digest in listed.items():
        if name not in present:
            wrong.append(f"{name}: missing")
        elif hashlib.sha256((base / name).read_bytes()).hexdigest() != digest:
            wrong.append(f"{name}: changed")
    return wrong


def _store(path: Path, data: bytes) -> None:
    handle = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_directory(path: Path) -> None:
    handle = os.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some filesystems know no fsync of a directory
            os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(where: str, failure: OSError) -> EvidenceError:
    return EvidenceError(
        f"the evidence cannot be written: {failure.strerror or failure}; nothing destructive was started",
        field="evidence_dir",
        value=where,
        fix="free space or choose another evidence_dir, or accept acting without evidence with evidence_required: false",
    )

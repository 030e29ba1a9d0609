"""Slow builds, kept by a key of their inputs and safe under two builds at once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.paths import cache_root
from lab.proc import say

KEEP_PER_KIND = 3


def key_of(parts: Iterable[str | bytes | Path]) -> str:
    """Return a short key of the given inputs: strings and bytes as they are, files and folders by name and content."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file() and "__pycache__" not in file.parts:
                    name = str(file.relative_to(part)) if file != part else file.name
                    digest.update(f"{name}\0{os.access(file, os.X_OK)}\0".encode())
                    digest.update(file.read_bytes())
        else:
            digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` (made when missing); the kernel drops it when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cached(what: str, inputs: Iterable[str | bytes | Path], build: Callable[[Path], None]) -> Path:
    """Return the directory ``<cache>/<what>-<key>``; ``build(scratch)`` fills it when it is not there yet.

    The scratch directory is renamed when the build is complete, so a killed build leaves nothing that looks
    finished; what it did leave is removed by the next build of the same kind. Old keys of the same kind are
    dropped, the newest three stay.
    """
    root = cache_root()
    done = root / f"{what}-{key_of(inputs)}"
    if done.is_dir():
        os.utime(done)
        return done
    with locked(root / f".{what}.lock"):
        if done.is_dir():
            return done
        _remove_half_built(root, what)
        scratch = root / f".tmp-{what}-{os.getpid()}"
        scratch.mkdir(parents=True)
        say(f"building {what} (cached afterwards as {done.name})")
        start = time.monotonic()
        try:
            build(scratch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        scratch.rename(done)
        say(f"{what} is ready after {time.monotonic() - start:.0f} s")
        _remove_old(root, what, done)
    return done


def _remove_half_built(root: Path, what: str) -> None:
    """Remove scratch directories of killed builds. The caller holds the lock of this kind."""
    for left in root.glob(f".tmp-{what}-*"):
        if left.name.rsplit("-", 1)[0] == f".tmp-{what}":
            shutil.rmtree(left, ignore_errors=True)


def _remove_old(root: Path, what: str, current: Path) -> None:
    found = [d for d in root.glob(f"{what}-*") if d != current and d.name.rsplit("-", 1)[0] == what]
    for old in sorted(found, key=lambda d: d.stat().st_mtime, reverse=True)[KEEP_PER_KIND - 1 :]:
        shutil.rmtree(old, ignore_errors=True)

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which images a registry still needs, and how their tar files get onto the host. The plan is pure."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.refs import Reference, parse

WORK = Path("/var/lib/holdfast/images")
MARKER = WORK / "loaded.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Wanted:
    """An image that the registry must have. src: URL or path of its tar. sha256: pinned digest of the tar."""

    ref: str
    reference: Reference
    src: str
    sha256: str = ""


def wanted(images: Sequence[Mapping[str, Any]]) -> list[Wanted]:
    """The images from a module's options, each checked."""
    found = []
    for number, raw in enumerate(images):
        reference = parse(str(raw["ref"]))
        if reference is None or reference.digest:
            raise HoldfastError(
                "not an image name with a tag",
                field=f"images[{number}].ref",
                value=raw["ref"],
                fix="write HOST:PORT/NAME:TAG",
            )
        found.append(
            Wanted(str(raw["ref"]), reference, str(raw["src"]), str(raw.get("sha256") or "").lower())
        )
    return found


def plan(
    images: Sequence[Wanted],
    digests: Mapping[str, Optional[str]],
    loaded: Mapping[str, Mapping[str, str]],
    sources: Mapping[str, str],
    incomplete: Collection[str] = (),
) -> list[Action]:
    """Push what is missing or lacks blobs, differs from what was loaded, or comes from another tar than before.

    digests: ref to the manifest digest that the registry has. loaded: ref to `digest` and `source` of the last push.
    sources: ref to what identifies the tar now (its pin, else its size and time). incomplete: refs with unreadable blobs.
    """
    actions = []
    for image in images:
        known, digest = loaded.get(image.ref), digests.get(image.ref)
        if digest is None:
            why = "not in the registry"
        elif image.ref in incomplete:
            why = "the registry cannot serve all of its blobs"
        elif known is None:
            why = "in the registry, but not known to come from this file"
        elif known.get("digest") != digest:
            why = "the registry has another image under this name"
        elif known.get("source") != sources[image.ref]:
            why = "the file has changed"
        else:
            continue
        actions.append(Action("push", image.ref, why, params={"src": image.src}))
    return actions


def identity(image: Wanted, timeout: float) -> str:
    """What identifies the tar without reading it all: the pin, else size and time as its server or directory says."""
    if image.sha256:
        return f"sha256:{image.sha256}"
    if "://" not in image.src:
        try:
            about = Path(image.src).stat()
        except OSError as failure:
            raise _unreadable(image, failure) from failure
        return f"file:{about.st_size}:{about.st_mtime_ns}"
    request = urllib.request.Request(image.src, method="HEAD")
    try:
        with _open(request, timeout) as answer:
            headers = answer.headers
            return f"url:{headers.get('Content-Length')}:{headers.get('Last-Modified')}:{headers.get('ETag')}"
    except (OSError, urllib.error.URLError, ValueError) as failure:
        raise _unreadable(image, failure) from failure


@contextmanager
def local_file(image: Wanted, timeout: float) -> Iterator[str]:
    """Path of the tar on this host, verified against its pin; a downloaded one is removed afterwards."""
    if "://" not in image.src:
        _verify(image, _digest(Path(image.src)))
        yield image.src
        return
    WORK.mkdir(parents=True, exist_ok=True)
    temporary = WORK / f".{hashlib.sha256(image.src.encode()).hexdigest()[:16]}.part"
    try:
        _verify(image, _download(image, temporary, timeout))
        yield str(temporary)
    finally:
        if temporary.exists():
            temporary.unlink()


def read_loaded() -> dict[str, dict[str, str]]:
    """What earlier runs pushed, by ref."""
    try:
        return json.loads(MARKER.read_text())
    except (OSError, ValueError):
        return {}


def write_loaded(loaded: Mapping[str, Mapping[str, str]]) -> None:
    """Keep what was pushed; written after each image, so that a broken run continues where it was."""
    WORK.mkdir(parents=True, exist_ok=True)
    temporary = MARKER.with_suffix(".part")
    temporary.write_text(json.dumps(loaded, sort_keys=True, indent=1))
    temporary.replace(MARKER)


def _download(image: Wanted, target: Path, timeout: float) -> str:
    summed, copied = hashlib.sha256(), 0
    try:
        with _open(urllib.request.Request(image.src), timeout) as answer, target.open("wb") as out:
            for block in iter(lambda: answer.read(_CHUNK), b""):
                out.write(block)
                summed.update(block)
                copied += len(block)
            out.flush()
            os.fsync(out.fileno())
            length = answer.headers.get("Content-Length")
    except (OSError, urllib.error.URLError, ValueError) as failure:
        raise _unreadable(image, failure) from failure
    if length and copied != int(length):
        raise _unreadable(image, f"the download ended after {copied} of {length} bytes")
    return summed.hexdigest()


def _digest(path: Path) -> str:
    summed = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(_CHUNK), b""):
            summed.update(block)
    return summed.hexdigest()


def _verify(image: Wanted, found: str) -> None:
    if image.sha256 and found != image.sha256:
        raise HoldfastError(
            f"sha256 of {image.src} is {found}, expected {image.sha256}; nothing was pushed",
            field="ref",
            value=image.ref,
            fix="get the file again from a source you trust, or correct the pin",
        )


def _open(request: urllib.request.Request, timeout: float) -> Any:
    handler = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    return urllib.request.build_opener(handler).open(request, timeout=timeout)


def _unreadable(image: Wanted, why: object) -> HoldfastError:
    return HoldfastError(
        f"{image.src} cannot be read: {why}",
        field="ref",
        value=image.ref,
        fix="check src and the host's network",
    )

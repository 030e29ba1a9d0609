"""Where a lost image can come from: only what is whole counts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import plan, sources
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import Manifest
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.facts import Settings
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.recover import Recovery
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.refs import parse

IMAGE = "localhost:5000/lab/redis:7"
CHECKED = """\
REF                         TYPE                                       DIGEST     STATUS           SIZE                UNPACKED
localhost:5000/lab/app:1    application/vnd.oci.image.manifest.v1+json sha256:06f complete (2/2)   9.7 MiB/9.7 MiB     true
localhost:5000/lab/redis:7  application/vnd.oci.image.manifest.v1+json sha256:31c incomplete (2/3) 121.3 MiB/134.6 MiB true
"""


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def source(tmp_path: Path, *, whole: set[str] = frozenset(), lost: tuple[str, ...] = ()) -> str:  # type: ignore[assignment]
    reference = parse(IMAGE)
    assert reference is not None
    return sources.source_of(reference, whole, [str(tmp_path)], lost, str(tmp_path))


def test_a_listed_image_without_all_its_layers_is_not_whole() -> None:
    assert sources.complete(CHECKED) == {"localhost:5000/lab/app:1"}
    assert sources.complete("") == set()


def test_the_order_of_sources(tmp_path: Path) -> None:
    lost = digest_of(b"layer")
    assert source(tmp_path, lost=(lost,)) == ""
    sources.blob_file(str(tmp_path), lost).write_bytes(b"layer")
    assert source(tmp_path, lost=(lost,)) == sources.BLOBS
    assert source(tmp_path, lost=(lost, digest_of(b"another"))) == ""
    assert source(tmp_path) == "", "without the registry's manifest single blobs make no image"
    assert source(tmp_path, whole={IMAGE}, lost=(lost,)) == sources.CONTAINERD


class Registry:
    """A registry that still has an index, and takes what it is given."""

    def __init__(self, children: list[dict[str, str]]) -> None:
        self.index = Manifest("sha256:i", "index", json.dumps({"manifests": children}).encode())
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}

    def manifest(self, _repository: str, _reference: str) -> Manifest:
        return self.index

    def put_manifest(self, _repository: str, reference: str, media_type: str, body: bytes) -> str:
        self.manifests[reference] = (media_type, body)
        return reference

    def upload_blob(self, _repository: str, digest: str, content: Any, _size: int) -> bool:
        self.blobs[digest] = content.read()
        return True

    def close(self) -> None:
        pass


def test_single_blobs_go_back_as_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=str(tmp_path))
    Path(settings.content).mkdir(parents=True)
    layer, manifest = digest_of(b"layer"), digest_of(b"{}")
    for digest, content in ((layer, b"layer"), (manifest, b"{}")):
        sources.blob_file(settings.content, digest).write_bytes(content)
    registry = Registry([{"digest": manifest, "mediaType": "image manifest"}])
    one = Recovery(settings, None, Commands(), Clock(), {})
    monkeypatch.setattr(one, "client", lambda: registry)
    about = {"local": True, "manifest": True, "missing_blobs": [layer, manifest], "available": sources.BLOBS}
    facts = {
        "registry": "localhost:5000", "ping_error": "", "auth_error": "", "deviation": "", "repositories": [], "disk_full": "",
        "failing": [], "runner": {"kind": "unit", "name": "x"}, "images": {IMAGE: about},
    }  # fmt: skip
    push = plan.plan(facts)[-1]
    assert one.push_image(push) == {"from": sources.BLOBS, "bytes": 7}
    assert registry.blobs == {layer: b"layer"} and registry.manifests == {manifest: ("image manifest", b"{}")}

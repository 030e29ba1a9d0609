"""Images in tar files: both formats, damage, and a push that a registry double accepts."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import loading, sources, unit
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.archive import (
    OCI_MANIFEST,
    Archive,
    push,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import Manifest
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.refs import parse
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.whole import missing_blobs

LAYERS = [b"layer one" * 100, b"layer two"]


def sha(content: bytes) -> str:
    """Digest as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def write(path: Path, members: dict[str, bytes]) -> Path:
    """A tar with these members."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def docker(tmp_path: Path, layers: list[bytes] = LAYERS, diff_ids: list[bytes] = LAYERS) -> Path:
    """What docker save writes."""
    config = json.dumps({"rootfs": {"diff_ids": [sha(layer) for layer in diff_ids]}}).encode()
    entry = {"Config": "c.json", "RepoTags": ["localhost:5000/lab/x:1"], "Layers": ["0.tar", "1.tar"]}
    members = {f"{n}.tar": layer for n, layer in enumerate(layers)}
    return write(
        tmp_path / "d.tar", {"manifest.json": json.dumps([entry]).encode(), "c.json": config, **members}
    )


def layout(tmp_path: Path) -> Path:
    """An OCI layout with an index over two architectures."""
    blobs: dict[str, bytes] = {}

    def keep(content: bytes) -> dict[str, Any]:
        blobs[f"blobs/sha256/{sha(content)[7:]}"] = content
        return {"digest": sha(content), "size": len(content)}

    def manifest(architecture: str) -> dict[str, Any]:
        body = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": keep(architecture.encode()),
            "layers": [keep(LAYERS[0])],
        }
        return {
            **keep(json.dumps(body).encode()),
            "mediaType": OCI_MANIFEST,
            "platform": {"architecture": architecture},
        }

    index = json.dumps({"manifests": [manifest("arm64"), manifest("amd64")]}).encode()
    top = {"manifests": [{**keep(index), "mediaType": "application/vnd.oci.image.index.v1+json"}]}
    return write(tmp_path / "o.tar", {"index.json": json.dumps(top).encode(), **blobs})


class Registry:
    """A registry in memory, with the client's methods that a push needs."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, Manifest] = {}

    def upload_blob(self, _repository: str, digest: str, stream: Any, size: int) -> bool:
        if digest in self.blobs:
            return False
        content = stream.read()
        assert sha(content) == digest and len(content) == size
        self.blobs[digest] = content
        return True

    def put_manifest(self, _repository: str, reference: str, media_type: str, body: bytes) -> str:
        self.manifests[reference] = Manifest(sha(body), media_type, body)
        return sha(body)

    def manifest(self, _repository: str, reference: str) -> Manifest | None:
        return self.manifests.get(reference)

    def readable(self, _repository: str, digest: str, size: int) -> bool:
        return len(self.blobs.get(digest, b"")) == size


def test_a_docker_archive_is_pushed_and_the_second_push_sends_nothing(tmp_path: Path) -> None:
    registry, tar = Registry(), Archive(str(docker(tmp_path)))
    image = tar.image("lab/x:1")
    assert image.digest == Archive(str(docker(tmp_path))).image("lab/x:1").digest, (
        "the digest is deterministic"
    )
    sent = push(tar, image, registry, "lab/x", "1")
    assert sent is not None and sent >= sum(map(len, LAYERS))
    assert push(tar, image, registry, "lab/x", "1") == 0
    assert missing_blobs(registry, "lab/x", "1", {}) == []
    registry.blobs[sha(LAYERS[0])] = LAYERS[0][:-1]
    assert missing_blobs(registry, "lab/x", "1", {}) == [sha(LAYERS[0])], "cut off, and all of it is served"
    registry.blobs[sha(LAYERS[0])] = LAYERS[0]
    del registry.blobs[sha(LAYERS[1])]
    assert missing_blobs(registry, "lab/x", "1", {}) == [sha(LAYERS[1])]
    assert missing_blobs(registry, "lab/x", "2", {}) == ["2"]


def test_a_layout_gives_the_manifest_of_the_architecture_unchanged(tmp_path: Path) -> None:
    tar = Archive(str(layout(tmp_path)))
    amd, arm = tar.image("lab/x:1"), tar.image("lab/x:1", "arm64")
    assert sha(b"amd64") in [blob.digest for blob in amd.blobs]
    assert sha(b"arm64") in [blob.digest for blob in arm.blobs]
    push(tar, amd, Registry(), "lab/x", "1")


def test_a_file_that_holds_another_image_is_no_source(tmp_path: Path) -> None:
    """k3s's images directory holds pause.tar and the like: its only image is not the one that was lost."""
    docker(tmp_path)
    layout(tmp_path)
    lost, kept = parse("localhost:5000/shop/api:1.4"), parse("localhost:5000/lab/x:1")
    assert lost is not None and kept is not None
    assert sources.archive_with(lost, [str(tmp_path)]) == ""
    assert sources.archive_with(kept, [str(tmp_path)]) == str(tmp_path / "d.tar")
    for name in ("d.tar", "o.tar"):
        tar = Archive(str(tmp_path / name))
        assert tar.image("shop/api:1.4"), "who names the file says what is in it"
        with pytest.raises(HoldfastError, match="none of that name"):
            tar.image("shop/api:1.4", exact=True)


def test_a_damaged_layer_is_found_before_anything_is_pushed(tmp_path: Path) -> None:
    tar = Archive(str(docker(tmp_path, layers=[LAYERS[0], b"layer twX"])))
    with pytest.raises(HoldfastError, match="expected " + sha(LAYERS[1])):
        tar.image("lab/x:1")


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no tar")
    with pytest.raises(HoldfastError, match="not a readable tar"):
        Archive(str(tmp_path / "x"))
    with pytest.raises(HoldfastError, match="neither"):
        Archive(str(write(tmp_path / "y.tar", {"a": b"b"}))).image("a:1")


def test_which_images_are_pushed() -> None:
    images = loading.wanted([{"ref": "localhost:5000/lab/x:1", "src": "/x.tar"}])
    ref = images[0].ref
    known = {ref: {"digest": "d", "source": "s"}}
    table: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
        ({ref: "d"}, known, "s", ""),
        ({ref: None}, known, "s", "not in the registry"),
        ({ref: "other"}, known, "s", "another image"),
        ({ref: "d"}, known, "t", "file has changed"),
        ({ref: "d"}, {}, "s", "not known"),
    ]
    for digests, loaded, source, why in table:
        found = loading.plan(images, digests, loaded, {ref: source})
        assert (why in found[0].why) if why else not found
    torn = loading.plan(images, {ref: "d"}, known, {ref: "s"}, {ref})
    assert "cannot serve all of its blobs" in torn[0].why
    with pytest.raises(HoldfastError, match="tag"):
        loading.wanted([{"ref": "Not Valid", "src": "/x"}])


def test_the_unit_is_restarted_when_a_file_is_newer() -> None:
    good = unit.State("active", "enabled", False)
    assert unit.plan("r", good, {}, True, False) == []
    stale = unit.State("active", "enabled", False, ["/etc/x"])
    assert [a.kind for a in unit.plan("r", stale, {}, True, False)] == ["restart"]
    assert [a.kind for a in unit.plan("r", good, {"t": good}, False, False)] == ["disable_now"]
    fresh = unit.State("inactive", "", False)
    assert [a.kind for a in unit.plan("r", fresh, {"t": fresh}, True, True)] == [
        "daemon_reload",
        "enable",
        "restart",
        "enable_now",
    ]

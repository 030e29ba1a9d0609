# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An image inside a tar file, as `docker save`, `podman save` or skopeo write it: its manifest and its blobs.

A docker-archive has no manifest of its own. The one made here is deterministic (layers stay as they are in the tar), so
the same tar always yields the same digest and a second push is recognised as nothing new.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Blob:
    """A blob that lies in the tar under `member`."""

    digest: str
    size: int
    member: str


@dataclass(frozen=True)
class Image:
    """What has to be pushed: the blobs, then the manifest's exact bytes."""

    manifest: bytes
    media_type: str
    blobs: Sequence[Blob]

    @property
    def digest(self) -> str:
        """Digest under which every registry knows this image."""
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"


class Archive:
    """A tar file with one or more images. path: where it lies."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115  closed by close()
            self._names = {member.name: member for member in self._tar.getmembers()}
        except (tarfile.TarError, OSError) as failure:
            raise HoldfastError(
                f"is not a readable tar file: {failure}",
                field="src",
                value=path,
                fix="write it with docker save, podman save or skopeo copy",
            ) from failure

    def close(self) -> None:
        """Close the file."""
        self._tar.close()

    def open(self, blob: Blob) -> IO[bytes]:
        """A blob's bytes as a stream."""
        stream = self._tar.extractfile(self._names[blob.member])
        if stream is None:
            raise self._broken(f"{blob.member} is not a file")
        return stream

    def image(self, reference: str, architecture: str = "amd64", *, exact: bool = False) -> Image:
        """The image that the archive has under this reference, or its only one.

        reference: as in RepoTags; without a match an archive with a single image is taken as that image.
        exact: take no other name, for a file that nobody said to hold this image.
        """
        if "index.json" in self._names:
            return self._from_layout(reference, architecture, exact)
        if "manifest.json" in self._names:
            return self._from_docker(reference, exact)
        raise self._broken("it has neither manifest.json nor index.json")

    def _from_docker(self, reference: str, exact: bool) -> Image:
        entries = self._json("manifest.json")
        entry = self._choose(entries, [list(e.get("RepoTags") or []) for e in entries], reference, exact)
        config = self._blob(entry["Config"])
        layers = [self._blob(name) for name in entry["Layers"]]
        self._check_layers(entry["Config"], layers)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config.digest, "size": config.size},
            "layers": [
                {"mediaType": self._layer_type(layer), "digest": layer.digest, "size": layer.size}
                for layer in layers
            ],
        }
        body = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
        return Image(body, OCI_MANIFEST, [config, *layers])

    def _from_layout(self, reference: str, architecture: str, exact: bool) -> Image:
        entries = self._json("index.json")["manifests"]
        names = [[str(v) for v in (entry.get("annotations") or {}).values()] for entry in entries]
        entry = self._choose(entries, names, reference, exact)
        while entry.get("mediaType") == OCI_INDEX or "manifest.list" in entry.get("mediaType", ""):
            children = self._json(_layout_path(entry["digest"]))["manifests"]
            fitting = [c for c in children if (c.get("platform") or {}).get("architecture") == architecture]
            if not (fitting or children):
                raise self._broken("its index is empty")
            entry = (fitting or children)[0]
        body = self._bytes(_layout_path(entry["digest"]))
        found = json.loads(body.decode("utf-8"))
        wanted = [found["config"]["digest"], *(layer["digest"] for layer in found["layers"])]
        blobs = [self._blob(_layout_path(digest)) for digest in wanted]
        for digest, blob in zip(wanted, blobs):
            if blob.digest != digest:
                raise self._broken(f"blob {digest} has the content of {blob.digest}")
        return Image(body, found.get("mediaType") or entry["mediaType"], blobs)

    def _choose(
        self, entries: Sequence[Any], names: Sequence[Sequence[str]], reference: str, exact: bool
    ) -> Any:
        for entry, known in zip(entries, names):
            if any(name == reference or name.endswith(f"/{reference}") for name in known):
                return entry
        if len(entries) == 1 and not exact:
            return entries[0]
        listed = ", ".join(sorted(name for known in names for name in known)) or "without names"
        raise HoldfastError(
            f"{self._path} holds {len(entries)} images and none of that name ({listed})",
            field="ref",
            value=reference,
            fix="save one image per file",
        )

    def _check_layers(self, config: str, layers: Sequence[Blob]) -> None:
        """An uncompressed layer's digest is its diff_id, so a damaged one is found before it is pushed."""
        diff_ids = self._json(config).get("rootfs", {}).get("diff_ids") or []
        if len(diff_ids) != len(layers):
            raise self._broken(f"{len(layers)} layers, its configuration names {len(diff_ids)}")
        for layer, diff_id in zip(layers, diff_ids):
            if self._layer_type(layer) == OCI_LAYER and layer.digest != diff_id:
                raise self._broken(f"layer {layer.member} has digest {layer.digest}, expected {diff_id}")

    def _layer_type(self, layer: Blob) -> str:
        with self.open(layer) as stream:
            return f"{OCI_LAYER}+gzip" if stream.read(2) == b"\x1f\x8b" else OCI_LAYER

    def _blob(self, member: str) -> Blob:
        if member not in self._names:
            raise self._broken(f"{member} is missing")
        summed, size = hashlib.sha256(), 0
        with self.open(Blob("", 0, member)) as stream:
            for block in iter(lambda: stream.read(_CHUNK), b""):
                summed.update(block)
                size += len(block)
        return Blob(f"sha256:{summed.hexdigest()}", size, member)

    def _bytes(self, member: str) -> bytes:
        if member not in self._names:
            raise self._broken(f"{member} is missing")
        with self.open(Blob("", 0, member)) as stream:
            return stream.read()

    def _json(self, member: str) -> Any:
        try:
            return json.loads(self._bytes(member).decode("utf-8"))
        except ValueError as failure:
            raise self._broken(f"{member} is not JSON: {failure}") from failure

    def _broken(self, why: str) -> HoldfastError:
        return HoldfastError(
            f"is no complete image archive: {why}", field="src", value=self._path, fix="save the image again"
        )


def _layout_path(digest: str) -> str:
    algorithm, value = digest.split(":", 1)
    return f"blobs/{algorithm}/{value}"


def push(archive: Archive, image: Image, client: Any, repository: str, reference: str) -> Optional[int]:
    """Upload what the registry lacks, then the manifest; returns the number of bytes sent.

    client: a RegistryClient. The manifest comes last, so that a reader never sees an image with missing blobs.
    """
    sent = 0
    for blob in {blob.digest: blob for blob in image.blobs}.values():
        with archive.open(blob) as stream:
            if client.upload_blob(repository, blob.digest, stream, blob.size):
                sent += blob.size
    stored = client.put_manifest(repository, reference, image.media_type, image.manifest)
    if stored and stored != image.digest:
        raise HoldfastError(
            f"the registry stored {stored}, expected {image.digest}",
            field="ref",
            value=f"{repository}:{reference}",
        )
    return sent

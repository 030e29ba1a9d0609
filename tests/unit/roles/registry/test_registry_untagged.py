"""Which manifests the garbage collection may forget, on a small storage tree as the registry lays it out."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[4] / "roles/registry/files/registry_untagged.py"


def script() -> Any:
    """The script as a module."""
    loader = importlib.machinery.SourceFileLoader("registry_untagged", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Storage:
    """A registry's directory with one repository."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.base = root / "docker/registry/v2"
        self.manifests = self.base / "repositories/lab/x/_manifests"
        monkeypatch.setattr("sys.dont_write_bytecode", True)

    def manifest(self, age: float = 7200, **content: Any) -> str:
        """Store a manifest; returns its digest. age: seconds since it was pushed."""
        body = json.dumps(content).encode()
        value = hashlib.sha256(body).hexdigest()
        data = self.base / "blobs/sha256" / value[:2] / value / "data"
        data.parent.mkdir(parents=True)
        data.write_bytes(body)
        link = self.manifests / "revisions/sha256" / value / "link"
        link.parent.mkdir(parents=True)
        link.write_text(f"sha256:{value}")
        os.utime(link, (link.stat().st_atime, link.stat().st_mtime - age))
        return f"sha256:{value}"

    def tag(self, name: str, digest: str) -> None:
        """Let a tag lead to a manifest."""
        link = self.manifests / "tags" / name / "current/link"
        link.parent.mkdir(parents=True)
        link.write_text(digest)

    def collect(self) -> set[str]:
        """Run the script; digests of the manifests that are left."""
        assert script().main(str(self.root)) == 0
        return {f"sha256:{path.name}" for path in self.manifests.glob("revisions/sha256/*")}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """An empty storage."""
    return Storage(tmp_path, monkeypatch)


def test_only_what_no_tag_leads_to_is_forgotten(storage: Storage) -> None:
    parts = [storage.manifest(layers=[name]) for name in ("amd64", "arm64")]
    index = storage.manifest(manifests=[{"digest": digest} for digest in parts])
    plain, old, fresh = (
        storage.manifest(layers=["now"]),
        storage.manifest(layers=["then"]),
        storage.manifest(age=60, layers=["being pushed"]),
    )
    signature = storage.manifest(layers=["signed"], subject={"digest": plain})
    storage.tag("multi", index)
    storage.tag("1.0", plain)
    assert storage.collect() == {*parts, index, plain, fresh, signature}
    assert old not in storage.collect()


def test_what_the_api_deleted_does_not_stop_the_clean_up(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The registry removes a revision's link and leaves the directory; the collection removes the content later."""
    tagged, deleted, old = (storage.manifest(layers=[name]) for name in "abc")
    storage.tag("1", tagged)
    value = deleted.split(":")[1]
    (storage.manifests / "revisions/sha256" / value / "link").unlink()
    (storage.base / "blobs/sha256" / value[:2] / value / "data").unlink()
    assert old not in storage.collect()
    assert capsys.readouterr().err == ""


def test_a_repository_that_cannot_be_understood_is_left_alone(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    tagged, old = storage.manifest(layers=["a"]), storage.manifest(layers=["b"])
    storage.tag("1", tagged)
    value = tagged.split(":")[1]
    (storage.base / "blobs/sha256" / value[:2] / value / "data").write_text("torn")
    assert storage.collect() == {tagged, old}
    assert "lab/x: left alone" in capsys.readouterr().err

"""Image archives: what containerd and registries read."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from lab.archive import Image, write_archive, write_layer


def layer(folder: Path, files: dict[str, str]) -> Path:
    root = folder / "root"
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "link").symlink_to("target")
    tar = folder / "layer.tar"
    write_layer(root, tar)
    return tar


def test_layer_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    tars = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tars.append(layer(tmp_path / name, {"bin/b": "2", "bin/a": "1"}))
    assert tars[0].read_bytes() == tars[1].read_bytes()
    with tarfile.open(tars[0]) as archive:
        assert archive.getnames() == ["bin", "link", "bin/a", "bin/b"]
        assert archive.getmember("link").linkname == "target"


def test_archive_names_layers_by_digest_and_shares_them(tmp_path: Path) -> None:
    tar = layer(tmp_path, {"a": "1"})
    digest = hashlib.sha256(tar.read_bytes()).hexdigest()
    images = [
        Image("localhost:5000/lab/one:1", [tar], ["/a"], ["b"], "999:999", env={"X": "y"}, ports=[80]),
        Image("localhost:5000/lab/two:1", [tar]),
    ]
    write_archive(images, tmp_path / "images.tar")
    with tarfile.open(tmp_path / "images.tar") as archive:
        assert archive.getnames().count(f"{digest}/layer.tar") == 1
        manifest_file = archive.extractfile("manifest.json")
        assert manifest_file
        manifest = json.load(manifest_file)
        config_file = archive.extractfile(manifest[0]["Config"])
        assert config_file
        content = config_file.read()
    assert [entry["RepoTags"] for entry in manifest] == [
        ["localhost:5000/lab/one:1"],
        ["localhost:5000/lab/two:1"],
    ]
    assert manifest[0]["Config"] == f"{hashlib.sha256(content).hexdigest()}.json"
    config = json.loads(content)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    assert config["config"]["Entrypoint"] == ["/a"]
    assert config["config"]["User"] == "999:999"
    assert "X=y" in config["config"]["Env"]
    assert config["config"]["ExposedPorts"] == {"80/tcp": {}}

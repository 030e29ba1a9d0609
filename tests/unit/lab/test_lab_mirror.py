"""The mirror's server, host names and records."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cli, paths, record
from lab.errors import LabError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve a folder with a release in it."""
    release = tmp_path / "k3s" / "v1.36.3+k3s1"
    release.mkdir(parents=True)
    (release / "k3s").write_text("binary")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "lab.mirror_server", str(tmp_path), "127.0.0.1", str(port)]
    with subprocess.Popen(argv, cwd=paths.CHECKOUT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def test_plus_in_a_version_is_encoded_as_the_release_site_does(server: str) -> None:
    for version in ("v1.36.3%2Bk3s1", "v1.36.3+k3s1"):
        with urllib.request.urlopen(f"{server}/k3s/{version}/k3s", timeout=5) as answer:
            assert answer.read() == b"binary"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{server}/k3s/v1/k3s", timeout=5)


@pytest.mark.parametrize("name", ["", "Node", "1node", "node_1", "a" * 32, "../x"])
def test_bad_host_names_are_refused(name: str) -> None:
    with pytest.raises(LabError, match="host name"):
        record.check_name(name)


def test_names_of_a_count() -> None:
    assert cli.names("node", 3) == ["node", "node-2", "node-3"]


def test_record_survives_and_half_written_ones_count_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "HOSTS", tmp_path)
    monkeypatch.setattr(record, "host_state", lambda name: tmp_path / name)
    found = record.Record("node", 22001, "10.88.64.1", "image")
    found.save()
    assert record.load("node") == found
    assert record.all_records() == [found]
    assert found.mac() == "02:48:0a:58:40:01"
    (tmp_path / "node" / "host.json").write_text('{"name": "no')
    assert record.load("node") is None
    assert record.all_records() == []

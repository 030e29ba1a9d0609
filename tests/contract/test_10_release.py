"""The mirror, the binary and its first words."""

from __future__ import annotations

import re
import urllib.request

import pytest

from lab import mirror
from tests.contract.k3s import K3S, K3s

SITE = f"{{url}}/k3s/{mirror.VERSION.replace('+', '%2B')}"


@pytest.mark.parametrize("name", ["k3s", "k3s-airgap-images-amd64.tar.zst", "sha256sum-amd64.txt"])
def test_mirror_is_laid_out_like_the_release_site(k3s: K3s, name: str) -> None:
    with urllib.request.urlopen(f"{SITE.format(url=mirror.url())}/{name}", timeout=10) as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) > 100


def test_checksums_are_those_of_the_files_on_the_host(k3s: K3s) -> None:
    sums = k3s.host.run(["curl", "-fsS", f"{SITE.format(url=mirror.url())}/sha256sum-amd64.txt"]).out
    wanted = {name: digest for digest, name in (line.split() for line in sums.splitlines())}
    assert k3s.host.sudo(["sha256sum", K3S]).out.split()[0] == wanted["k3s"]


def test_version_is_two_lines(k3s: K3s) -> None:
    for flag in ("--version", "-v"):
        lines = k3s.cli(flag).out.splitlines()
        assert re.fullmatch(r"k3s version v\d+\.\d+\.\d+\+k3s\d+ \([0-9a-f]{8}\)", lines[0]), lines
        assert re.fullmatch(r"go version go1\.\d+(\.\d+)?", lines[1]), lines
    kubelet = k3s.get("node", k3s.node)["status"]["nodeInfo"]["kubeletVersion"]
    assert kubelet == lines[0].split()[2] == mirror.VERSION


def test_unknown_command_ends_with_3(k3s: K3s) -> None:
    answer = k3s.cli("nosuch", check=False)
    assert answer.rc == 3
    assert "No help topic for 'nosuch'" in answer.out + answer.err


def test_snapshots_are_refused_on_sqlite(k3s: K3s) -> None:
    answer = k3s.cli("etcd-snapshot", "ls", check=False)
    assert answer.rc == 1
    assert "level=fatal" in answer.err
    assert "etcd datastore disabled" in answer.err

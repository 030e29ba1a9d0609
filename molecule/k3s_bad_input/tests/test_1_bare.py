"""Bad input on a bare host: one clear message each, and nothing is replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from conftest import NAME

from lab import mirror
from lab.host import LabHost
from tests.scenario import until

SHORT = """
import http.server
class Short(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5000000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
http.server.HTTPServer(("127.0.0.1", 8099), Short).serve_forever()
"""


@contextmanager
def service(host: LabHost, name: str, *argv: str, port: int = 0) -> Iterator[None]:
    """A process on the host for the time of a test; port: where it listens before the test goes on."""
    host.sudo(["systemd-run", f"--unit={name}", "--collect", "--quiet", *argv])
    try:
        if port:
            until(f"{name} listens", lambda: host.sudo(["ss", "-Hltn", f"sport = :{port}"]).out.strip())
        yield
    finally:
        host.sudo(["systemctl", "stop", name], check=False)
        if port:
            until(f"{name} is gone", lambda: not host.sudo(["ss", "-Hltn", f"sport = :{port}"]).out.strip())


@contextmanager
def instead(host: LabHost, path: str, content: str) -> Iterator[None]:
    """Another content of a file for the time of a test; the file itself is not touched."""
    host.put("/var/tmp/instead", content.encode())
    host.sudo(["mount", "--bind", "/var/tmp/instead", path])
    try:
        yield
    finally:
        host.sudo(["umount", path])


def release(host: LabHost, directory: str) -> None:
    """The lab's release in a directory on the host."""
    base = f"{mirror.url()}/k3s/{mirror.VERSION.replace('+', '%2B')}"
    host.sudo(["mkdir", "-p", directory])
    for name in ("k3s", "k3s-airgap-images-amd64.tar.zst", "sha256sum-amd64.txt"):
        fetch = "import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])"
        host.sudo(["python3", "-c", fetch, f"{base}/{name}", f"{directory}/{name}"])


def test_one_tampered_byte(host: LabHost, refused: Callable[..., str]) -> None:
    release(host, "/var/tmp/release")
    flip = "f = open('/var/tmp/release/k3s', 'r+b'); f.seek(4096); b = f.read(1); f.seek(4096); f.write(bytes([b[0] ^ 1]))"
    host.sudo(["python3", "-c", flip])
    for pins in (
        {},
        {"k3s_binary_sha256": "", "k3s_images_sha256": ""},
    ):  # the pin notices, and so does the release's list
        output = refused(k3s_artifact_dir="/var/tmp/release", **pins)
        assert "/var/tmp/release/k3s" in output and "sha256 is" in output and "do not use this file" in output


def test_a_wrong_pin(refused: Callable[..., str]) -> None:
    output = refused(k3s_binary_sha256="0" * 64)
    assert f"expected {'0' * 64}" in output


def test_something_that_is_no_pin(refused: Callable[..., str]) -> None:
    assert "not a sha256 digest" in refused(k3s_binary_sha256="latest")


def test_a_truncated_download(host: LabHost, refused: Callable[..., str]) -> None:
    host.put("/var/tmp/short.py", SHORT.encode())
    with service(host, "short", "python3", "/var/tmp/short.py", port=8099):
        output = refused(k3s_artifact_url="http://127.0.0.1:8099")
    assert "1000 of 5000000 bytes" in output or "broke off after" in output


def test_another_version_than_named(refused: Callable[..., str], host: LabHost) -> None:
    release(host, "/var/tmp/release")
    assert "reports version v1.36.3+k3s1" in refused(
        k3s_artifact_dir="/var/tmp/release", k3s_version="v1.36.2+k3s1"
    )


def test_a_port_that_somebody_else_has(host: LabHost, refused: Callable[..., str]) -> None:
    with service(host, "squatter", "python3", "-m", "http.server", "6443", port=6443):
        output = refused()
    assert "TCP port 6443 is taken by python3 (PID" in output


def test_an_unknown_key(refused: Callable[..., str]) -> None:
    output = refused(k3s_extra_config={"flannel-backnd": "none"})
    assert "flannel-backnd" in output and "did you mean flannel-backend" in output


def test_a_disk_that_is_too_small(refused: Callable[..., str]) -> None:
    assert "k3s_min_free_mb asks for 99999999" in refused(k3s_min_free_mb=99999999)


def test_a_filesystem_that_fills_up(host: LabHost, refused: Callable[..., str]) -> None:
    host.sudo(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", "/usr/local/bin"])
    try:
        output = refused()
    finally:
        host.sudo(["umount", "/usr/local/bin"])
    assert "free on its filesystem" in output


def test_a_host_with_cgroup_v1_needs_the_opt_in(host: LabHost, refused: Callable[..., str]) -> None:
    if host.sudo(["stat", "-fc", "%T", "/sys/fs/cgroup"]).out.strip() == "cgroup2fs":
        pytest.skip("this machine runs cgroup v2: there is nothing to refuse")
    assert "k3s_allow_cgroup_v1: true" in refused(k3s_allow_cgroup_v1=False)


def test_a_name_that_kubernetes_refuses(refused: Callable[..., str]) -> None:
    assert "cannot be a node's name" in refused(k3s_node_name="Not_A_Name")


@pytest.mark.parametrize("extra", [{}, {"k3s_token": "t", "k3s_server_url": "http://10.0.0.1:6443"}])
def test_joining_needs_address_and_token(refused: Callable[..., str], extra: dict[str, str]) -> None:
    output = refused(**{"k3s_server_url": "https://10.0.0.1:6443", **extra})
    assert "needs https:// and the cluster's k3s_token" in output


def test_all_problems_come_at_once(refused: Callable[..., str]) -> None:
    output = refused(k3s_min_free_mb=99999999, k3s_min_memory_mb=99999999)
    assert f"2 problems on {NAME}" in output


def test_a_system_that_k3s_is_not_built_for(host: LabHost, refused: Callable[..., str]) -> None:
    alpine = 'ID=alpine\nVERSION_ID=3.22\nPRETTY_NAME="Alpine Linux v3.22"\n'
    with instead(host, "/etc/os-release", alpine):
        assert "Alpine Linux v3.22 is not a supported system" in refused()
    with instead(host, "/etc/os-release", 'ID=debian\nVERSION_ID="10"\nPRETTY_NAME="Debian 10"\n'):
        assert "Debian 10 is too old" in refused()


def test_another_kubernetes_on_the_host(host: LabHost, refused: Callable[..., str]) -> None:
    with service(host, "kubelet", "sleep", "3600"):
        assert "kubelet runs on this host" in refused()


def test_a_firewall_that_would_cut_pods_off(host: LabHost, refused: Callable[..., str]) -> None:
    host.put("/etc/ufw/ufw.conf", b"ENABLED=yes\n")
    try:
        output = refused()
    finally:
        host.sudo(["rm", "-r", "/etc/ufw"])
    assert "ufw is active and would cut pods off" in output and "ufw allow 6443/tcp" in output


def test_a_check_that_is_skipped_on_request_only_warns(host: LabHost, refused: Callable[..., str]) -> None:
    """Two problems, one of them ignored: the other one still stops the run."""
    with service(host, "kubelet", "sleep", "3600"):
        output = refused(k3s_preflight_skip=["runtimes"], k3s_min_free_mb=99999999)
    assert f"1 problem on {NAME}" in output

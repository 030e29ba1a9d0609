"""Ports and descriptors, on real sockets and a made-up /proc."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.node import api, host, process, verify
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0500000A:192B 00000000:0000 0A 00000000:00000081 00:00000000 00000000     0        0 41 1 0 100 0 0 10 0
   1: 0100007F:192C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0 100 0 0 10 0
   2: 0100007F:192B 0100007F:8888 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0 100 0 0 10 0
"""
WAITING = {"pid": 700, "start": 10, "comm": "k3s", "waiting": 129}
IDLE = {**WAITING, "waiting": 0}


def kubeconfig(folder: Path, server: str) -> Paths:
    """Paths whose kubeconfig names that server."""
    (folder / "k3s.yaml").write_text(f"clusters:\n- cluster:\n    server: {server}\n  name: default\n")
    return Paths(config_dir=str(folder), data_dir=str(folder))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(1)
        yield one


def test_waiting_connections_of_listening_sockets() -> None:
    assert host.listening(TABLE, (6443, 6444)) == {"socket:[41]": (6443, 129), "socket:[42]": (6444, 0)}


def test_a_listener_that_lets_connections_wait_hangs_and_is_not_cut_off() -> None:
    assert host.is_cut_off(IDLE, IDLE) and host.is_cut_off(WAITING, IDLE)
    assert not host.is_cut_off(WAITING, WAITING)
    assert not host.is_cut_off(IDLE, {**IDLE, "pid": 701}) and not host.is_cut_off(IDLE, None)


def test_a_hung_api_with_a_full_queue_is_no_filtered_one(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setattr(host, "knock", partial(host.knock, tries=1, timeout=0.5))
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    try:
        seen = host.ports(kubeconfig(tmp_path, f"https://127.0.0.1:{port}"))
    finally:
        for one in waiting:
            one.close()
    assert seen[str(port)]["pid"] == os.getpid() and seen[str(port)]["waiting"]
    assert "knock" not in seen


def test_the_knock_goes_where_the_kubeconfig_says(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    asked: list[Any] = []

    def lost(address: tuple[str, int]) -> str:
        asked.append(address)
        return "timed out"

    monkeypatch.setattr(host, "knock", lost)
    seen = host.ports(kubeconfig(tmp_path, f"https://10.0.0.5:{port}"))
    assert asked == [("10.0.0.5", port)]
    assert seen["knock"] == "timed out" and seen["address"] == ["10.0.0.5", port]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("https://127.0.0.1:6443", ("127.0.0.1", 6443)),
        ("https://[fd00::5]:7443", ("fd00::5", 7443)),
        ("https://api.lan", ("api.lan", 443)),
        ("nothing", ("127.0.0.1", 6443)),
    ],
)
def test_the_server_of_a_kubeconfig(tmp_path: Path, server: str, expected: tuple[str, int]) -> None:
    assert api.server_of(kubeconfig(tmp_path, server).kubeconfig) == expected
    assert api.server_of(str(tmp_path / "absent")) == api.OWN


def test_the_other_eyes_look_at_the_same_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def connection(host: str, port: int, **_options: Any) -> None:
        asked.append((host, port))
        raise OSError("enough")

    class Context:
        def load_cert_chain(self, *_files: str) -> None:
            """Nothing to load."""

    monkeypatch.setattr(verify.ssl, "create_default_context", lambda **_options: Context())
    monkeypatch.setattr(verify.http.client, "HTTPSConnection", connection)
    assert verify.over_https(kubeconfig(tmp_path, "https://10.0.0.5:7443"), "/readyz") == (0, "enough")
    assert asked == [("10.0.0.5", 7443)]


def test_a_descriptor_that_is_closed_meanwhile_hides_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "700" / "fd"
    folder.mkdir(parents=True)
    (folder / "3").symlink_to("socket:[41]")
    (folder / "4").write_text("as one that is gone: no link to read")
    (folder / "5").symlink_to("anon_inode:inotify")
    assert sorted(process.open_files(700, str(tmp_path))) == ["anon_inode:inotify", "socket:[41]"]
    assert process.open_files(701, str(tmp_path)) == []


@pytest.mark.parametrize(
    ("cgroup", "own"),
    [
        ("0::/system.slice/k3s.service\n", True),
        ("12:pids:/system.slice/k3s.service\n0::/\n", True),
        ("0::/system.slice/squatter.service\n", False),
        ("0::/kubepods/burstable/pod1/abc\n", False),
    ],
)
def test_a_process_is_known_by_the_control_group_of_its_service(
    tmp_path: Path, cgroup: str, own: bool
) -> None:
    (tmp_path / "700").mkdir()
    (tmp_path / "700" / "cgroup").write_text(cgroup)
    assert process.in_unit(700, "k3s", str(tmp_path)) is own
    assert not process.in_unit(701, "k3s", str(tmp_path))

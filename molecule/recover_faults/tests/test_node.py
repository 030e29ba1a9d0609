"""Faults of runtime, network, identity and host."""

from __future__ import annotations

import json
import time

import pytest
from certs import redated
from harness import (
    DATA,
    FULL,
    done,
    edit_config,
    healed,
    ids,
    killed_after,
    pid_of,
    recover,
    refused,
    restart,
    score,
    unit,
)

from lab.host import LabHost
from tests.scenario import until

META = f"{DATA}/agent/containerd/io.containerd.metadata.v1.bolt/meta.db"
ADMIN = f"{DATA}/server/tls/client-admin.crt"
# Reserves every address of the first pod network for sandboxes that never were, as unclean reboots do.
FILL = """
import pathlib
folder = sorted(p for p in pathlib.Path("/var/lib/cni/networks").iterdir() if p.is_dir())[0]
first = next(p.name for p in folder.iterdir() if p.name[0].isdigit() and p.name.count(".") == 3)
base = first.rsplit(".", 1)[0]
import os, time
for n in range(2, 255):
    path = folder / f"{base}.{n}"
    if not path.exists():
        path.write_text("f" * 64 + "\\neth0")
        os.utime(path, (time.time() - 900, time.time() - 900))
"""
LISTEN = """
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 6443))
s.listen()
time.sleep(600)
"""


def journal_has(host: LabHost, text: str) -> bool:
    """The present boot's journal of k3s holds the text in its newest lines."""
    argv = ["journalctl", "-u", "k3s", "-b", "-n", "200", "-o", "cat", "--no-pager"]
    return text in host.sudo(argv).out


def test_addresses_used_up(host: LabHost) -> None:
    host.sudo(["python3", "-c", FILL])
    before = unit(host, "MainPID")
    result = recover(host)
    healed(host, "CNI range full of stale allocations", result, "CNI-EXHAUSTED")
    assert done(result) == ["free_addresses"]
    assert unit(host, "MainPID") == before


@pytest.mark.req("SN-33", "SN-34", "SN-35")
def test_containerd_metadata_damaged(host: LabHost) -> None:
    host.sudo(["holdfast", "watch"], check=False)  # remembers the images, as the timer does
    host.sudo(["systemctl", "stop", "k3s"])
    host.sudo(["dd", "if=/dev/urandom", f"of={META}", "bs=8192", "count=1", "conv=notrunc"])
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    result = recover(host)
    healed(host, "containerd's meta.db damaged", result, "CRI-META-CORRUPT")
    assert "reset_containerd" in done(result)
    images = host.sudo(["k3s", "crictl", "images"]).out
    assert "mirrored-pause" in images, images


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_reset_killed_between_two_actions(host: LabHost, after: int) -> None:
    """Stop, end containers, killall, metadata aside, start: killed before any of them, the next run completes."""
    host.sudo(["holdfast", "watch"], check=False)
    host.sudo(["systemctl", "stop", "k3s"])
    host.sudo(["dd", "if=/dev/urandom", f"of={META}", "bs=8192", "count=1", "conv=notrunc"])
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    killed_after(host, after)
    result = recover(host)
    assert result["verified"], result["verdict"]
    assert "mirrored-pause" in host.sudo(["k3s", "crictl", "images"]).out


IMAGE = "localhost:5000/lab/redis:7"
SPACE = "fault-content"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "content", "namespace": SPACE},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "main",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "100000"],
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 999,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }
        ],
    },
}


def test_image_content_lost(host: LabHost) -> None:
    """The image is listed, its configuration is gone from the disk, as after a power cut: forgotten and pulled again."""
    crictl = ["/usr/local/bin/k3s", "crictl"]
    host.sudo([*crictl, "pull", IMAGE])
    shown = json.loads(host.sudo([*crictl, "inspecti", IMAGE]).out)
    digest = shown["status"]["id"].removeprefix("sha256:")
    blob = f"{DATA}/agent/containerd/io.containerd.content.v1.content/blobs/sha256/{digest}"
    kubectl = ["/usr/local/bin/k3s", "kubectl"]
    host.sudo([*kubectl, "create", "namespace", SPACE], check=False)
    try:
        host.sudo(["rm", blob])
        host.sudo([*kubectl, "apply", "-f", "-"], stdin=json.dumps(POD).encode())
        failed = ["get", "events", "-n", SPACE, "--field-selector", "reason=Failed"]
        until("the runtime misses the content", lambda: host.kubectl(failed)["items"])
        result = recover(host)
        healed(host, "an image's content lost", result, "IMAGE-CONTENT")
        assert done(result) == ["refetch_image"]
        phase = ["get", "pod", "content", "-n", SPACE]
        until("the pod runs", lambda: host.kubectl(phase)["status"]["phase"] == "Running")
    finally:
        host.sudo(
            [*kubectl, "delete", "namespace", SPACE, "--wait=true", "--timeout=120s"],
            check=False,
            timeout=150,
        )
        host.sudo([*crictl, "pull", IMAGE], check=False)


def test_wrong_token(host: LabHost) -> None:
    edit_config(host, "token: not-the-right-one\n")
    restart(host)
    until("the refusal", lambda: journal_has(host, "encrypted with different token"))
    result = recover(host)
    refused(host, "wrong token", result, "TOKEN-MISMATCH")
    told = next(one for one in result["remaining"] if one["id"] == "TOKEN-MISMATCH")
    assert "not-the-right-one" not in json.dumps(result)
    assert "systemctl restart k3s" in told["needs_person"]


@pytest.mark.slow
def test_unknown_argument(host: LabHost) -> None:
    edit_config(host, 'kube-apiserver-arg+: ["nosuchflag=1"]\n')
    restart(host)
    until("the complaint", lambda: journal_has(host, "nosuchflag"))
    time.sleep(1)
    result = recover(host)
    refused(host, "unknown argument of the API server", result, "BAD-ARGUMENT")


def test_cgroup_v1_refused(host: LabHost) -> None:
    if host.run(["stat", "--file-system", "--format", "%T", "/sys/fs/cgroup"]).out.strip() == "cgroup2fs":
        return  # here kubelet has nothing to refuse
    edit_config(host, 'kubelet-arg+: ["fail-cgroupv1=true"]\n')
    restart(host)
    until("the refusal", lambda: journal_has(host, "configured to not run on a host using cgroup v1"))
    result = recover(host)
    refused(host, "kubelet refuses cgroup v1", result, "CGROUP-V1")


@pytest.mark.slow
def test_port_taken(host: LabHost) -> None:
    host.sudo(["systemctl", "stop", "k3s"])
    host.put("/tmp/listen.py", LISTEN.encode())
    host.sudo(["systemd-run", "--collect", "--unit=squatter", "python3", "/tmp/listen.py"])
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    time.sleep(6)
    try:
        result = recover(host)
        refused(host, "port 6443 held by another process", result, "PORT-TAKEN")
        assert "python3" in next(one["evidence"] for one in result["findings"] if one["id"] == "PORT-TAKEN")
    finally:
        host.sudo(["systemctl", "stop", "squatter"])


def redate(host: LabHost, start_days: float, end_days: float) -> str:
    """Give the administrator's certificate other dates; returns the old one."""
    old = host.read(ADMIN)
    tls = f"{DATA}/server/tls"
    new = redated(
        old, host.read(f"{tls}/client-ca.crt"), host.read(f"{tls}/client-ca.key"), start_days, end_days
    )
    host.put(ADMIN, new, 0o644)
    return old


def test_certificate_expired(host: LabHost) -> None:
    redate(host, -400, -2)
    result = recover(host)
    assert result["verified"], (result["findings"], result["actions"])
    healed(host, "leaf certificate expired", result, "CERT-EXPIRED")
    assert done(result) == ["restart_unit"]


def test_certificate_from_the_future(host: LabHost) -> None:
    """The clock or the certificate is wrong: nothing is renewed while that is open."""
    old = redate(host, 700, 1000)
    try:
        before = host.read(ADMIN)
        result = recover(host)
        refused(host, "clock two years behind its certificates", result, "CLOCK-SKEW")
        assert host.read(ADMIN) == before
    finally:
        host.put(ADMIN, old.encode(), 0o644)


def test_node_password_changed(host: LabHost) -> None:
    path = "/etc/rancher/node/password"
    old = host.read(path)
    host.put(path, b"00000000000000000000000000000000\n", 0o600)
    restart(host)

    def seen() -> bool:
        events = host.kubectl(
            ["get", "events", "-A", "--field-selector", "reason=NodePasswordValidationFailed"]
        )
        return bool(events["items"])

    try:
        until("the event", lambda: unit(host, "ActiveState") == "active" and seen())
        result = recover(host)
        score("node password changed", result, "NODE-PASSWORD")
        assert "NODE-PASSWORD" in ids(result) and result["verified"], result["verdict"]
        assert done(result) == []
    finally:
        host.put(path, old.encode(), 0o600)
        restart(host)
        until("active", lambda: unit(host, "ActiveState") == "active")


def test_the_watch_heals_without_a_controller(host: LabHost) -> None:
    settings = {"watch": {"failures": 1, "probes": 1, "cooldown_seconds": 0, "max_per_hour": 100}}
    host.put("/tmp/watch.json", json.dumps(settings).encode())
    host.sudo(["kill", "-STOP", str(pid_of(host, r"^(/\S*/)?containerd( |$)"))])
    ran = host.sudo(["holdfast", "watch", "--settings", "/tmp/watch.json"], timeout=300)
    report = json.loads(ran.out)
    assert report["recovery"]["verified"] and "CRI-STOPPED" in report["recovery"]["found"], report


@pytest.mark.timeout(1200)
def test_no_false_alarm_under_load(host: LabHost) -> None:
    """A busy healthy host: not one action."""
    load = "while true; do k3s kubectl get pods -A >/dev/null 2>&1; dd if=/dev/zero of=/tmp/load bs=1M count=50 conv=fsync 2>/dev/null; done"
    host.sudo(["systemd-run", "--collect", "--unit=load", "sh", "-c", load])
    before = unit(host, "MainPID")
    try:
        end = time.monotonic() + (600 if FULL else 20)
        while time.monotonic() < end:
            report = json.loads(host.sudo(["holdfast", "watch"], check=False, timeout=200).out)
            assert "recovery" not in report, report
            time.sleep(1)
    finally:
        host.sudo(["systemctl", "stop", "load"])
    assert unit(host, "MainPID") == before

"""Faults, as a k3s takes them. Each test leaves a healthy server behind."""

from __future__ import annotations

import json
import time

from lab.proc import Result
from tests.contract.install import TOKEN
from tests.contract.k3s import DATA, DROPINS, K3S, K3s, eventually
from tests.contract.test_30_workload import SPACE

DB = f"{DATA}/server/db/state.db"
CERTIFICATE = f"{DATA}/server/tls/client-admin"


def containers(k3s: K3s) -> dict[str, str]:
    """Return the running containers of the suite's deployments: id by pod and name."""
    listed = json.loads(k3s.cli("crictl", "ps", "-o", "json").out)["containers"]
    return {
        f"{item['labels']['io.kubernetes.pod.name']}/{item['metadata']['name']}": item["id"]
        for item in listed
        if item["labels"]["io.kubernetes.pod.namespace"] == SPACE
        and not item["labels"]["io.kubernetes.pod.name"].startswith("static-")  # on its way out
    }


def shims(k3s: K3s) -> set[str]:
    """Return the process ids of the containers' shims."""
    pattern = f"{DATA}/data/[^/]*/bin/containerd-shim"
    return set(k3s.host.run(["pgrep", "-f", f"^{pattern}"], check=False).out.split())


def test_killed_server_comes_back_and_pods_stay(k3s: K3s) -> None:
    before = containers(k3s)
    assert len(before) >= 4
    restarts = int(k3s.unit("NRestarts"))
    main = k3s.unit("MainPID")
    k3s.host.sudo(["kill", "-9", main])
    eventually(lambda: int(k3s.unit("NRestarts")) > restarts, 20, "systemd restarts k3s")
    k3s.wait_ready(60)
    assert k3s.unit("MainPID") != main
    assert containers(k3s) == before


def test_stop_keeps_the_workload_and_start_renews(k3s: K3s) -> None:
    """One stop serves several looks: shims stay; kubeconfig, certificate and node password are dealt with at start."""
    before, running = containers(k3s), shims(k3s)
    k3s.stop()
    assert k3s.unit("ActiveState") == "inactive"
    assert shims(k3s) == running
    assert not k3s.host.run(["pgrep", "-x", "containerd"], check=False).out
    serial = _shorten(k3s)
    k3s.host.sudo(
        ["sh", "-c", "echo '#changed' >> /etc/rancher/k3s/k3s.yaml; chmod 0644 /etc/rancher/k3s/k3s.yaml"]
    )
    password = k3s.host.read("/etc/rancher/node/password")
    k3s.host.put("/etc/rancher/node/password", b"0123456789abcdef0123456789abcdef", 0o600)
    try:
        k3s.start()
        k3s.wait_ready(60)
        assert containers(k3s) == before
        assert k3s.host.sudo(["stat", "-c", "%a", "/etc/rancher/k3s/k3s.yaml"]).out.strip() == "600"
        assert "#changed" not in k3s.host.read("/etc/rancher/k3s/k3s.yaml")
        assert _serial(k3s) != serial, "a certificate that is about to expire is renewed at start"
        eventually(lambda: _password_event(k3s), 60, "event NodePasswordValidationFailed")
    finally:
        k3s.host.put("/etc/rancher/node/password", password.encode(), 0o600)


def _serial(k3s: K3s) -> str:
    return k3s.host.sudo(["openssl", "x509", "-noout", "-serial", "-in", f"{CERTIFICATE}.crt"]).out.strip()


def _shorten(k3s: K3s) -> str:
    """Sign the administrator's certificate anew for 30 days with its own CA; return its serial number."""
    script = (
        "set -eu; cd $(mktemp -d); "
        f"openssl req -new -key {CERTIFICATE}.key -subj '/O=system:masters/CN=system:admin' -out r.csr;"
        " printf 'keyUsage=critical,digitalSignature,keyEncipherment\\nextendedKeyUsage=clientAuth\\n' > ext;"
        f" openssl x509 -req -in r.csr -CA {DATA}/server/tls/client-ca.crt -CAkey {DATA}/server/tls/client-ca.key"
        f" -CAcreateserial -CAserial ./serial -days 30 -extfile ext -out {CERTIFICATE}.crt"
    )
    k3s.host.sudo(["sh", "-c", script])
    return _serial(k3s)


def _password_event(k3s: K3s) -> bool:
    events = k3s.get("events", "-A", "--field-selector", "reason=NodePasswordValidationFailed")["items"]
    return any("hash does not match" in event["message"] and event["type"] == "Warning" for event in events)


def test_wrong_settings_loop_and_say_why(k3s: K3s) -> None:
    k3s.stop()
    before = int(k3s.unit("NRestarts"))
    with k3s.dropin("90-wrong", "kube-apiserver-arg+: [nosuchflag=1]\n"):
        cursor = k3s.start()
        k3s.wait_line(cursor, "apiserver exited: unknown flag: --nosuchflag")
        # Over the same file: between two files k3s would find no fault and start.
        k3s.host.put(f"{DROPINS}/90-wrong.yaml", b"token: another-token\n", 0o600)
        k3s.wait_line(
            cursor,
            "failed to bootstrap cluster data: bootstrap data already found and encrypted with different token",
            40,
        )
        assert int(k3s.unit("NRestarts")) > before
        fatal = [
            line for line in k3s.journal(cursor).splitlines() if "encrypted with different token" in line
        ]
        assert 'level=fatal msg="Error: preparing server: ' in fatal[0]
        assert TOKEN not in k3s.journal(cursor)
    k3s.wait_ready(60)


def test_stopped_containerd_does_not_show_in_the_node(k3s: K3s) -> None:
    pid = k3s.host.run(["pgrep", "-x", "containerd"]).out.split()[0]
    k3s.host.sudo(["kill", "-STOP", pid])
    try:
        answer = k3s.host.sudo(
            ["timeout", "20", K3S, "crictl", "--timeout", "5s", "ps"], check=False, timeout=40
        )
        # Which end of the connection gives up first, and with which words, is a matter of milliseconds.
        assert answer.rc != 0, answer.out
        time.sleep(10)
        assert k3s.node_ready()
        assert k3s.unit("ActiveState") == "active"
    finally:
        k3s.host.sudo(["kill", "-CONT", pid])
    eventually(lambda: k3s.cli("crictl", "ps", check=False).rc == 0, 60, "crictl answers again")


def test_locked_database_stops_writes_only(k3s: K3s) -> None:
    lock = (
        "import sqlite3, sys, time; d = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None);"
        "d.execute('begin immediate'); print('locked', flush=True); time.sleep(30)"
    )
    k3s.host.sudo(["systemd-run", "-q", "--unit=contract-lock", "python3", "-c", lock, DB])
    said = ["journalctl", "-q", "-o", "cat", "-u", "contract-lock"]
    eventually(lambda: "locked" in k3s.host.sudo(said).out, 10, "the lock is held")

    def write(seconds: int) -> Result:
        command = [
            "annotate",
            "--overwrite",
            "ns",
            SPACE,
            f"contract/time={time.time()}",
            f"--request-timeout={seconds}s",
        ]
        return k3s.cli("kubectl", *command, check=False, timeout=seconds + 20)

    assert write(4).rc != 0
    assert k3s.cli("kubectl", "get", "ns", SPACE, "--request-timeout=10s").rc == 0
    assert k3s.unit("ActiveState") == "active"
    eventually(lambda: write(5).rc == 0, 90, "writes work again")


def test_damaged_database_hangs_in_activating(k3s: K3s) -> None:
    """No crash loop, no fatal line: the unit stays in activating, which a detector must look at."""
    k3s.stop()
    k3s.host.sudo(["cp", "-a", f"{DATA}/server/db", "/root/db-kept"])
    damage = (
        "import sys, sqlite3; p = sys.argv[1]; d = sqlite3.connect(p);"
        "d.execute('pragma wal_checkpoint(truncate)'); d.close();"
        "f = open(p, 'r+b'); n = f.seek(0, 2) // 4096; start, end = eval(sys.argv[2]);"
        "f.seek(start * 4096); f.write(b'\\xa5' * 4096 * (end - start))"
    )
    try:
        for pages, text in (
            ("(n // 4, n // 4 * 3)", "Startup VACUUM failed (non-fatal): database disk image is malformed"),
            ("(0, 1)", "Failed to ping database connection: file is not a database"),
        ):
            k3s.host.sudo(["python3", "-c", damage, DB, pages])
            cursor = k3s.start()
            k3s.wait_line(cursor, text, 40)
            time.sleep(5)
            assert (k3s.unit("ActiveState"), k3s.unit("SubState"), k3s.unit("NRestarts")) == (
                "activating",
                "start",
                "0",
            )
            assert "level=fatal" not in k3s.journal(cursor)
            _end(k3s)
            _restore(k3s)
    finally:
        _end(k3s)
        _restore(k3s)
        k3s.start()
        k3s.wait_ready(60)


def _end(k3s: K3s) -> None:
    k3s.host.sudo(["systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", "k3s"], check=False)
    k3s.host.sudo(["systemctl", "stop", "k3s"], timeout=180)
    k3s.host.sudo(["systemctl", "reset-failed", "k3s"], check=False)


def _restore(k3s: K3s) -> None:
    k3s.host.sudo(["sh", "-c", f"rm -rf {DATA}/server/db; cp -a /root/db-kept {DATA}/server/db"])

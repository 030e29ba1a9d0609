"""Bad input on a host that runs k3s: the crash loop is recognised, and the way back is one run. Then the uninstall."""

from __future__ import annotations

from conftest import NAME, play

from lab.host import LabHost


def pid(host: LabHost) -> str:
    """Main process of k3s."""
    return host.sudo(["systemctl", "show", "k3s", "--property=MainPID", "--value"]).out.strip()


def test_check_passes_on_the_bare_host_and_changes_nothing(host: LabHost) -> None:
    status, output = play("--tags", "k3s", "--check")
    assert status == 0, output[-3000:]
    assert not host.exists("/usr/local/bin/k3s")
    assert not host.exists("/etc/rancher/k3s/config.yaml")


def test_a_wrong_token_is_recognised_as_a_crash_loop(host: LabHost) -> None:
    status, output = play("--tags", "k3s")
    assert status == 0, output[-3000:]
    status, output = play("--tags", "k3s", k3s_token="canary-wrong-token")
    assert status != 0
    assert "crashes again and again" in output and "different token" in output
    assert "canary-wrong-token" not in output
    assert (
        host.sudo(["stat", "-c", "%a", "/etc/rancher/k3s/config.yaml.d/90-holdfast-secrets.yaml"]).out.strip()
        == "600"
    )
    status, output = play("--tags", "k3s")
    assert status == 0, output[-3000:]
    assert not host.exists("/etc/rancher/k3s/config.yaml.d/90-holdfast-secrets.yaml")


def test_a_tampered_upgrade_keeps_what_runs(host: LabHost) -> None:
    before, binary = pid(host), host.sudo(["sha256sum", "/usr/local/bin/k3s"]).out
    status, output = play("--tags", "k3s", k3s_binary_sha256="0" * 64)
    assert status != 0 and "nothing on the host was replaced" in output
    assert pid(host) == before
    assert host.sudo(["sha256sum", "/usr/local/bin/k3s"]).out == binary


def test_another_node_name_is_refused(host: LabHost) -> None:
    status, output = play("--tags", "k3s", k3s_node_name="renamed")
    assert status != 0 and f"set k3s_node_name: {NAME}" in output


def test_uninstall_needs_the_hosts_name_and_keeps_a_copy_and_the_volumes(host: LabHost) -> None:
    host.put("/var/lib/rancher/k3s/storage/pvc-1/data", b"precious")
    before = pid(host)
    status, output = play(playbook="holdfast.k3s.uninstall")
    assert status != 0 and f"k3s_uninstall_confirm: {NAME}" in output
    assert pid(host) == before
    status, output = play(playbook="holdfast.k3s.uninstall", k3s_uninstall_confirm=NAME)
    assert status == 0, output[-3000:]
    for path in (
        "/usr/local/bin/k3s",
        "/etc/systemd/system/k3s.service",
        "/var/lib/rancher/k3s/server",
        "/etc/rancher/k3s",
    ):
        assert not host.exists(path), path
    assert host.read("/var/lib/rancher/k3s/storage/pvc-1/data") == "precious"
    copies = host.sudo(["sh", "-c", "cd /var/lib/holdfast/final/*/ && find . -type f | sort"]).out.split()
    assert {"./state.db", "./var/lib/rancher/k3s/server/token", "./etc/rancher/k3s/config.yaml"} <= set(
        copies
    )
    assert host.sudo(["sh", "-c", "stat -c %a /var/lib/holdfast/final/*"]).out.strip() == "700"
    status, output = play(playbook="holdfast.k3s.uninstall")
    assert status == 0 and "changed=0" in output, "a second uninstall has nothing to do and asks for nothing"

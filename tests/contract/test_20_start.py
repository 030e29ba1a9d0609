"""What a start writes and says: files, modes, journal, merged configuration."""

from __future__ import annotations

import json

import pytest

from tests.contract.k3s import DATA, K3s, eventually

MODES = {
    "/etc/rancher/k3s/k3s.yaml": "600",
    "/etc/rancher/node/password": "600",
    f"{DATA}/server": "700",
    f"{DATA}/server/cred": "700",
    f"{DATA}/server/db": "700",
    f"{DATA}/server/token": "600",
    f"{DATA}/server/kine.sock": "600",
    f"{DATA}/server/manifests": "700",
    f"{DATA}/server/manifests/coredns.yaml": "600",
    f"{DATA}/server/manifests/local-storage.yaml": "600",
    f"{DATA}/server/manifests/metrics-server": "700",
    f"{DATA}/server/cred/admin.kubeconfig": "600",
    f"{DATA}/server/cred/controller.kubeconfig": "600",
    f"{DATA}/server/cred/scheduler.kubeconfig": "600",
    f"{DATA}/server/cred/supervisor.kubeconfig": "600",
    f"{DATA}/server/cred/passwd": "600",
    f"{DATA}/server/tls": "700",
    f"{DATA}/server/tls/server-ca.crt": "644",
    f"{DATA}/server/tls/server-ca.key": "600",
    f"{DATA}/server/tls/client-ca.crt": "644",
    f"{DATA}/server/tls/client-admin.crt": "644",
    f"{DATA}/server/tls/client-admin.key": "600",
    f"{DATA}/server/tls/serving-kube-apiserver.crt": "644",
    f"{DATA}/server/tls/serving-kube-apiserver.key": "600",
    f"{DATA}/server/tls/service.key": "600",
    f"{DATA}/agent": "700",
    f"{DATA}/agent/client-ca.crt": "600",
    f"{DATA}/agent/serving-kubelet.crt": "600",
    f"{DATA}/agent/serving-kubelet.key": "600",
    f"{DATA}/agent/kubelet.kubeconfig": "600",
    f"{DATA}/agent/kubeproxy.kubeconfig": "600",
    f"{DATA}/agent/etc/kubelet.conf.d": "700",
    f"{DATA}/agent/etc/crictl.yaml": "600",
    f"{DATA}/agent/pod-manifests": "750",
    f"{DATA}/agent/containerd/containerd.log": "644",
}


def test_modes_and_owners(k3s: K3s) -> None:
    answer = k3s.host.sudo(["stat", "-c", "%n %a %U:%G", *MODES], check=False)
    found = {line.split()[0]: line.split()[1:] for line in answer.out.splitlines()}
    wrong = {path: found.get(path) for path, mode in MODES.items() if found.get(path) != [mode, "root:root"]}
    assert not wrong, answer.err


@pytest.mark.parametrize(
    ("link", "target"),
    [
        (f"{DATA}/server/node-token", f"{DATA}/server/token"),
        (f"{DATA}/server/agent-token", f"{DATA}/server/token"),
    ],
)
def test_links(k3s: K3s, link: str, target: str) -> None:
    assert k3s.host.sudo(["readlink", link]).out.strip() == target


def test_bundle_is_unpacked_under_its_checksum(k3s: K3s) -> None:
    current = k3s.host.sudo(["readlink", "-f", f"{DATA}/data/current"]).out.strip()
    assert len(current.rsplit("/", 1)[1]) == 64
    found = k3s.host.sudo(["ls", f"{current}/bin"]).out.split()
    assert {"containerd", "containerd-shim-runc-v2", "crictl", "ctr", "kubectl"} <= set(found)


def test_token_names_the_server_ca(k3s: K3s) -> None:
    digest = k3s.host.sudo(["sha256sum", f"{DATA}/server/tls/server-ca.crt"]).out.split()[0]
    assert k3s.host.read(f"{DATA}/server/token").strip() == f"K10{digest}::server:contract-suite-token"


@pytest.mark.parametrize("last", ["k3s is up and running", "Running kube-proxy --", "Running kubelet --"])
def test_journal_tells_the_start_in_order(k3s: K3s, last: str) -> None:
    """The node's part starts while the server's part gets ready, so the last lines have no order among themselves."""
    journal = k3s.host.sudo(["journalctl", "-q", "-u", "k3s", "-o", "cat"]).out
    at = -1
    for text in (
        "Starting k3s v",
        "Running kube-apiserver --",
        "Running kube-scheduler --",
        "Running kube-controller-manager --",
        "Wrote kubeconfig /etc/rancher/k3s/k3s.yaml",
        last,
    ):
        at = journal.find(text, at + 1)
        assert at >= 0, f"'{text}' is missing or too early"


def test_unknown_key_is_a_warning(k3s: K3s) -> None:
    journal = k3s.host.sudo(["journalctl", "-q", "-u", "k3s", "-o", "cat"]).out
    line = next(line for line in journal.splitlines() if "some-unknown-key" in line)
    assert "level=warning" in line
    assert "Unknown flag --some-unknown-key found in config.yaml, skipping" in line


def test_configuration_is_merged(k3s: K3s) -> None:
    journal = k3s.host.sudo(["journalctl", "-q", "-u", "k3s", "-o", "cat"]).out
    apiserver = next(line for line in journal.splitlines() if "Running kube-apiserver --" in line)
    assert "--audit-log-maxage=7" in apiserver
    node = k3s.get("node", k3s.node)
    assert node["status"]["capacity"]["pods"] == "90", "kubelet-arg+ was not appended"
    assert node["metadata"]["labels"]["contract/a"] == "second", "a later drop-in replaces a key"
    served = k3s.host.sudo(
        [
            "openssl",
            "x509",
            "-noout",
            "-ext",
            "subjectAltName",
            "-in",
            f"{DATA}/server/tls/serving-kube-apiserver.crt",
        ],
        check=False,
    )
    dynamic = k3s.host.read(f"{DATA}/server/tls/dynamic-cert.json")
    assert "first.example" in served.out + dynamic and "second.example" in served.out + dynamic


def test_node_looks_like_k3s(k3s: K3s) -> None:
    meta = k3s.get("node", k3s.node)["metadata"]
    assert meta["labels"]["node-role.kubernetes.io/control-plane"] == "true"
    assert meta["labels"]["node.kubernetes.io/instance-type"] == "k3s"
    for name in ("hostname", "internal-ip", "node-args", "node-config-hash", "node-env"):
        assert f"k3s.io/{name}" in meta["annotations"]
    assert "contract-suite-token" not in json.dumps(meta["annotations"])


def test_kubelet_reads_its_drop_in(k3s: K3s) -> None:
    text = k3s.host.read(f"{DATA}/agent/etc/kubelet.conf.d/00-k3s-defaults.conf")
    assert "failSwapOn: false" in text
    assert "serializeImagePulls: false" in text
    live = json.loads(k3s.text("get", "--raw", f"/api/v1/nodes/{k3s.node}/proxy/configz"))["kubeletconfig"]
    assert live["failSwapOn"] is False
    assert live["maxPods"] == 90


def test_registries_become_hosts_toml(k3s: K3s) -> None:
    text = k3s.host.read(f"{DATA}/agent/etc/containerd/certs.d/docker.io/hosts.toml")
    assert '[host."http://mirror.example:5001/v2"]' in text
    assert '"^library/(.*)" = "mirrored/$1"' in text
    local = k3s.host.read(f"{DATA}/agent/etc/containerd/certs.d/localhost:5000/hosts.toml")
    assert "http://127.0.0.1:5000/v2" in local
    config = k3s.host.read(f"{DATA}/agent/etc/containerd/config.toml")
    assert "mirror.example:5001" in config and "contract-password" in config
    assert f"{DATA}/agent/etc/containerd/config-v3.toml.d/*.toml" in config


def test_datastore_is_sqlite_with_a_bootstrap_record(k3s: K3s) -> None:
    script = (
        "import sqlite3; d = sqlite3.connect('file:/var/lib/rancher/k3s/server/db/state.db?mode=ro', uri=True);"
        "print(d.execute('pragma quick_check').fetchone()[0], d.execute('pragma journal_mode').fetchone()[0],"
        " d.execute(\"select count(*) from kine where name like '/bootstrap/%'\").fetchone()[0] > 0,"
        " d.execute(\"select count(*) from kine where name like '/registry/minions/%'\").fetchone()[0] > 0)"
    )
    assert k3s.host.sudo(["python3", "-c", script]).out.split() == ["ok", "wal", "True", "True"]


def test_air_gap_images_are_there_and_pinned(k3s: K3s) -> None:
    images = json.loads(k3s.cli("crictl", "images", "-o", "json").out)["images"]
    by_tag = {tag: image for image in images for tag in image["repoTags"]}
    for name in (
        "mirrored-pause",
        "mirrored-coredns-coredns",
        "local-path-provisioner",
        "mirrored-metrics-server",
        "mirrored-library-busybox",
    ):
        found = [tag for tag in by_tag if f"rancher/{name}:" in tag]
        assert found, f"{name} was not imported"
        assert by_tag[found[0]]["pinned"] is True
    listed = k3s.cli("ctr", "images", "ls").out
    assert "io.cattle.k3s.pinned=pinned" in listed
    assert k3s.cli("ctr", "-n", "k8s.io", "images", "ls").out == listed
    assert "rancher/" not in k3s.cli("ctr", "--namespace", "elsewhere", "images", "ls").out


def test_add_ons(k3s: K3s) -> None:
    def ready() -> bool:
        names = ("coredns", "local-path-provisioner", "metrics-server")
        return all(
            k3s.get("deployment", "-n", "kube-system", n)["status"].get("readyReplicas") == 1 for n in names
        )

    eventually(ready, 120, "the packaged deployments are ready")
    addons = {
        item["metadata"]["name"] for item in k3s.get("addons.k3s.cattle.io", "-n", "kube-system")["items"]
    }
    assert {"coredns", "local-storage"} <= addons
    assert not [name for name in addons if "traefik" in name]
    assert not k3s.host.exists(f"{DATA}/server/manifests/traefik.yaml")
    assert k3s.get("service", "-n", "kube-system", "kube-dns")["spec"]["clusterIP"] == "10.43.0.10"
    storage = k3s.get("storageclass", "local-path")
    assert storage["provisioner"] == "rancher.io/local-path"
    assert storage["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"

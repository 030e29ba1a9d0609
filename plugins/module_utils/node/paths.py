"""Where a k3s server keeps its things. Every probe and action takes its paths from here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Locations on the host; the defaults are k3s's own.

    unit: systemd unit of the server, without `.service`.
    data_dir: k3s's data directory. config_dir: its configuration. binary: the k3s binary.
    killall: the script that ends every container and removes k3s's network leftovers.
    state_dir: where Holdfast keeps copies, incident bundles and its own journal.
    """

    unit: str = "k3s"
    data_dir: str = "/var/lib/rancher/k3s"
    config_dir: str = "/etc/rancher/k3s"
    binary: str = "/usr/local/bin/k3s"
    killall: str = "/usr/local/bin/k3s-killall.sh"
    run_dir: str = "/run/k3s"
    kubelet_dir: str = "/var/lib/kubelet"
    cni_networks: str = "/var/lib/cni/networks"
    node_password: str = "/etc/rancher/node/password"
    state_dir: str = "/var/lib/holdfast"

    @property
    def kubeconfig(self) -> str:
        return f"{self.config_dir}/k3s.yaml"

    @property
    def db_dir(self) -> str:
        return f"{self.data_dir}/server/db"

    @property
    def database(self) -> str:
        return f"{self.db_dir}/state.db"

    @property
    def token(self) -> str:
        return f"{self.data_dir}/server/token"

    @property
    def tls(self) -> str:
        return f"{self.data_dir}/server/tls"

    @property
    def agent(self) -> str:
        return f"{self.data_dir}/agent"

    @property
    def containerd(self) -> str:
        return f"{self.data_dir}/agent/containerd"

    @property
    def meta_db(self) -> str:
        return f"{self.containerd}/io.containerd.metadata.v1.bolt/meta.db"

    @property
    def containerd_log(self) -> str:
        return f"{self.containerd}/containerd.log"

    @property
    def socket(self) -> str:
        return f"{self.run_dir}/containerd/containerd.sock"

    @property
    def certs_d(self) -> str:
        return f"{self.agent}/etc/containerd/certs.d"

    @property
    def images(self) -> str:
        return f"{self.agent}/images"

    @property
    def aside(self) -> str:
        """Copies of damaged files; on the data directory's file system, so that a move is a rename."""
        return f"{self.data_dir}/holdfast-aside"


def tail(path: str, max_bytes: int = 65536) -> list[str]:
    """The last lines of a text file, at most `max_bytes` of it; an absent file has no lines."""
    try:
        with Path(path).open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - max_bytes))
            return handle.read(max_bytes).decode("utf-8", "replace").splitlines()
    except OSError:
        return []

"""Put k3s on a bare host: the files of contract section 1, from a mirror laid out like the release site."""

from __future__ import annotations

from lab import mirror
from tests.contract.k3s import DATA, K3S, K3s

TOKEN = "contract-suite-token"

UNIT = """\
[Unit]
Description=Lightweight Kubernetes
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-/etc/systemd/system/k3s.service.env
KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s server
"""

# The order of the drop-ins and "+" decide what holds in the end; test_20_start looks at it.
CONFIG = f"""\
node-name: {{node}}
token: {TOKEN}
write-kubeconfig-mode: "0600"
disable: [traefik, servicelb]
tls-san: [first.example]
kubelet-arg: ["fail-cgroupv1=false"]
node-label: ["contract/a=replaced"]
some-unknown-key: true
"""
DROPIN_A = 'kubelet-arg+: ["max-pods=90"]\ntls-san+: [second.example]\nnode-label: ["contract/a=first"]\n'
DROPIN_B = 'node-label: ["contract/a=second"]\nkube-apiserver-arg: ["audit-log-maxage=7"]\n'

REGISTRIES = """\
mirrors:
  localhost:5000:
    endpoint: ["http://127.0.0.1:5000"]
  docker.io:
    endpoint: ["http://mirror.example:5001"]
    rewrite: {"^library/(.*)": "mirrored/$1"}
configs:
  "mirror.example:5001":
    auth: {username: u, password: contract-password}
"""


def install(k3s: K3s) -> None:
    """Install and start k3s, and wait until its node is ready."""
    host = k3s.host
    site = f"{mirror.url()}/k3s/{mirror.VERSION.replace('+', '%2B')}"
    images = f"{DATA}/agent/images/k3s-airgap-images-amd64.tar.zst"
    fetch = (
        "set -eu; mkdir -p /etc/rancher/k3s/config.yaml.d; mkdir -p -m 0755 /var/lib/rancher/k3s;"
        f" mkdir -p -m 0700 {DATA}/agent; mkdir -p {DATA}/agent/images;"
        f' curl -fsS -o {K3S} "$1/k3s"; curl -fsS -o {images} "$1/k3s-airgap-images-amd64.tar.zst";'
        f' curl -fsS "$1/sha256sum-amd64.txt" > /root/sums; sed -i "s| k3s$| {K3S}|; s| k3s-airgap.*| {images}|" /root/sums;'
        f" sha256sum -c --quiet /root/sums; chmod 0755 {K3S};"
        " for link in kubectl crictl ctr; do ln -sf k3s /usr/local/bin/$link; done"
    )
    host.sudo(["sh", "-c", fetch, "sh", site], timeout=180)
    host.put("/etc/rancher/k3s/config.yaml", CONFIG.format(node=k3s.node).encode(), 0o600)
    host.put("/etc/rancher/k3s/config.yaml.d/10-a.yaml", DROPIN_A.encode(), 0o600)
    host.put("/etc/rancher/k3s/config.yaml.d/20-b.yml", DROPIN_B.encode(), 0o600)
    host.put("/etc/rancher/k3s/registries.yaml", REGISTRIES.encode(), 0o600)
    host.put("/etc/systemd/system/k3s.service", UNIT.encode())
    host.sudo(["systemctl", "daemon-reload"])
    host.sudo(["systemctl", "enable", "k3s"])
    k3s.start()
    k3s.wait_ready()

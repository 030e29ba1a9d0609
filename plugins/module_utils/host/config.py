# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""k3s's config.yaml from the role's inputs: pure merging, unknown keys refused with the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

# Keys that an agent and a server know. k3s itself only warns about others, so a typing error would go unnoticed.
AGENT_KEYS = frozenset(
    [
        "airgap-extra-registry",
        "alsologtostderr",
        "container-runtime-endpoint",
        "debug",
        "default-runtime",
        "disable-apiserver-lb",
        "disable-default-registry-endpoint",
        "docker",
        "enable-pprof",
        "flannel-cni-conf",
        "flannel-conf",
        "flannel-iface",
        "image-credential-provider-bin-dir",
        "image-credential-provider-config",
        "image-service-endpoint",
        "kube-proxy-arg",
        "kubelet-arg",
        "lb-server-port",
        "log",
        "node-external-dns",
        "node-external-ip",
        "node-internal-dns",
        "node-ip",
        "node-label",
        "node-name",
        "node-taint",
        "nonroot-devices",
        "pause-image",
        "prefer-bundled-bin",
        "private-registry",
        "protect-kernel-defaults",
        "resolv-conf",
        "rootless",
        "selinux",
        "server",
        "snapshotter",
        "token",
        "token-file",
        "v",
        "vmodule",
        "vpn-auth",
        "vpn-auth-file",
        "with-node-id",
    ]
)
SERVER_KEYS = (AGENT_KEYS - {"disable-apiserver-lb"}) | frozenset(
    [
        "advertise-address",
        "advertise-port",
        "agent-token",
        "agent-token-file",
        "cluster-cidr",
        "cluster-dns",
        "cluster-domain",
        "cluster-init",
        "datastore-cafile",
        "datastore-certfile",
        "datastore-endpoint",
        "datastore-keyfile",
        "default-local-storage-path",
        "disable",
        "disable-agent",
        "disable-apiserver",
        "disable-cloud-controller",
        "disable-controller-manager",
        "disable-etcd",
        "disable-helm-controller",
        "disable-kube-proxy",
        "disable-network-policy",
        "disable-scheduler",
        "egress-selector-mode",
        "embedded-registry",
        "etcd-arg",
        "etcd-disable-snapshots",
        "etcd-expose-metrics",
        "etcd-s3",
        "etcd-s3-access-key",
        "etcd-s3-bucket",
        "etcd-s3-bucket-lookup-type",
        "etcd-s3-config-secret",
        "etcd-s3-endpoint",
        "etcd-s3-endpoint-ca",
        "etcd-s3-folder",
        "etcd-s3-insecure",
        "etcd-s3-proxy",
        "etcd-s3-region",
        "etcd-s3-retention",
        "etcd-s3-secret-key",
        "etcd-s3-session-token",
        "etcd-s3-skip-ssl-verify",
        "etcd-s3-timeout",
        "etcd-snapshot-compress",
        "etcd-snapshot-dir",
        "etcd-snapshot-name",
        "etcd-snapshot-reconcile-interval",
        "etcd-snapshot-retention",
        "etcd-snapshot-schedule-cron",
        "flannel-backend",
        "flannel-external-ip",
        "flannel-ipv6-masq",
        "helm-job-image",
        "https-listen-port",
        "kine-tls",
        "kube-apiserver-arg",
        "kube-cloud-controller-manager-arg",
        "kube-controller-manager-arg",
        "kube-scheduler-arg",
        "secrets-encryption",
        "secrets-encryption-provider",
        "service-cidr",
        "service-node-port-range",
        "servicelb-namespace",
        "supervisor-metrics",
        "system-default-registry",
        "tls-san",
        "tls-san-security",
        "write-kubeconfig",
        "write-kubeconfig-group",
        "write-kubeconfig-mode",
        "write-kubeconfig-name",
    ]
)
# One-shot actions, which would reset the cluster at every start that reads them; and what would move k3s to where neither
# this collection's modules nor its recoveries look.
REFUSED_KEYS = {
    "bind-address": "leave it out, k3s then also listens on 127.0.0.1, where it is asked; keep others away with a firewall",
    "cluster-reset": "run it by hand, once: k3s server --cluster-reset",
    "cluster-reset-restore-path": "run it by hand, once, together with --cluster-reset",
    "data-dir": "leave it out; to use another disk mount it at /var/lib/rancher/k3s (a bind mount will do) before the first run",
    "config": "write the keys into k3s_extra_config",
}
ARG_KEYS = frozenset(
    [
        "etcd-arg",
        "kube-apiserver-arg",
        "kube-cloud-controller-manager-arg",
        "kube-controller-manager-arg",
        "kube-proxy-arg",
        "kube-scheduler-arg",
        "kubelet-arg",
    ]
)
# Kept out of config.yaml, so that its diff can be shown: they go into a drop-in of mode 0600.
SECRET_KEYS = frozenset(
    [
        "agent-token",
        "datastore-endpoint",
        "etcd-s3-access-key",
        "etcd-s3-secret-key",
        "etcd-s3-session-token",
        "token",
        "vpn-auth",
    ]
)


def check_keys(config: Mapping[str, Any], mode: str, field: str) -> None:
    """Refuse keys that k3s in this mode (`server` or `agent`) does not know.

    A trailing + (append, as k3s's own drop-ins have it) is refused too: the role writes one merged file.
    """
    known = SERVER_KEYS if mode == "server" else AGENT_KEYS
    for key in config:
        refusal = REFUSED_KEYS.get(_spelled(str(key)))
        if refusal:
            raise HoldfastError("does not belong into config.yaml", field=field, value=key, fix=refusal)
        if key not in known:
            raise HoldfastError(
                f"k3s {mode} has no such key", field=field, value=key, fix=_hint(str(key), mode, known)
            )


def _spelled(key: str) -> str:
    """The key as k3s writes it."""
    return key.rstrip("+").replace("_", "-").lower()


def _hint(key: str, mode: str, known: Iterable[str]) -> str:
    plain = _spelled(key)
    if plain in known:
        return f"write {plain}"
    if mode == "agent" and plain in SERVER_KEYS:
        return "it belongs to servers only, remove it"
    near = difflib.get_close_matches(plain, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "see k3s's list of options"


def merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`extra` over `base`. A key of extra wins; lists of component flags are merged flag by flag, extra's value wins."""
    merged = dict(base)
    for key, value in extra.items():
        if key in ARG_KEYS:
            merged[key] = merge_arguments(_as_list(base.get(key)), _as_list(value))
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return {key: value for key, value in merged.items() if value not in (None, [], "")}


def merge_arguments(base: Sequence[str], extra: Sequence[str]) -> list[str]:
    """Component flags (`name=value`): those of base whose name extra does not give, then extra's own, sorted by name."""
    given = {_flag(argument) for argument in extra}
    kept = [argument for argument in base if _flag(argument) not in given]
    return sorted([*kept, *(str(argument) for argument in extra)], key=_flag)


def split_secrets(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The part of the configuration that may be shown, and the part that must not."""
    shown = {key: value for key, value in config.items() if key not in SECRET_KEYS}
    return shown, {key: value for key, value in config.items() if key in SECRET_KEYS}


def _flag(argument: Any) -> str:
    return str(argument).lstrip("-").split("=", 1)[0]


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]

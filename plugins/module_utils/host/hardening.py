# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What each hardening control puts into k3s's configuration: pure functions that return plain objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

SERVER_DIR = "/var/lib/rancher/k3s/server"
ADMISSION_FILE = f"{SERVER_DIR}/psa.yaml"
AUDIT_POLICY_FILE = f"{SERVER_DIR}/audit.yaml"
AUDIT_LOG = f"{SERVER_DIR}/logs/audit.log"
KUBELET_FILE = "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/50-holdfast.conf"
NETWORK_POLICY_FILE = f"{SERVER_DIR}/manifests/holdfast-network-policies.yaml"
LABELS = {"app.kubernetes.io/managed-by": "holdfast", "app.kubernetes.io/part-of": "hardening"}

CIPHERS = [
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
]


def server_config(enabled: Collection[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of config.yaml that the enabled controls need.

    settings: `audit` with `max_age` (days), `max_backups`, `max_size` (MB), and `terminated_pods`.
    """
    config: dict[str, Any] = {}
    apiserver: list[str] = []
    if "secrets_encryption" in enabled:
        config["secrets-encryption"] = True
    if "event_rate_limit" in enabled:
        apiserver.append("enable-admission-plugins=NodeRestriction,EventRateLimit")
    if "pod_security" in enabled or "event_rate_limit" in enabled:
        apiserver.append(f"admission-control-config-file={ADMISSION_FILE}")
    if "audit_log" in enabled:
        audit = settings["audit"]
        apiserver += [
            f"audit-log-path={AUDIT_LOG}",
            f"audit-policy-file={AUDIT_POLICY_FILE}",
            f"audit-log-maxage={audit['max_age']}",
            f"audit-log-maxbackup={audit['max_backups']}",
            f"audit-log-maxsize={audit['max_size']}",
        ]
    if "token_extension" in enabled:
        apiserver.append("service-account-extend-token-expiration=false")
    if apiserver:
        config["kube-apiserver-arg"] = sorted(apiserver)
    if "pod_gc" in enabled:
        config["kube-controller-manager-arg"] = [f"terminated-pod-gc-threshold={settings['terminated_pods']}"]
    if "kernel_defaults" in enabled:
        config["protect-kernel-defaults"] = True
    return config


def admission(enabled: Collection[str], settings: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """The AdmissionConfiguration, None when no control needs one.

    EventRateLimit without limits of its own keeps the API server from starting, so both plugins share this file.
    settings: `pod_security` with enforce, audit, warn, exempt_namespaces; `event_limits` (list of limits).
    """
    plugins: list[dict[str, Any]] = []
    if "pod_security" in enabled:
        level = settings["pod_security"]
        defaults: dict[str, str] = {}
        for kind in ("enforce", "audit", "warn"):
            defaults.update({kind: level[kind], f"{kind}-version": "latest"})
        configuration = {
            "apiVersion": "pod-security.admission.config.k8s.io/v1",
            "kind": "PodSecurityConfiguration",
            "defaults": defaults,
            "exemptions": {
                "usernames": [],
                "runtimeClasses": [],
                "namespaces": list(level["exempt_namespaces"]),
            },
        }
        plugins.append({"name": "PodSecurity", "configuration": configuration})
    if "event_rate_limit" in enabled:
        limits = {
            "apiVersion": "eventratelimit.admission.k8s.io/v1alpha1",
            "kind": "Configuration",
            "limits": list(settings["event_limits"]),
        }
        plugins.append({"name": "EventRateLimit", "configuration": limits})
    if not plugins:
        return None
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": plugins,
    }


def audit_policy() -> dict[str, Any]:
    """Who did what, never the content: bodies of Secrets must not end up in a log. Pure noise is left out."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version"]},
            {
                "level": "None",
                "userGroups": ["system:nodes", "system:masters", "system:serviceaccounts:kube-system"],
                "verbs": ["get", "watch", "update", "patch"],
                "resources": [
                    {"group": "coordination.k8s.io", "resources": ["leases"]},
                    {"group": "", "resources": ["nodes/status", "endpoints"]},
                ],
            },
            {"level": "Metadata"},
        ],
    }


def kubelet(
    enabled: Collection[str], settings: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """The kubelet's drop-in; `extra` (fields of KubeletConfiguration) wins, maps are merged key by key.

    settings: `eviction_hard`, `system_reserved` (maps), `shutdown` with seconds and critical_seconds,
    `pod_pids`, `cgroup_v1` (bool: allow the kubelet on cgroup v1).
    """
    config: dict[str, Any] = {}
    if "eviction" in enabled:
        config["evictionHard"] = dict(settings["eviction_hard"])
        config["systemReserved"] = dict(settings["system_reserved"])
    if "graceful_shutdown" in enabled:
        config["shutdownGracePeriod"] = f"{settings['shutdown']['seconds']}s"
        config["shutdownGracePeriodCriticalPods"] = f"{settings['shutdown']['critical_seconds']}s"
    if "streaming_timeout" in enabled:
        config["streamingConnectionIdleTimeout"] = "5m"
    if "tls_ciphers" in enabled:
        config["tlsCipherSuites"] = list(CIPHERS)
        config["tlsMinVersion"] = "VersionTLS12"
    if "seccomp_default" in enabled:
        config["seccompDefault"] = True
    if "pod_pids_limit" in enabled:
        config["podPidsLimit"] = settings["pod_pids"]
    if settings.get("cgroup_v1"):
        config["failCgroupV1"] = False
    config = deep_merge(config, extra)
    if not config:
        return {}
    return {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **config}


def deep_merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`extra` over `base`, maps merged key by key, everything else replaced."""
    merged = dict(base)
    for key, value in extra.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = deep_merge(merged[key], value) if both else value
    return merged


def network_policies() -> list[dict[str, Any]]:
    """Policies for the namespaces that k3s itself owns; the applications' own belong to their roles."""
    policies = [
        _policy(
            "intra-namespace",
            namespace,
            {},
            [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}]}],
        )
        for namespace in ("kube-system", "kube-public", "default")
    ]
    dns = [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]
    everything: list[dict[str, Any]] = [{}]
    policies += [
        _policy("allow-dns", "kube-system", {"k8s-app": "kube-dns"}, dns),
        _policy("allow-metrics-server", "kube-system", {"k8s-app": "metrics-server"}, everything),
        _policy(
            "allow-svclb-traefik",
            "kube-system",
            {"svccontroller.k3s.cattle.io/svcname": "traefik"},
            everything,
        ),
        _policy("allow-traefik", "kube-system", {"app.kubernetes.io/name": "traefik"}, everything),
    ]
    return policies


def _policy(
    name: str, namespace: str, pods: Mapping[str, str], ingress: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(LABELS)},
        "spec": {
            "podSelector": {"matchLabels": dict(pods)} if pods else {},
            "policyTypes": ["Ingress"],
            "ingress": [dict(rule) for rule in ingress],
        },
    }

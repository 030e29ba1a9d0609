# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the cluster's and the applications' own messages mean: (cause, text, fix). Tables, no state."""

from __future__ import annotations

import re
from typing import Optional

Meaning = tuple[str, str, str]

_IMAGE = (
    (
        r"manifest unknown|not found|NotFound|does not exist",
        "image_missing",
        "the registry has no such image or tag",
        "push it, or correct the tag; registry_recover can re-push from the node's own store",
    ),
    (
        r"unauthorized|authentication required|denied|no basic auth|\b401\b|\b403\b",
        "image_auth",
        "the registry wants credentials",
        "correct the pull secret or registries.yaml",
    ),
    (
        r"toomanyrequests|\b429\b|rate limit",
        "image_rate_limit",
        "the registry limits the rate",
        "wait, or mirror the image locally",
    ),
    (
        r"x509|certificate|tls:|server gave HTTP response to HTTPS",
        "image_tls",
        "TLS to the registry fails",
        "correct the endpoint's scheme or CA in registries.yaml",
    ),
    (
        r"no such host|server misbehaving|i/o timeout.*:53",
        "image_dns",
        "the registry's name cannot be resolved",
        "correct the name, or the host's DNS",
    ),
    (
        r"connection refused|connection reset|i/o timeout|network is unreachable|EOF",
        "registry_down",
        "the registry does not answer",
        "start the registry; holdfast.k3s.recover_image_pull does",
    ),
    (
        r"no space left on device",
        "disk_full",
        "the disk of the images is full",
        "free space; holdfast.k3s.health shows what uses it",
    ),
    (
        r"no match for platform|exec format",
        "image_arch",
        "there is no image for this machine's architecture",
        "push an image of this architecture",
    ),
)
_SCHEDULING = (
    (
        r"Insufficient memory",
        "memory",
        "no node has enough memory left for its request",
        "one replica and no autoscaling first, then lower memory requests in the inventory",
    ),
    (
        r"Insufficient cpu",
        "cpu",
        "no node has enough CPU left for its request",
        "lower CPU requests or replicas in the inventory",
    ),
    (
        r"Insufficient ephemeral-storage",
        "disk",
        "no node has enough ephemeral storage left",
        "free disk space",
    ),
    (
        r"Too many pods",
        "too_many_pods",
        "the node's limit of pods is reached",
        "reap finished pods, or raise max-pods",
    ),
    (
        r"untolerated taint|had taint",
        "taint",
        "the node has a taint that it does not tolerate",
        "see the node's conditions: pressure and not-ready set taints",
    ),
    (
        r"persistentvolumeclaim|unbound immediate|volume node affinity",
        "pvc",
        "its claim cannot be used",
        "see the claim's events",
    ),
    (r"free ports", "host_port", "its host port is taken", "free the port, or remove hostPort"),
    (
        r"node affinity|node selector|didn't match",
        "affinity",
        "no node matches its selector or affinity",
        "correct the selector, or label the node",
    ),
)
_LOG = (
    (
        r"(?i)(could not connect to server|connection refused|no route to host|could not translate host name"
        r"|ECONNREFUSED|ENOTFOUND|Name or service not known).*",
        "database",
        "it cannot connect to something that it needs",
        "bring the database or service back; the pod heals by itself",
    ),
    (
        r"(?i)(password authentication failed|role \"[^\"]+\" does not exist|database \"[^\"]+\" does not exist"
        r"|too many (clients|connections)|remaining connection slots).*",
        "database",
        "the database refuses it",
        "correct credentials or the connection pool's size",
    ),
    (
        r"(?i)(KeyError: '[A-Z][A-Z0-9_]+'|environment variable|env(ironment)? var"
        r"|[A-Z][A-Z0-9_]{2,} (is )?(not set|is required|must be set|is missing)|missing required).*",
        "env_missing",
        "an environment variable is missing",
        "set it in the inventory and deploy",
    ),
    (
        r"(?i)(address already in use|EADDRINUSE|bind: .*in use|port is already allocated).*",
        "port_conflict",
        "its port is taken",
        "give it a port of its own",
    ),
    (r"(?i)(no space left on device|ENOSPC).*", "disk_full", "a disk is full", "free space"),
    (
        r"(?i)(permission denied|EACCES|read-only file system).*",
        "permission",
        "it may not read or write a file",
        "see fsGroup, the volume's owner, and readOnlyRootFilesystem",
    ),
)


def image(name: str, reason: str, message: str) -> Meaning:
    """Why an image does not come. reason: the kubelet's word. message: whatever the kubelet and containerd said."""
    if reason == "InvalidImageName":
        return "image_name", f"{name!r} is not a valid image name", "correct the image in the inventory"
    if reason == "ErrImageNeverPull":
        return (
            "image_missing",
            f"{name} is not on the node and its policy forbids pulling",
            "load it, or change imagePullPolicy",
        )
    for pattern, cause, text, fix in _IMAGE:
        if re.search(pattern, message):
            return cause, f"cannot pull {name}: {text}", fix
    return (
        "image_pull",
        f"cannot pull {name}: {message.strip()[:200] or reason}",
        "see the pull's message; registry_info tests the path",
    )


def scheduling(message: str) -> Meaning:
    """Why the scheduler finds no node."""
    for pattern, cause, text, fix in _SCHEDULING:
        if re.search(pattern, message):
            return f"unschedulable_{cause}", f"cannot be scheduled: {text}", fix
    return "unschedulable", f"cannot be scheduled: {message[:300]}", "see the scheduler's message"


def sandbox(message: str) -> Meaning:
    """Why the pod's sandbox (network and namespaces) cannot be made."""
    if "no IP addresses available" in message:
        return (
            "cni_full",
            "no pod address is left: stale allocations after unclean reboots",
            "holdfast.k3s.recover_k3s clears them",
        )
    if "DeadlineExceeded" in message or "context deadline exceeded" in message:
        return (
            "runtime",
            "the container runtime does not answer in time",
            "holdfast.k3s.recover_k3s restarts it",
        )
    return (
        "sandbox",
        f"its sandbox cannot be created: {message[:300]}",
        "see the k3s journal; holdfast.k3s.recover_k3s knows the usual causes",
    )


def creation(message: str) -> Meaning:
    """Why an owner cannot create a pod."""
    found = re.search(r'failed calling webhook "([^"]+)".*', message)
    if found:
        return (
            "webhook",
            f"admission webhook {found.group(1)} does not answer, so no pod can be created: {message[found.start() : found.start() + 300]}",
            "bring the webhook's service back, or remove its configuration if its owner is gone for good",
        )
    found = re.search(r'admission webhook "([^"]+)" denied the request: (.*)', message)
    if found:
        return (
            "webhook_denied",
            f"webhook {found.group(1)} denies it: {found.group(2)[:200]}",
            "change what it objects to",
        )
    found = re.search(r"exceeded quota: ([^,]+), requested: ([^,]+(?:,[^,:]+=[^,]+)*), used: .*", message)
    if "exceeded quota" in message:
        quota = f" {found.group(1)} (requested {found.group(2)})" if found else ""
        return (
            "quota",
            f"the namespace's quota{quota} is used up",
            "delete finished pods, lower requests, or raise the quota",
        )
    if "violates PodSecurity" in message:
        return (
            "pod_security",
            f"Pod Security forbids it: {message[message.find('violates') :][:300]}",
            "correct its securityContext",
        )
    if "serviceaccount" in message and "not found" in message:
        return (
            "service_account",
            f"its service account is missing: {message[:200]}",
            "deploy the service account",
        )
    return "create", f"its owner cannot create it: {message[:300]}", "see the owner's events"


def config_fix(message: str) -> str:
    """What to do about a missing Secret or ConfigMap, or a volume."""
    found = re.search(r'(secret|configmap) "([^"]+)" not found', message, re.IGNORECASE)
    if found:
        return f"deploy the {found.group(1).lower()} {found.group(2)}"
    if "couldn't find key" in message:
        return "add the missing key to the Secret or ConfigMap"
    return "correct what the message names and deploy"


def eviction_fix(message: str) -> str:
    """What to do about an evicted pod, by the resource that ran short."""
    if "ephemeral-storage" in message or "disk" in message or "inode" in message:
        return "delete it (its owner has replaced it) and free disk space: holdfast.k3s.health names the consumers"
    if "memory" in message:
        return "delete it (its owner has replaced it) and give the node room: holdfast.k3s.recover_memory names the consumers"
    return "delete it; its owner has replaced it"


def from_log(log: str) -> Optional[Meaning]:
    """The cause that the last lines of a log tell, if they tell one; newest line first."""
    for line in reversed(log.splitlines()[-50:]):
        for pattern, cause, text, fix in _LOG:
            found = re.search(pattern, line)
            if found:
                return cause, f"{text} ({line.strip()[:160]})", fix
    return None

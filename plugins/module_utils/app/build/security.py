# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Security contexts and the Pod Security level that a set of pods needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LEVELS = ("restricted", "baseline", "privileged")
_RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")


def pod_context(security: Mapping[str, Any]) -> dict[str, Any]:
    """Pod level: non-root, default seccomp profile, the given ids."""
    context: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if security.get("run_as_root"):
        context["runAsUser"] = 0
    else:
        context["runAsNonRoot"] = True
        for field, key in (("run_as_user", "runAsUser"), ("run_as_group", "runAsGroup")):
            if security.get(field) is not None:
                context[key] = int(security[field])
    if security.get("fs_group") is not None:
        context.update(fsGroup=int(security["fs_group"]), fsGroupChangePolicy="OnRootMismatch")
    return context


def container_context(security: Mapping[str, Any], **extra: Any) -> dict[str, Any]:
    """Container level: no escalation; every capability dropped unless the container is root inside.

    A root image (a supervisor that changes users) needs its default capabilities, so those stay for it.
    """
    context: dict[str, Any] = {"allowPrivilegeEscalation": False}
    if not security.get("run_as_root"):
        context["capabilities"] = {"drop": ["ALL"]}
    if security.get("read_only_root"):
        context["readOnlyRootFilesystem"] = True
    if security.get("privileged"):
        context = {"privileged": True}
    context.update(extra)
    return context


def level_of(spec: Mapping[str, Any]) -> str:
    """The strictest Pod Security level that admits this pod spec."""
    containers = [*spec.get("initContainers", []), *spec.get("containers", [])]
    contexts = [c.get("securityContext") or {} for c in containers]
    volumes = spec.get("volumes", [])
    if (
        any(context.get("privileged") for context in contexts)
        or any(spec.get(field) for field in _HOST_FIELDS)
        or any("hostPath" in volume for volume in volumes)
        or any((c.get("capabilities") or {}).get("add") for c in contexts)
    ):
        return "privileged"
    pod = spec.get("securityContext") or {}
    restricted = all(_restricted(pod, context) for context in contexts) and all(
        set(volume) - {"name"} <= _RESTRICTED_VOLUMES for volume in volumes
    )
    return "restricted" if restricted else "baseline"


def _restricted(pod: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    seccomp = (context.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    return (
        context.get("runAsNonRoot", pod.get("runAsNonRoot")) is True
        and context.get("runAsUser", pod.get("runAsUser")) != 0
        and context.get("allowPrivilegeEscalation") is False
        and "ALL" in (context.get("capabilities") or {}).get("drop", [])
        and seccomp in ("RuntimeDefault", "Localhost")
    )


def strictest(specs: Iterable[Mapping[str, Any]]) -> str:
    """The level for a namespace that has to admit all of these pods."""
    return max((level_of(spec) for spec in specs), key=LEVELS.index, default="restricted")

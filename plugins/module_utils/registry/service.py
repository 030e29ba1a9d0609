"""How the registry of this host runs: a systemd unit, a container of podman or Docker, or a pod."""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused


def unit_state(commands: Commands, unit: str) -> dict[str, str]:
    """LoadState, ActiveState and SubState of a unit."""
    argv = ["systemctl", "show", unit, "--property", "LoadState,ActiveState,SubState"]
    try:
        out = commands.run(argv, timeout=10).out
    except HoldfastError:
        return {}
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def is_registry(name: str, image: str) -> bool:
    """Whether a container looks like an image registry."""
    last = image.split("@")[0].rpartition("/")[2].partition(":")[0]
    return last in ("registry", "distribution") or name.strip("/") == "registry"


def rows(out: str) -> list[dict[str, Any]]:
    """What an engine lists: podman prints one array, Docker one object a line; what is no JSON is no container."""
    for texts in ([out], out.splitlines()):
        found: list[Any] = []
        for text in texts:
            with contextlib.suppress(ValueError):
                parsed = json.loads(text)
                found += parsed if isinstance(parsed, list) else [parsed]
        if found:
            break
    return [row for row in found if isinstance(row, dict)]


def containers(commands: Commands, engine: str) -> list[dict[str, str]]:
    """Registry containers of an engine, stopped ones included."""
    if not shutil.which(engine):
        return []
    # docker 20.10 takes the word json for a template and prints it
    form = "{{json .}}" if engine == "docker" else "json"
    try:
        out = commands.run([engine, "ps", "--all", "--format", form], timeout=20).out
    except HoldfastError:
        return []
    found = []
    for row in rows(out):
        names = row.get("Names") or ""
        name = names[0] if isinstance(names, list) else str(names)
        if is_registry(name, str(row.get("Image", ""))):
            found.append({"name": name, "state": str(row.get("State", "")), "engine": engine})
    return found


def pods(items: list[dict[str, Any]], port: int) -> list[dict[str, str]]:
    """Pods that publish the registry's port on the host."""
    found = []
    for pod in items:
        spec = pod.get("spec", {})
        for container in spec.get("containers") or []:
            ports = container.get("ports") or []
            published = any(p.get("hostPort") == port for p in ports) or (
                spec.get("hostNetwork") and any(p.get("containerPort") == port for p in ports)
            )
            if published and is_registry(container.get("name", ""), container.get("image", "")):
                meta = pod["metadata"]
                found.append({"name": f"{meta['namespace']}/{meta['name']}", "uid": meta["uid"]})
    return found


def find(commands: Commands, unit: str, port: int, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Who runs the registry: kind `unit`, `podman`, `docker`, `pod` or `nobody`, its name and its state."""
    state = unit_state(commands, unit)
    if state.get("LoadState") == "loaded":
        return {"kind": "unit", "name": unit, "state": state.get("ActiveState", "")}
    for engine in ("podman", "docker"):
        for one in containers(commands, engine):
            return {"kind": engine, "name": one["name"], "state": one["state"]}
    for one in pods(items, port):
        return {"kind": "pod", "name": one["name"], "uid": one["uid"], "state": "pod"}
    return {"kind": "nobody", "name": "", "state": ""}


def restart(commands: Commands, runner: dict[str, Any]) -> None:
    """Restart the registry in the way in which it runs."""
    kind, name = runner["kind"], runner["name"]
    if kind == "unit":
        commands.run(["systemctl", "reset-failed", name], timeout=20, check=False)
        commands.run(["systemctl", "restart", name], timeout=60)
    elif kind in ("podman", "docker"):
        commands.run([kind, "restart", name], timeout=60)
    else:
        raise Refused(
            "nothing on this host runs the registry" if kind == "nobody" else "the registry is a pod",
            field="registry", value=name or "none",
            fix="install it with the role registry" if kind == "nobody" else "recover its pod (playbook recover_pods)",
        )  # fmt: skip

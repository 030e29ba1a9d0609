# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Init containers that wait for a dependency, and fail when it does not come in time.

The pod stays in Init meanwhile: the service itself never crash-loops because its database is late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.security import container_context
from ansible_collections.holdfast.k3s.plugins.module_utils.app.data.normalize import host_of

_SCRIPT = """\
host=$1 port=$2 seconds=$3
end=$(( $(date +%s) + seconds ))
try() {
  if command -v nc >/dev/null 2>&1; then nc -w 2 "$host" "$port" </dev/null >/dev/null 2>&1
  elif command -v bash >/dev/null 2>&1; then timeout 3 bash -c ': </dev/tcp/'"$host/$port" 2>/dev/null
  else echo "this image has neither nc nor bash: set wait.image or wait.command" >&2; exit 2; fi
}
until try; do
  if [ "$(date +%s)" -ge "$end" ]; then echo "$host:$port did not answer within $seconds s" >&2; exit 1; fi
  sleep 1
done
echo "$host:$port answers"
"""
RESOURCES = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}


def target(app: Mapping[str, Any], wait: Mapping[str, Any]) -> tuple[str, int]:
    """(host, port) of what is waited for: a data service, a service, or a host and port given directly."""
    name = wait.get("service", "")
    if name in app["data_services"]:
        service = app["data_services"][name]
        return host_of(service), int(wait.get("port") or service["port"])
    if name in app["services"]:
        ports = app["services"][name]["ports"]
        return name, int(wait.get("port") or (ports[0]["port"] if ports else 0))
    return str(wait.get("host", name)), int(wait.get("port", 0))


def init_containers(app: Mapping[str, Any], owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One init container per dependency, in the order of the inventory."""
    found: list[dict[str, Any]] = []
    for number, one in enumerate(_one(app, owner, wait) for wait in owner["wait_for"]):
        # Two ports of one service: the API refuses two containers of one name.
        if one["name"] in [other["name"] for other in found]:
            one["name"] = f"{one['name'][:60]}-{number}"
        found.append(one)
    return found


def _filled(part: str, words: Mapping[str, str]) -> str:
    """Only the three words: other braces belong to the command, as awk's do."""
    for word, value in words.items():
        part = part.replace(f"{{{word}}}", value)
    return part


def _one(app: Mapping[str, Any], owner: Mapping[str, Any], wait: Mapping[str, Any]) -> dict[str, Any]:
    host, port = target(app, wait)
    words = {"host": host, "port": str(port), "seconds": str(wait["timeout"])}
    settings = app["wait"]
    if settings["command"]:
        command = [_filled(part, words) for part in settings["command"]]
    else:
        command = ["sh", "-c", _SCRIPT, "wait-for", words["host"], words["port"], words["seconds"]]
    image = settings["image"] or owner["image"]
    extra = {"runAsUser": settings["user"]} if settings["image"] and settings["user"] is not None else {}
    security = {**owner["security"], "run_as_root": False, "privileged": False, "read_only_root": True}
    context = container_context(security, **extra)
    if owner["security"].get("run_as_root"):
        context.update(runAsNonRoot=True)
    return {
        "name": f"wait-for-{wait.get('service') or wait.get('host')}".replace(".", "-")[:63],
        "image": image,
        "imagePullPolicy": settings["pull_policy"] or owner["pull_policy"],
        "command": command,
        "resources": RESOURCES,
        "securityContext": context,
    }

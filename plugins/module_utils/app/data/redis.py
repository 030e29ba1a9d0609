# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Redis, optionally with Sentinel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import pod, workload
from ansible_collections.holdfast.k3s.plugins.module_utils.app.data.engine import (
    Engine,
    port,
    probe_set,
    reference,
)

PORT = 6379
SENTINEL_PORT = 26379
_SENTINEL = """\
set -eu
conf=/sentinel/sentinel.conf
{
  echo "port 26379"
  echo "dir /sentinel"
  echo "sentinel resolve-hostnames yes"
  echo "sentinel monitor $MASTER_NAME $MASTER_HOST $MASTER_PORT $QUORUM"
  echo "sentinel down-after-milliseconds $MASTER_NAME 5000"
  if [ -n "${REDIS_PASSWORD:-}" ]; then echo "sentinel auth-pass $MASTER_NAME $REDIS_PASSWORD"; fi
} > "$conf"
exec redis-server "$conf" --sentinel
"""


def engine(app: Mapping[str, Any], service: Mapping[str, Any]) -> Engine:
    """Redis with an append-only file; with a password when the inventory gives one."""
    env: dict[str, Any] = {}
    # Arguments, not a command: the image's entry point drops root and opens the server to its clients.
    args = ["redis-server", "--dir", "/data", "--appendonly", "yes"]
    if int(service["port"]) != PORT:
        args += ["--port", str(service["port"])]
    if service.get("max_memory"):
        args += [
            "--maxmemory",
            str(service["max_memory"]),
            "--maxmemory-policy",
            service.get("eviction", "allkeys-lru"),
        ]
    if service.get("password"):
        env["REDIS_PASSWORD"] = reference(service["password"])
        # What redis-cli in the probes reads; the server takes it as $(…), which kubelet fills in.
        env["REDISCLI_AUTH"] = "$(REDIS_PASSWORD)"
        args += ["--requirepass", "$(REDIS_PASSWORD)"]
    probe = {"exec": ["sh", "-c", f"redis-cli -p {service['port']} ping | grep -q PONG"]}
    extra = _sentinel(app, service, env) if service.get("sentinel") else []
    return Engine(
        mount="/data",
        ports=[port("redis", service["port"])],
        env=env,
        args=args,
        probes=probe_set(probe, startup=int(service.get("startup", 120))),
        writable=["/tmp"],
        extra=extra,
    )


def _sentinel(
    app: Mapping[str, Any], service: Mapping[str, Any], env: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Sentinels watch the one Redis and tell clients where it is."""
    given = service["sentinel"] if isinstance(service["sentinel"], Mapping) else {}
    replicas = int(given.get("replicas", 1))
    name = f"{service['name']}-sentinel"
    owner: dict[str, Any] = {
        **service,
        "name": name,
        "component": "sentinel",
        "ports": [port("sentinel", SENTINEL_PORT)],
        "probes": probe_set({"tcp": SENTINEL_PORT}, startup=60),
        "env": {
            **{key: value for key, value in env.items() if key == "REDIS_PASSWORD"},
            "MASTER_NAME": given.get("master", "mymaster"),
            "MASTER_HOST": service["name"],
            "MASTER_PORT": service["port"],
            "QUORUM": given.get("quorum", replicas // 2 + 1),
        },
        "config": [], "secrets": [], "wait_for": [],
        "command": ["sh", "-c", _SENTINEL],
        "args": [],
        "resources": given.get("resources") or service["resources"],
        "volumes": {"sentinel": {"mount": "/sentinel", "kind": "empty_dir"}},
    }  # fmt: skip
    if given.get("command"):
        owner["command"] = given["command"]
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": names.selector(app, name)},
        "template": pod.template(app, owner),
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": workload.meta(app, name, "sentinel"),
        "spec": spec,
    }
    return [workload.network_service(app, owner), deployment]

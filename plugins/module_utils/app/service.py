# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One service of the application, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import images
from ansible_collections.holdfast.k3s.plugins.module_utils.app.probes import normalize_probes

ROLLING = {"max_surge": 1, "max_unavailable": 0}
ROLLOUT_SECONDS = 600
HA_REPLICAS = 2
ONE_NODE = ("ReadWriteOnce", "ReadWriteOncePod")


def normalize_service(app: Mapping[str, Any], name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The service with canonical ports, probes, waits, volumes, scaling and strategy."""
    service = dict(raw)
    service["name"] = name
    service["given"] = sorted(raw)
    service["component"] = raw.get("component", name)
    service.update(container_fields(app, name, raw))
    service["ports"] = normalize_ports(raw)
    service["probes"] = normalize_probes(raw, service["ports"])
    service["pdb"] = _pdb(app, raw)
    service["autoscaling"] = _autoscaling(raw)
    service["replicas"] = _replicas(app, raw)
    service["strategy"] = _strategy(raw, service)
    service["spread"] = _spread(app, raw)
    service["order"] = int(raw.get("order", 0))
    service["rollout_timeout"] = int(raw.get("rollout_timeout", ROLLOUT_SECONDS))
    service["critical"] = bool(raw.get("critical", True))
    return service


def container_fields(app: Mapping[str, Any], name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What services and jobs share: image, environment, volumes, waits, security."""
    policy = app["image"]
    image = images.resolve(str(raw.get("image") or name), policy)
    explicit = raw.get("pull_policy")
    return {
        "image": image,
        "pull_policy": explicit or images.pull_policy(image, policy),
        "env": dict(raw.get("env") or {}),
        "config": _names(raw.get("config")),
        "secrets": _names(raw.get("secrets")),
        "volumes": normalize_volumes(app, name, raw.get("volumes") or {}),
        "wait_for": normalize_waits(app, raw.get("wait_for") or []),
        "uses": _names(raw.get("uses")),
        "resources": dict(raw.get("resources") or {}),
        "security": {**app["security"], **(raw.get("security") or {})},
        "override": dict(raw.get("override") or {}),
    }


def _names(value: Any) -> list[str]:
    """One name or several."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def normalize_ports(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`port: 8080` and a list of named ports are the same thing; no port means no Service."""
    if raw.get("ports"):
        return [
            {
                "protocol": "TCP",
                "target_port": port["port"],
                **port,
                "name": port.get("name") or _port_name(raw["ports"], port),
            }
            for port in raw["ports"]
        ]
    if raw.get("port"):
        port = {"name": "http", "port": raw["port"], "target_port": raw["port"], "protocol": "TCP"}
        if raw.get("node_port"):
            port["node_port"] = raw["node_port"]
        return [port]
    return []


def _port_name(ports: list[Mapping[str, Any]], port: Mapping[str, Any]) -> str:
    """p53, and p53-udp where 53 is there for both protocols: the API refuses two ports of one name."""
    both = len({other.get("protocol", "TCP") for other in ports if other["port"] == port["port"]}) > 1
    udp = both and port.get("protocol") == "UDP"
    return f"p{port['port']}-udp" if udp else f"p{port['port']}"


def normalize_volumes(
    app: Mapping[str, Any], owner: str, raw: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Every volume with its kind: claim, empty_dir, config, secret, csi or host_path.

    A volume with a `size` gets its own claim, named after its owner; `existing_claim` uses one that is there.
    """
    volumes = {}
    for name, given in raw.items():
        volume: dict[str, Any] = {"mount": given} if isinstance(given, str) else dict(given)
        if not volume.get("enabled", True):
            continue
        if volume.get("existing_claim"):
            volume.update(kind="claim", claim_name=volume["existing_claim"], own=False)
        elif volume.get("claim"):
            shared = app["claims"].get(volume["claim"], {})
            volume.update(
                kind="claim", claim_name=shared.get("existing") or shared.get("name") or volume["claim"]
            )
            volume.update(own=False, access=shared.get("access", "ReadWriteOnce"), shared=volume["claim"])
            volume.setdefault("single_node_shared", shared.get("single_node_shared", False))
        elif volume.get("size") and not volume.get("empty_dir"):
            volume.setdefault("access", "ReadWriteOnce")
            volume.update(kind="claim", own=True, claim_name=volume.get("claim_name") or f"{owner}-{name}")
        else:
            kinds = [kind for kind in ("config", "secret", "csi", "host_path") if volume.get(kind)]
            volume["kind"] = kinds[0] if kinds else "empty_dir"
        volumes[name] = volume
    return volumes


def normalize_waits(app: Mapping[str, Any], raw: Any) -> list[dict[str, Any]]:
    """`[postgres]`, `{postgres: 120}` and `[{service: postgres, timeout: 120}]` say the same."""
    if isinstance(raw, Mapping):
        entries = [{"service": name, "timeout": timeout} for name, timeout in raw.items()]
    else:
        entries = [{"service": entry} if isinstance(entry, str) else dict(entry) for entry in raw]
    for entry in entries:
        entry.setdefault("timeout", app["wait"]["timeout"])
    return entries


def _scalable(app: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    return app["profile"] == "ha" and bool(raw.get("scalable"))


def _replicas(app: Mapping[str, Any], raw: Mapping[str, Any]) -> int:
    if "replicas" in raw:
        return int(raw["replicas"])
    return HA_REPLICAS if _scalable(app, raw) else 1


def _pdb(app: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """`true` means minAvailable 1; the HA profile gives scalable services one."""
    given = raw.get("pdb", _scalable(app, raw))
    if isinstance(given, bool):
        return {"min_available": 1} if given else {}
    if not given.get("enabled", True):
        return {}
    kept = {key: _amount(value) for key, value in given.items() if key != "enabled"}
    return kept or {"min_available": 1}


def _amount(value: Any) -> Any:
    """A number in quotes is a number: the API takes text only for a share."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _autoscaling(raw: Mapping[str, Any]) -> dict[str, Any]:
    given = raw.get("autoscaling") or {}
    if not given or not given.get("enabled", True):
        return {}
    scaling = {"min": 1, **given}
    if "cpu" not in scaling and "memory" not in scaling:
        scaling["cpu"] = 80
    return scaling


def _strategy(raw: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """Rolling with surge 1 by default; Recreate where one replica holds a ReadWriteOnce claim of its own."""
    given = raw.get("strategy")
    if isinstance(given, Mapping):
        return {"type": "RollingUpdate", **ROLLING, **{key: _amount(value) for key, value in given.items()}}
    if given:
        return {"type": "Recreate"} if given == "recreate" else {"type": "RollingUpdate", **ROLLING}
    locks = any(v["kind"] == "claim" and v.get("access") in ONE_NODE for v in service["volumes"].values())
    return (
        {"type": "Recreate"} if locks and service["replicas"] == 1 else {"type": "RollingUpdate", **ROLLING}
    )


def _spread(app: Mapping[str, Any], raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Never makes a pod unschedulable on one node unless the inventory says `when: DoNotSchedule` itself."""
    given = raw.get("topology_spread", _scalable(app, raw))
    if isinstance(given, bool):
        given = [{}] if given else []
    return [
        {"key": "kubernetes.io/hostname", "max_skew": 1, "when": "ScheduleAnyway", **entry} for entry in given
    ]

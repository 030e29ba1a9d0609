# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""NetworkPolicies: deny by default, then exactly the flows that the values declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.workload import meta

Obj = dict[str, Any]
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
SENTINEL_PORT = 26379


def policies(app: Mapping[str, Any]) -> list[Obj]:
    """Every policy of the release; none when `network_policy.enabled` is off."""
    settings = app["network_policy"]
    if not settings["enabled"]:
        return []
    kinds = ["Ingress", "Egress"] if settings["egress"] else ["Ingress"]
    found = [_policy(app, "default-deny", {"podSelector": {}, "policyTypes": kinds})]
    if settings["same_namespace"]:
        within: list[Obj] = [{"from": [{"podSelector": {}}]}]
        found.append(_policy(app, "allow-same-namespace", {"podSelector": {}, "ingress": within}))
    found += [policy for policy in (_into(app, name) for name in _targets(app)) if policy]
    if settings["egress"]:
        found += _egress(app)
    return found


def _policy(app: Mapping[str, Any], name: str, spec: Obj) -> Obj:
    spec.setdefault("policyTypes", ["Ingress"])
    metadata = meta(app, name, "network-policy")
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _targets(app: Mapping[str, Any]) -> list[str]:
    in_cluster = [name for name, service in app["data_services"].items() if service["mode"] == "in_cluster"]
    return [*in_cluster, *companions(app), *app["services"]]


def companions(app: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """What stands beside a data service, with its owner and port: the replica that follows, the sentinels."""
    found = {}
    for name, service in app["data_services"].items():
        if service["mode"] == "in_cluster" and service.get("replica"):
            found[f"{name}-replica"] = (name, int(service["port"]))
        if service["mode"] == "in_cluster" and service.get("sentinel"):
            found[f"{name}-sentinel"] = (name, SENTINEL_PORT)
    return found


def clients_of(app: Mapping[str, Any], target: str) -> list[str]:
    """Who may connect to a target: whoever waits for it or uses it, and what its own `network.from` names."""
    found = []
    for owner in [*app["services"].values(), *app["jobs"].values(), *app["cronjobs"].values()]:
        wanted = {*owner["uses"], *(wait.get("service") for wait in owner["wait_for"])}
        if target in wanted:
            found.append(owner["name"])
    beside = companions(app)
    if target in beside:
        found += clients_of(app, beside[target][0])
    found += [name for name, (owner, _port_number) in beside.items() if owner == target]
    entry = app["services"].get(target) or app["data_services"].get(target) or {}
    if entry.get("engine") == "mongodb" and entry.get("initiate", True):
        found.append(f"{target}-initiate")
    found += (entry.get("network") or {}).get("from", [])
    return sorted(set(found) - {target})


def exposed(app: Mapping[str, Any]) -> dict[str, set[int]]:
    """Service name to the ports that an ingress route leads to."""
    found: dict[str, set[int]] = {}
    for host in app["ingress"].get("hosts", []):
        for path in host["paths"]:
            found.setdefault(path["service"], set()).add(int(path["port"]))
    return found


def _into(app: Mapping[str, Any], target: str) -> Obj:
    service = app["services"].get(target)
    ports = service["ports"] if service else [{"target_port": _data_port(app, target), "protocol": "TCP"}]
    rules: list[Obj] = []
    peers = [{"podSelector": {"matchLabels": {"app": name}}} for name in clients_of(app, target)]
    if _among_themselves(app, target):
        peers.append({"podSelector": {"matchLabels": {"app": target}}})
    if peers and ports:
        rules.append({"from": peers, "ports": [_port(port) for port in ports]})
    if service and target in exposed(app):
        by_number = {port["port"]: port for port in ports if port["protocol"] == "TCP"}  # routes are HTTP
        via = [_port(by_number[number]) for number in sorted(exposed(app)[target]) if number in by_number]
        rules.append({"from": [_namespace(app["network_policy"]["ingress_namespace"])], "ports": via})
    if service and any(port.get("node_port") for port in ports):
        rules.append({"ports": [_port(port) for port in ports if port.get("node_port")]})
    if service and app["network_policy"]["monitoring_namespace"] and ports:
        source = _namespace(app["network_policy"]["monitoring_namespace"])
        rules.append({"from": [source], "ports": [_port(port) for port in ports]})
    if not rules:
        return {}
    select = {"matchLabels": names.selector(app, target)}
    return _policy(app, f"allow-to-{target}", {"podSelector": select, "ingress": rules})


def _data_pods(app: Mapping[str, Any]) -> list[dict[str, str]]:
    """The pods of data services, which follow, watch or make each other: by name, as owners of egress."""
    running = [name for name, service in app["data_services"].items() if service["mode"] == "in_cluster"]
    made = [f"{name}-initiate" for name in running if app["data_services"][name]["engine"] == "mongodb"]
    return [{"name": name} for name in [*running, *companions(app), *made]]


def _among_themselves(app: Mapping[str, Any], target: str) -> bool:
    """Whether the pods of a target are members that talk to each other: those of a set, and sentinels."""
    given = app["data_services"].get(target, {})
    owner = companions(app).get(target, ("", 0))[0]
    if target.endswith("-sentinel") and owner:
        sentinel = app["data_services"][owner]["sentinel"]
        given = sentinel if isinstance(sentinel, Mapping) else {}
    return int(given.get("replicas", 1)) > 1


def _data_port(app: Mapping[str, Any], target: str) -> int:
    beside = companions(app)
    return beside[target][1] if target in beside else int(app["data_services"][target]["port"])


def _port(port: Mapping[str, Any]) -> Obj:
    return {"port": port["target_port"], "protocol": port["protocol"]}


def _namespace(name: str) -> Obj:
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: name}}}


def _egress(app: Mapping[str, Any]) -> list[Obj]:
    """Names for everyone, declared targets for each, the outside for those that say `network.external`."""
    dns = {
        "to": [_namespace("kube-system")],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }
    found = [_policy(app, "allow-dns", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [dns]})]
    allowed: dict[str, list[Obj]] = {}  # by name: a job and a cron job may share one
    for owner in [
        *app["services"].values(),
        *app["jobs"].values(),
        *app["cronjobs"].values(),
        *_data_pods(app),
    ]:
        rules: list[Obj] = [
            {"to": [{"podSelector": {"matchLabels": {"app": target}}}]}
            for target in _targets(app)
            if owner["name"] in clients_of(app, target)
            or (owner["name"] == target and _among_themselves(app, target))
        ]
        if (owner.get("network") or {}).get("external"):
            rules.append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})
        known = allowed.setdefault(owner["name"], [])
        known += [rule for rule in rules if rule not in known]
    for name, rules in allowed.items():
        if rules:
            select = {"matchLabels": {"app": name}}
            spec = {"podSelector": select, "policyTypes": ["Egress"], "egress": rules}
            found.append(_policy(app, f"allow-from-{name}", spec))
    return found

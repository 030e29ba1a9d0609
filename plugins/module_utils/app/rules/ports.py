# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ports of services, and of the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding


def duplicate_ports(app: Mapping[str, Any]) -> Iterator[Finding]:
    """One service with a port twice; TCP and UDP are two ports."""
    for name, service in app["services"].items():
        pairs = [(port["port"], port["protocol"]) for port in service["ports"]]
        for number, _protocol in sorted({pair for pair in pairs if pairs.count(pair) > 1}):
            yield Finding(
                "ports.duplicate", f"services.{name}.ports", "The port occurs twice.", "remove one", number
            )


def node_ports(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Ports of the node: none twice, all from the range, none that leads nowhere."""
    seen: dict[tuple[int, str], str] = {}
    for name, service in app["services"].items():
        path = f"services.{name}.node_port"
        for port in service["ports"]:
            number = port.get("node_port")
            if not number:
                continue
            if (number, port["protocol"]) in seen:
                yield Finding(
                    "ports.node_port_taken",
                    path,
                    f"Service {seen[(number, port['protocol'])]} has it already.",
                    "give each its own port between 30000 and 32767",
                    number,
                )
            elif not 30000 <= number <= 32767:
                message = "Kubernetes gives out 30000 to 32767."
                yield Finding("ports.node_port_range", path, message, "take one of those", number)
            seen[(number, port["protocol"])] = name
        if service.get("node_port") and ("ports" in service["given"] or not service["ports"]):
            yield Finding(
                "ports.node_port_unused",
                path,
                "It belongs to port; a service of several ports gives each its own.",
                "write node_port in the entry of ports that it is for",
                service["node_port"],
            )


RULES = (duplicate_ports, node_ports)

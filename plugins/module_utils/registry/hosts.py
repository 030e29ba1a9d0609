"""Where containerd really goes for a registry: the hosts.toml that k3s generated, beside the registries.yaml it should follow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def endpoints(hosts_toml: str) -> list[str]:
    """Addresses that a hosts.toml names, in order; the default server comes last."""
    found = re.findall(r'^\s*\[host\."([^"]+)"\]', hosts_toml, re.M)
    server = re.search(r'^\s*server\s*=\s*"([^"]+)"', hosts_toml, re.M)
    if server and server.group(1) not in found:
        found.append(server.group(1))
    return found


def base(url: str) -> str:
    """An endpoint without the API's path: `http://localhost:5000/v2` → `http://localhost:5000`."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    return f"{parts.scheme}://{parts.netloc}"


def configured(registries: dict[str, Any], registry: str) -> list[str]:
    """Endpoints that registries.yaml gives for a registry; empty when it says nothing."""
    mirrors = registries.get("mirrors") or {}
    mirror = mirrors.get(registry) or mirrors.get("*") or {}
    return [base(str(one)) for one in mirror.get("endpoint") or []]


def effective(certs_d: str, registry: str) -> dict[str, Any]:
    """What containerd uses: the file, its endpoints, whether it exists."""
    for name in (registry, "_default"):
        path = Path(certs_d, name, "hosts.toml")
        try:
            return {
                "path": str(path),
                "exists": True,
                "endpoints": [base(e) for e in endpoints(path.read_text())],
            }
        except OSError:
            continue
    return {"path": str(Path(certs_d, registry, "hosts.toml")), "exists": False, "endpoints": []}


def default(registry: str) -> str:
    """Where containerd goes for a registry without any configuration: plain HTTP on the loopback, else HTTPS."""
    local = registry.rpartition(":")[0].strip("[]") in ("localhost", "127.0.0.1", "::1")
    return f"{'http' if local else 'https'}://{registry}"


def deviation(registries: dict[str, Any], certs_d: str, registry: str) -> str | None:
    """How the effective configuration differs from registries.yaml; None when it follows it.

    k3s writes no hosts.toml for a registry whose only endpoint is its own default.
    """
    wanted, used = configured(registries, registry), effective(certs_d, registry)
    if not wanted:
        return None
    reached = [*used["endpoints"], default(registry)]
    missing = [one for one in wanted if one not in reached]
    if missing and not used["exists"]:
        return f"{used['path']} is missing, registries.yaml names {', '.join(wanted)}"
    strange = [one for one in used["endpoints"] if one not in (*wanted, default(registry))]
    if missing or strange:
        return (
            f"{used['path']} goes to {', '.join(used['endpoints']) or 'nowhere'}, not to {', '.join(wanted)}"
        )
    return None


def address(registries: dict[str, Any], certs_d: str, registry: str) -> str:
    """The address to ask for a registry's content: configured first, then effective, then the name itself."""
    found = configured(registries, registry) or effective(certs_d, registry)["endpoints"]
    return found[0] if found else default(registry)

"""Who this node is: configuration, certificates, token, node password, pod addresses. Secrets stay on the host."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import socket
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.node import x509
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths


def load(text: str) -> Any:
    """YAML; without the library (a bare host) only the flat keys and lists that k3s's configuration is made of."""
    try:
        import yaml
    except ImportError:
        return flat(text)
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def flat(text: str) -> dict[str, Any]:
    """`key: value`, `key: [a, b]` and `key:` with `- item` lines."""
    found: dict[str, Any] = {}
    key = ""
    for line in text.splitlines():
        item = re.match(r"\s*-\s+(.*)$", line)
        pair = re.match(r"([\w.+-]+):\s*(.*)$", line)
        if item and key and isinstance(found[key], list):
            found[key].append(item.group(1).strip("'\" "))
        elif pair:
            key, value = pair.group(1), pair.group(2).strip()
            if value.startswith("["):
                found[key] = [one.strip("'\" ") for one in value.strip("[]").split(",") if one.strip()]
            else:
                found[key] = value.strip("'\"") if value else []
    return found


def config(paths: Paths) -> dict[str, Any]:
    """The merged configuration of k3s: config.yaml, then config.yaml.d in order; `key+` appends."""
    merged: dict[str, Any] = {}
    base = Path(paths.config_dir, "config.yaml")
    drop_ins = sorted(
        one for one in Path(paths.config_dir, "config.yaml.d").glob("*") if one.suffix in (".yaml", ".yml")
    )
    for path in [base, *drop_ins]:
        try:
            loaded = load(path.read_text())
        except (OSError, ValueError):
            continue
        for key, value in loaded.items() if isinstance(loaded, dict) else []:
            name = str(key)
            if name.endswith("+"):
                old = merged.get(name[:-1], [])
                new = value if isinstance(value, list) else [value]
                merged[name[:-1]] = (old if isinstance(old, list) else [old]) + new
            else:
                merged[name] = value
    return merged


def node_name(configuration: dict[str, Any]) -> str:
    """The name under which this host joins its cluster."""
    return str(configuration.get("node-name") or socket.gethostname()).lower()


def certificates(paths: Paths) -> list[dict[str, Any]]:
    """Validity of every certificate of the server and the agent; CAs are marked."""
    found = []
    for folder in (Path(paths.tls), Path(paths.agent)):
        for path in sorted(folder.glob("*.crt")):
            one = x509.read(str(path))
            if one:
                one["ca"] = bool(re.search(r"-ca(\.nochain)?\.crt$", path.name))
                found.append(one)
    return found


def password_of(token: str) -> str:
    """The password inside a token in either form (`K10<hash>::server:<password>` or the bare password)."""
    return token.strip().rpartition("::")[2].rpartition(":")[2] if "::" in token else token.strip()


def token(paths: Paths, configuration: dict[str, Any], bootstrap: list[str]) -> dict[str, Any]:
    """Which token sources exist and which of them opens the datastore. Never the token itself."""

    def opens(text: str) -> bool | None:
        if not bootstrap:
            return None
        return f"/bootstrap/{hashlib.sha256(password_of(text).encode()).hexdigest()[:12]}" in bootstrap

    path = Path(paths.token)
    try:
        stored = path.read_text()
    except OSError:
        stored = None
    configured = str(configuration.get("token") or "")
    token_file = configuration.get("token-file")
    if not configured and token_file:
        try:
            configured = Path(str(token_file)).read_text().strip()
        except OSError:
            configured = ""
    return {
        "file_present": stored is not None,
        "file_empty": stored is not None and not stored.strip(),
        "configured": bool(configured),
        "agree": password_of(stored) == password_of(configured) if stored and configured else None,
        "file_opens": opens(stored) if stored else None,
        "config_opens": opens(configured) if configured else None,
    }


def node_password(paths: Paths) -> dict[str, Any]:
    """Whether the node's own password is there."""
    path = Path(paths.node_password)
    return {"present": path.exists(), "empty": path.exists() and path.stat().st_size == 0}


def subnets(paths: Paths) -> list[str]:
    """Pod subnets of this node as its network configuration gives them."""
    found: list[str] = []
    for path in sorted(Path(paths.agent, "etc/cni/net.d").glob("*.conf*")):
        try:
            plugins = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        for plugin in plugins.get("plugins", [plugins]):
            ipam = plugin.get("ipam") or {}
            found += [ipam["subnet"]] if ipam.get("subnet") else []
            found += [one["subnet"] for group in ipam.get("ranges", []) for one in group if one.get("subnet")]
    try:
        match = re.search(r"FLANNEL_SUBNET=(\S+)", Path("/run/flannel/subnet.env").read_text())
    except OSError:
        match = None
    if match:
        found.append(str(ipaddress.ip_interface(match.group(1)).network))
    return list(dict.fromkeys(found))


def allocations(paths: Paths) -> list[dict[str, str]]:
    """Address reservations of the pod network: file, address, sandbox id."""
    found = []
    for folder in sorted(Path(paths.cni_networks).glob("*")):
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            try:
                address = ipaddress.ip_address(path.name)
                lines = path.read_text(errors="replace").split()
            except (ValueError, OSError):
                continue
            found.append({"file": str(path), "address": str(address), "sandbox": lines[0] if lines else ""})
    return found


def cni(paths: Paths) -> dict[str, Any]:
    """Pod addresses: how many there are, how many are taken, by whom."""
    nets = [ipaddress.ip_network(text, strict=False) for text in subnets(paths)]
    taken = allocations(paths)
    v4 = [one for one in taken if ":" not in one["address"]]
    size = min((net.num_addresses - 3 for net in nets if net.version == 4), default=253)
    return {"subnets": [str(net) for net in nets], "usable": size, "taken": len(v4), "allocations": taken}

"""Is the host well? Looked at with other eyes than the probes: other credentials, other tools, the node's own words."""

from __future__ import annotations

import http.client
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.node.api import server_of
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths


def over_https(paths: Paths, path: str, timeout: float = 5) -> tuple[int, str]:
    """A raw GET with the administrator's certificate from server/tls, not the kubeconfig's copy."""
    try:
        context = ssl.create_default_context(cafile=f"{paths.tls}/server-ca.crt")
        context.load_cert_chain(f"{paths.tls}/client-admin.crt", f"{paths.tls}/client-admin.key")
        host, port = server_of(paths.kubeconfig)
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
    except (OSError, ssl.SSLError, http.client.HTTPException) as error:
        return 0, str(error)


def unit_active(commands: Commands, paths: Paths) -> tuple[bool, str]:
    said = commands.run(["systemctl", "is-active", paths.unit], timeout=5, check=False).out.strip()
    return said == "active", said


def api_ready(paths: Paths) -> tuple[bool, str]:
    status, body = over_https(paths, "/readyz")
    return status == 200, body[:200]


def runtime_ready(commands: Commands, paths: Paths) -> tuple[bool, str]:
    """The runtime's own status conditions."""
    out = commands.run([paths.binary, "crictl", "--timeout", "5s", "info"], timeout=8).out
    conditions = json.loads(out).get("status", {}).get("conditions", [])
    bad = [
        one
        for one in conditions
        if one.get("type") in ("RuntimeReady", "NetworkReady") and not one.get("status")
    ]
    return not bad, ", ".join(f"{one['type']}: {one.get('message', '')}" for one in bad)


def node_ready(paths: Paths, name: str) -> tuple[bool, str]:
    status, body = over_https(paths, f"/api/v1/nodes/{name}")
    if status != 200:
        return False, body[:200]
    for one in json.loads(body)["status"]["conditions"]:
        if one["type"] == "Ready":
            return one["status"] == "True", str(one.get("message", ""))
    return False, "no Ready condition"


def kubelet_ok(paths: Paths, name: str) -> tuple[bool, str]:
    """kubelet's health through the API server: the path that logs and exec take too."""
    status, body = over_https(paths, f"/api/v1/nodes/{name}/proxy/healthz")
    return status == 200, body[:200]


def look(commands: Commands, paths: Paths, name: str) -> dict[str, dict[str, Any]]:
    """Every check at once: {check: {ok, said}}."""
    checks = {
        "unit": lambda: unit_active(commands, paths),
        "api": lambda: api_ready(paths),
        "runtime": lambda: runtime_ready(commands, paths),
        "node": lambda: node_ready(paths, name),
        "kubelet": lambda: kubelet_ok(paths, name),
    }
    result: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(max_workers=len(checks)) as pool:
        for key, future in {key: pool.submit(check) for key, check in checks.items()}.items():
            try:
                ok, said = future.result()
            except (HoldfastError, ValueError, KeyError) as error:
                ok, said = False, str(error)[:200]
            result[key] = {"ok": ok, "said": said}
    return result


def healthy(commands: Commands, paths: Paths, name: str) -> tuple[bool, dict[str, dict[str, Any]]]:
    """True only when every check says ok."""
    seen = look(commands, paths, name)
    return all(one["ok"] for one in seen.values()), seen

"""The API server as seen from its own host: raw HTTPS with the administrator's certificate, a deadline on each call."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

OWN = ("127.0.0.1", 6443)
PROBE_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/holdfast-probe"
MAX_LOOKED_UP = 30
EVENT_REASONS = ("FailedCreatePodSandBox", "NodePasswordValidationFailed", "Failed", "InvalidDiskCapacity",
                 "FreeDiskSpaceFailed", "ImageGCFailed", "FailedMount")  # fmt: skip


def address(url: str) -> tuple[str, int]:
    """Host and port of a server's URL; ValueError when it has none."""
    parts = urlsplit(url.strip("'\""))
    if not parts.hostname:
        raise ValueError(f"{url} names no host")
    return parts.hostname, parts.port or 443


def server_of(kubeconfig: str) -> tuple[str, int]:
    """Where k3s says that its API listens: `bind-address` and `https-listen-port` move it off 127.0.0.1:6443."""
    try:
        found = re.search(r"^\s*server:\s+(\S+)\s*$", Path(kubeconfig).read_text(), re.M)
        return address(found.group(1)) if found else OWN
    except (OSError, ValueError):
        return OWN


def context_of(kubeconfig: str) -> tuple[ssl.SSLContext, str, int]:
    """TLS settings, host and port from a kubeconfig with embedded certificates."""
    # k3s writes one cluster and one user; reading its five keys needs no YAML library, which a host may lack
    document = dict(re.findall(r"^\s*([\w-]+):\s+(\S+)\s*$", Path(kubeconfig).read_text(), re.M))
    authority = base64.b64decode(document["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        # the ssl module loads a client certificate from a file only; mkdtemp makes the folder 0700
        path = str(Path(folder, "client.pem"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(base64.b64decode(document["client-certificate-data"]) + b"\n")
            handle.write(base64.b64decode(document["client-key-data"]))
        context.load_cert_chain(path)
    return (context, *address(document["server"]))


class Api:
    """A few calls to the API server; never raises for a server that is down, says so instead."""

    def __init__(self, kubeconfig: str, timeout: float = 5) -> None:
        self.timeout = timeout
        self.error: str | None = None
        try:
            self._context, self._host, self._port = context_of(kubeconfig)
        except (OSError, KeyError, ValueError, IndexError, TypeError, ssl.SSLError) as error:
            self.error = f"kubeconfig {kubeconfig} cannot be used: {error}"

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json",
             timeout: float | None = None) -> tuple[int, str]:  # fmt: skip
        """Status and body; status 0 and the reason when there was no answer in time."""
        if self.error:
            return 0, self.error
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout or self.timeout, context=self._context
        )
        try:
            payload = None if body is None else json.dumps(body)
            headers = {"Accept": "application/json"}
            if payload is not None:
                headers["Content-Type"] = content_type
            connection.request(method, path, payload, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error) or type(error).__name__
        finally:
            connection.close()

    def get(self, path: str) -> dict[str, Any] | None:
        """A decoded object, or None."""
        status, body = self.call("GET", path)
        try:
            return json.loads(body) if status == 200 else None
        except ValueError:
            return None


def failed_checks(body: str) -> list[str]:
    """The names behind `[-]` in the verbose readiness report."""
    return [line[3:].split(" ", 1)[0] for line in body.splitlines() if line.startswith("[-]")]


def readyz(api: Api) -> dict[str, Any]:
    """Readiness with the failed checks and how long the answer took."""
    began = time.monotonic()
    status, body = api.call("GET", "/readyz?verbose")
    fact: dict[str, Any] = {
        "ok": status == 200,
        "status": status,
        "seconds": round(time.monotonic() - began, 2),
    }
    if status == 0:
        fact["error"] = body[:300]
    elif status != 200:
        fact["failed"] = failed_checks(body)
    return fact


def write_probe(api: Api, seconds: float = 6) -> dict[str, Any]:
    """Write one small Lease with a deadline: reads can work while the datastore takes no writes."""
    began = time.monotonic()
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "holdfast-probe", "namespace": "kube-system"},
        "spec": {"holderIdentity": "holdfast", "renewTime": now},
    }
    status, text = api.call(
        "PATCH", f"{PROBE_LEASE}?fieldManager=holdfast&force=true", body,
        content_type="application/apply-patch+yaml", timeout=seconds,
    )  # fmt: skip
    fact: dict[str, Any] = {"ok": status in (200, 201), "seconds": round(time.monotonic() - began, 2)}
    if not fact["ok"]:
        fact["status"], fact["error"] = status, text[:300]
    return fact


def age(stamp: str | None, now: float) -> float | None:
    """Seconds since an API time stamp."""
    if not stamp:
        return None
    text = stamp.split(".")[0].rstrip("Z") + "+00:00"
    return now - datetime.fromisoformat(text).timestamp()


def node(api: Api, name: str) -> dict[str, Any]:
    """The node's Ready condition, the age of its lease, and the names of other nodes."""
    listed = api.get("/api/v1/nodes") or {}
    items = {one["metadata"]["name"]: one for one in listed.get("items", [])}
    fact: dict[str, Any] = {"name": name, "known": name in items, "others": sorted(set(items) - {name})}
    conditions = {one["type"]: one for one in items.get(name, {}).get("status", {}).get("conditions", [])}
    ready = conditions.get("Ready", {})
    fact["ready"] = ready.get("status") == "True"
    fact["reason"] = f"{ready.get('reason', '')}: {ready.get('message', '')}"[:300] if ready else ""
    fact["pressure"] = sorted(
        kind for kind, one in conditions.items() if kind != "Ready" and one.get("status") == "True"
    )
    lease = api.get(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}") or {}
    fact["lease_age"] = age(lease.get("spec", {}).get("renewTime"), time.time())
    return fact


def pod_of(api: Api, about: dict[str, Any]) -> dict[str, Any] | None:
    """The pod that a warning is about; empty when that is unknown, None when the pod is gone."""
    if about.get("kind") != "Pod":
        return {}
    status, body = api.call("GET", f"/api/v1/namespaces/{about.get('namespace')}/pods/{about.get('name')}")
    if status != 200:
        return None if status == 404 else {}
    return json.loads(body)


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod's condition Ready is true."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def image_of(pod: dict[str, Any], field: str) -> str:
    """The image of the container that a warning's field path (`spec.containers{main}`) names; empty when unknown."""
    found = re.fullmatch(r"spec\.(containers|initContainers)\{(.+)\}", field)
    listed = pod.get("spec", {}).get(found.group(1)) or [] if found else []
    return next((one["image"] for one in listed if found and one["name"] == found.group(2)), "")


def events(api: Api, limit: int = 500, newest_seconds: float = 600) -> list[dict[str, str]]:
    """Recent warnings that a detector may know and that are not history: reason, object and message."""
    listed = api.get(f"/api/v1/events?fieldSelector=type%3DWarning&limit={limit}") or {}
    found = []
    now = time.time()
    pods: dict[str, dict[str, Any] | None] = {}
    for one in listed.get("items", []):
        stamp = one.get("lastTimestamp") or one.get("eventTime") or one["metadata"].get("creationTimestamp")
        seconds = age(stamp, now)
        if one.get("reason") in EVENT_REASONS and (seconds is None or seconds < newest_seconds):
            about = one.get("involvedObject", {})
            key = str(about.get("uid") or about.get("name"))
            if key not in pods and len(pods) < MAX_LOOKED_UP:
                pods[key] = pod_of(api, about)
            pod = pods.get(key, {})
            if pod is None or is_ready(pod):  # the warning is history
                continue
            found.append(
                {
                    "reason": one["reason"],
                    "object": f"{about.get('kind', '')} {about.get('namespace', '')}/{about.get('name', '')}",
                    "message": str(one.get("message", ""))[:500],
                    "image": image_of(pod, str(about.get("fieldPath", ""))),
                    "seconds_ago": str(int(seconds or 0)),
                }
            )
    return found


def kubelet(timeout: float = 4) -> dict[str, Any]:
    """The kubelet's own health port on the loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", 10248, timeout=timeout)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return {"ok": answer.status == 200, "text": answer.read(200).decode("utf-8", "replace")}
    except (OSError, http.client.HTTPException) as error:
        return {"ok": False, "text": str(error)}
    finally:
        connection.close()


def probe(kubeconfig: str, name: str, *, write: bool, timeout: float = 5) -> dict[str, Any]:
    """All of the above in one fact; with the API down only `readyz` is there."""
    api = Api(kubeconfig, timeout)
    fact: dict[str, Any] = {"readyz": readyz(api)}
    if not fact["readyz"]["ok"] and fact["readyz"]["status"] == 0:
        return fact
    fact["node"] = node(api, name)
    fact["events"] = events(api)
    if write:
        fact["write"] = write_probe(api)
    return fact

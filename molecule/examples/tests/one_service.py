"""An application of a few lines for what needs no system of its own."""

from __future__ import annotations

from typing import Any

from turn import KUBECTL, play

from lab.host import LabHost
from tests.scenario import until

NAME = "hello"
IMAGE = "localhost:5000/lab/sample-app:1.0.0"
SMALL = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
SERVICE = {
    "image": IMAGE,
    "port": 8080,
    "health": "/health",
    "resources": SMALL,
    "security": {"run_as_user": 1000},
}


def deliver(values: dict[str, Any], *arguments: str, **variables: Any) -> int:
    """Run the application's part of site."""
    return play({"app_values": values, **variables}, "--tags", "app", *arguments)


def refusal(values: dict[str, Any], **variables: Any) -> str:
    """What site says when it must not deliver."""
    try:
        deliver(values, **variables)
    except AssertionError as failure:
        return str(failure)
    raise AssertionError(f"it was delivered: {values}")


def gone(host: LabHost) -> None:
    """Remove the namespace and wait until it is gone."""
    host.sudo([*KUBECTL, "delete", "namespace", NAME, "--ignore-not-found", "--wait=false"])
    until(
        f"namespace {NAME} gone",
        lambda: not host.sudo([*KUBECTL, "get", "ns", NAME, "--ignore-not-found"]).out,
    )

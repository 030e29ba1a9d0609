"""With what a registry is asked: the options' credentials and authority, else those that containerd uses for it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Access:
    """username, password: for basic auth. ca_file: what signs the registry's certificate."""

    username: str | None = None
    password: str | None = None
    ca_file: str | None = None


def access(registries: dict[str, Any], registry: str, url: str, given: Access) -> Access:
    """What to ask with.

    registries: registries.yaml. registry: as images name it. url: where it is asked; k3s looks its endpoint up first.
    given: the options; what they leave empty comes from `configs` of registries.yaml.
    """
    configs = registries.get("configs") or {}
    config = configs.get(urlsplit(url).netloc) or configs.get(registry) or configs.get("*") or {}
    ca_file = given.ca_file or (config.get("tls") or {}).get("ca_file")
    if given.username and given.password:
        return Access(given.username, given.password, ca_file)
    return Access(*_login(config.get("auth") or {}), ca_file)


def _login(auth: dict[str, Any]) -> tuple[str | None, str | None]:
    """User and password of an `auth` entry, which may hold both as base64 of `user:password`."""
    if auth.get("username") and auth.get("password"):
        return str(auth["username"]), str(auth["password"])
    try:
        username, _colon, password = (
            base64.b64decode(str(auth.get("auth") or "")).decode("utf-8").partition(":")
        )
    except (binascii.Error, ValueError):
        return None, None
    return username or None, password or None

"""Settings of a backup, and just enough of an API server, for the tests of what is made of them."""

from __future__ import annotations

from typing import Any, Optional

GIVEN: dict[str, Any] = {
    "namespace": "shop",
    "name": "postgres-backup",
    "host": "postgres",
    "databases": ["shop"],
    "user": "owner",
    "secret": "credentials",
    "secret_key": "PASSWORD",
    "scripts": {"backup.sh": "true"},
}
OFFSITE = {"repository": "s3:https://s3.example.com:9000/b/music", "image": "restic:1", "secret": "keys"}


class Api:
    """Just enough of an API server for jobs: each is kept under its name."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}

    def path_for(self, version: str, kind: str, namespace: str = "", name: Optional[str] = None) -> str:
        return name or ""

    def get(self, path: str) -> Optional[dict[str, Any]]:
        return self.jobs.get(path)

    def list(self, path: str, label_selector: str = "") -> list[dict[str, Any]]:
        return list(self.jobs.values())

    def request(self, method: str, path: str, body: dict[str, Any]) -> None:
        self.jobs[body["metadata"]["name"]] = {**body, "status": {}}

"""Warnings of the API: those about pods that recovered, or are gone, are history."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.node import api


def warning(pod: str, seconds_ago: float = 5, reason: str = "Failed", kind: str = "Pod") -> dict[str, Any]:
    at = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)
    about = {"kind": kind, "namespace": "music", "name": pod, "uid": f"u-{pod}"}
    return {
        "reason": reason,
        "message": f"about {pod}",
        "lastTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "metadata": {},
        "involvedObject": about,
    }


class FakeApi:
    """Events, and pods of which `well` is Ready, `gone` is not there and every other is not Ready."""

    def __init__(self, listed: list[dict[str, Any]]) -> None:
        self.listed, self.asked = listed, 0

    def get(self, _path: str) -> dict[str, Any]:
        return {"items": self.listed}

    def call(self, _method: str, path: str) -> tuple[int, str]:
        self.asked += 1
        name = path.rpartition("/")[2]
        if name == "gone":
            return 404, ""
        if name == "silent":
            return 0, "timed out"
        condition = {"type": "Ready", "status": "True" if name == "well" else "False"}
        spec = {"containers": [{"name": "web", "image": "shop:1"}, {"name": "log", "image": "log:2"}]}
        return 200, json.dumps({"spec": spec, "status": {"conditions": [condition]}})


def told(*listed: dict[str, Any]) -> list[str]:
    fake: Any = FakeApi(list(listed))
    return [one["message"].removeprefix("about ") for one in api.events(fake)]


def test_only_warnings_about_what_is_still_broken_are_told() -> None:
    assert told(warning("well"), warning("gone"), warning("broken"), warning("silent")) == [
        "broken",
        "silent",
    ]
    assert told(warning("node", kind="Node", reason="NodePasswordValidationFailed")) == ["node"]
    assert told(warning("broken", seconds_ago=4000), warning("broken", reason="Killing")) == []


def test_a_pod_is_asked_about_once_and_a_flood_is_not_followed() -> None:
    many: Any = FakeApi([warning("broken")] * 50 + [warning(f"p{n}") for n in range(100)])
    assert len(api.events(many)) == 150 and many.asked == api.MAX_LOOKED_UP


def test_a_warning_carries_the_image_of_the_container_that_it_is_about() -> None:
    about_one = warning("broken")
    about_one["involvedObject"]["fieldPath"] = "spec.containers{log}"
    about_missing = warning("broken")
    about_missing["involvedObject"]["fieldPath"] = "spec.initContainers{log}"
    fake: Any = FakeApi([about_one, about_missing, warning("broken")])
    assert [one["image"] for one in api.events(fake)] == ["log:2", "", ""]

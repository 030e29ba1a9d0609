"""Merging, quantities, images, cron gaps: tables."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.app import images, quantity
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import pod
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge, merge_all
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.schedules import interval_hours, problem


def test_merge_lays_over_removes_and_leaves_its_inputs_alone() -> None:
    base: dict[str, Any] = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert deep_merge(base, {"a": {"c": [2], "e": None}, "d": None, "f": {"g": None}}) == {
        "a": {"b": 1, "c": [2]},
        "f": {},
    }
    assert base == {"a": {"b": 1, "c": [1]}, "d": 2}


def test_a_null_removes_only_in_an_overlay() -> None:
    base = {"services": {"web": None}, "modes": {"small": {"services": {"api": None}}}}
    assert merge_all(base) == base
    assert merge_all(base, [{"services": {"web": {"port": 1, "health": None}}}])["services"] == {
        "web": {"port": 1}
    }
    assert merge_all(base, [{"services": {"web": None}}])["services"] == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", "0.25"),
        ("1Gi", "1073741824"),
        (2, "2"),
        ("1.5", "1.5"),
        ("x", None),
        ("", None),
        ("1gi", None),
    ],
)
def test_quantity(text: Any, value: str | None) -> None:
    assert quantity.parse(text) == (None if value is None else quantity.Decimal(value))


POLICY = {"registry": "r.example/team", "tag": "1.0", "moving_tags": ["latest", "main"]}


@pytest.mark.req("SN-69", "SS-17")
@pytest.mark.parametrize(
    ("image", "full", "policy"),
    [
        ("web", "r.example/team/web:1.0", "IfNotPresent"),
        ("web:2.0", "r.example/team/web:2.0", "IfNotPresent"),
        ("web:main", "r.example/team/web:main", "Always"),
        ("x/web", "x/web:1.0", "IfNotPresent"),
        ("x:5000/web:latest", "x:5000/web:latest", "Always"),
        ("x/web@sha256:ab", "x/web@sha256:ab", "IfNotPresent"),
    ],
)
def test_image(image: str, full: str, policy: str) -> None:
    assert images.resolve(image, POLICY) == full
    assert images.pull_policy(full, POLICY) == policy


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ("0 2 * * *", 24), ("0 * * * *", 1), ("*/15 * * * *", 0.25), ("0 */6 * * *", 6), ("0 1,13 * * *", 12), ("@hourly", 1), ("0,30 * * * *", 0.5), ("7 * * * *", 1), ("10-50/20 * * * *", 1 / 3),
        ("0 2 * * 0", 168), ("0 8-18 * * *", 14),
    ],
)  # fmt: skip
def test_gap_between_runs(schedule: str, hours: float) -> None:
    assert interval_hours(schedule) == hours


def test_a_generated_key_that_comes_rolls_the_pods_that_take_the_whole_secret() -> None:
    def notes(whole: bool, *keys: str) -> dict[str, str]:
        secrets = {"keys": {"values": {"A": "x"}, "generate": dict.fromkeys(keys, 16)}}
        owner = {"config": [], "secrets": ["keys"] if whole else [], "volumes": {}}
        owner["env"] = {} if whole else {"A": {"secret": "keys", "key": "A"}}
        return pod.hashes({"name": "a", "namespace": "a", "config": {}, "secrets": secrets}, owner)

    assert notes(True) == notes(False) == notes(False, "NEW") != notes(True, "NEW")


@pytest.mark.parametrize(
    "schedule",
    [
        "61 25 * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 * 13 *",
        "0 0 * * 7",
        "0 5-2 * * *",
        "*/0 * * * *",
        "a * * * *",
        "@dayly",
    ],
)
def test_a_schedule_that_no_clock_knows(schedule: str) -> None:
    assert problem(schedule, 6)


@pytest.mark.parametrize(
    "schedule", ["0 2 * * *", "*/5 0-6/2 1,15 jan-mar MON-FRI", "59 23 31 12 6", "@weekly", "0 0 ? * 1"]
)
def test_a_schedule_that_a_clock_knows(schedule: str) -> None:
    assert problem(schedule, 6) == ""
    assert problem("0 0 * * 7") == ""

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of pod_reap and pod_info: their argument spec, and how it becomes Options."""

from __future__ import annotations

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import CLASSES, DEFAULT_CLASSES, Options

SELECT: dict[str, dict[str, Any]] = {
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "exclude_namespaces": {"type": "list", "elements": "str", "default": []},
    "label_selector": {"type": "str"},
    "min_age": {"type": "int", "default": 0},
    "owner_kinds": {"type": "list", "elements": "str", "default": []},
    "unknown_grace": {"type": "int", "default": 120},
    "terminating_age": {"type": "int", "default": 300},
    "completed_age": {"type": "int", "default": 3600},
    "image_pull_grace": {"type": "int", "default": 60},
    "crash_restarts": {"type": "int", "default": 5},
}
REAP: dict[str, dict[str, Any]] = {
    "classes": {
        "type": "list",
        "elements": "str",
        "choices": list(CLASSES),
        "default": list(DEFAULT_CLASSES),
    },
    "include_bare": {"type": "bool", "default": False},
    "include_jobs": {"type": "bool", "default": False},
    "remove_finalizers": {"type": "list", "elements": "str", "default": []},
    "namespace_budget": {"type": "int"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 120},
    "evidence_log_pods": {"type": "int", "default": 20},
    "workers": {"type": "int", "default": 12},
    "list_limit": {"type": "int", "default": 500},
}
_COUNTS = (
    "min_age",
    "unknown_grace",
    "terminating_age",
    "completed_age",
    "image_pull_grace",
    "crash_restarts",
    "namespace_budget",
    "wait_timeout",
    "evidence_log_pods",
    "budget",
    "list_limit",
)


def from_params(params: dict[str, Any]) -> Options:
    """Options from module parameters. Raises HoldfastError for a number below zero or a namespace both wanted and excluded."""
    for name in _COUNTS:
        if params.get(name) is not None and params[name] < 0:
            raise HoldfastError("must not be negative", field=name, value=params[name], fix="use 0 or more")
    both = sorted(set(params["namespaces"]) & set(params["exclude_namespaces"]))
    if both:
        raise HoldfastError(
            "is both wanted and excluded",
            field="namespaces",
            value=both[0],
            fix="remove it from one of the two",
        )
    return Options(
        classes=tuple(params.get("classes") or CLASSES),
        namespaces=tuple(params["namespaces"]),
        excluded=tuple(params["exclude_namespaces"]),
        label_selector=params["label_selector"],
        min_age=params["min_age"],
        owner_kinds=tuple(params["owner_kinds"]),
        bare=bool(params.get("include_bare")),
        jobs=bool(params.get("include_jobs")),
        finalizers=tuple(params.get("remove_finalizers") or ()),
        unknown_grace=params["unknown_grace"],
        terminating_age=params["terminating_age"],
        completed_age=params["completed_age"],
        image_pull_grace=params["image_pull_grace"],
        crash_restarts=params["crash_restarts"],
        namespace_budget=params.get("namespace_budget"),
    )

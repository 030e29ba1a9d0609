"""The backup is let in to a database that is closed to others, and closes none that is open."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from sample_settings import GIVEN

from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    manifests,
    policies,
    settings,
    setup,
)

PODS = [{"app": "postgres", "tier": "data"}]
OURS = "postgres-backup-to-database"


def policy(selector: Optional[dict[str, Any]] = None, *types: str, **labels: str) -> dict[str, Any]:
    spec = {"podSelector": selector or {}, **({"policyTypes": list(types)} if types else {})}
    return {"metadata": {"name": "p", "labels": labels}, "spec": spec}


def rule(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("found", "guarded"),
    [
        ([], False),
        ([policy()], True),
        ([policy({}, "Ingress", "Egress")], True),
        ([policy({}, "Egress")], False),
        ([policy({"matchLabels": {"tier": "data"}})], True),
        ([policy({"matchLabels": {"tier": "web"}})], False),
        ([policy(rule("app", "In", "api", "postgres"))], True),
        ([policy(rule("app", "NotIn", "postgres"))], False),
        ([policy(rule("gone", "NotIn", "x"))], True),
        ([policy(rule("tier", "Exists"))], True),
        ([policy(rule("tier", "DoesNotExist"))], False),
        ([policy({}, **{manifests.ROLE_LABEL: "another-backup"})], False),
    ],
)
def test_whether_somebody_guards_the_database(found: list[dict[str, Any]], guarded: bool) -> None:
    assert policies.guarded(found, PODS) is guarded


class Api:
    """A namespace with one database and these policies."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        pod = {"metadata": {"labels": PODS[0]}, "spec": {"containers": [{"image": "postgres:15"}]}}
        self.lists = {"Pod": [pod], "statefulsets": [{"spec": {"template": pod}}], "NetworkPolicy": found}

    def path_for(self, version: str, kind: str, namespace: str = "", name: Optional[str] = None) -> str:
        return name or ("statefulsets" if kind == "StatefulSet" else kind)

    def get(self, path: str) -> Optional[dict[str, Any]]:
        return {"spec": {"selector": {"app": "postgres"}}} if path == "postgres" else None

    def list(self, path: str, label_selector: str = "") -> list[dict[str, Any]]:
        found = self.lists.get(path, [])
        if path == "NetworkPolicy" and label_selector:
            found = [one for one in found if manifests.ROLE_LABEL in one["metadata"]["labels"]]
        return found

    def apply(self, obj: dict[str, Any], **_options: bool) -> dict[str, Any]:
        return obj


def observed(*found: dict[str, Any]) -> tuple[bool, list[str]]:
    """(whether the policy is wanted, names of what is to be removed)."""
    api: Any = Api(list(found))
    facts = setup._observe(settings.load(GIVEN), api, False, "", setup._NOTHING_KEPT)
    return OURS in {obj["metadata"]["name"] for obj in facts.wanted}, [
        obj["metadata"]["name"] for obj in facts.gone
    ]


def test_the_policy_comes_and_goes_with_those_of_others() -> None:
    mine = policy({}, **{manifests.ROLE_LABEL: "postgres-backup"})
    mine["metadata"]["name"] = OURS
    assert observed() == (False, []) and observed(policy()) == (True, [])
    assert observed(policy(), mine) == (True, []) and observed(mine) == (False, [OURS])

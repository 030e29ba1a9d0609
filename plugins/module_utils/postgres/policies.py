# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who already decides who may reach the database. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.manifests import ROLE_LABEL


def guarded(policies: Sequence[Mapping[str, Any]], pods: Sequence[Mapping[str, str]]) -> bool:
    """Whether a NetworkPolicy that no backup made restricts what reaches one of these pods (their labels).

    Without one everybody reaches them; a policy that lets the backup in would then shut everybody else out.
    """
    return any(
        _ingress(policy["spec"])
        and any(selects(policy["spec"].get("podSelector") or {}, pod) for pod in pods)
        for policy in policies
        if ROLE_LABEL not in (policy["metadata"].get("labels") or {})
    )


def _ingress(spec: Mapping[str, Any]) -> bool:
    return "Ingress" in (spec.get("policyTypes") or ["Ingress"])


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; an empty one selects everything. Pure."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(rule, labels) for rule in selector.get("matchExpressions") or []
    )


def _holds(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    there, operator = rule["key"] in labels, rule["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return there == (operator == "Exists")
    listed = there and labels[rule["key"]] in (rule.get("values") or [])
    return bool(listed) == (operator == "In")

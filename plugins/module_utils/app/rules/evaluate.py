# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All rules over one application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules import (
    capacity,
    data,
    exposure,
    images,
    labels,
    pods,
    ports,
    references,
    scaling,
    schedules,
    secrets,
    security,
    storage,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import SEVERITIES, Finding, waive

MODULES = (
    references,
    scaling,
    data,
    storage,
    images,
    secrets,
    pods,
    security,
    ports,
    labels,
    exposure,
    schedules,
    capacity,
)
RULES = tuple(rule for module in MODULES for rule in module.RULES)
# Rules that need the cluster; their ids may stand in a waiver as well.
LIVE = (
    "cluster.version", "cluster.ingress_class", "cluster.storage_class", "cluster.crd", "cluster.claim", "cluster.secret",
    "cluster.secret_lost", "cluster.endpoint", "cluster.metrics", "cluster.capacity", "cluster.foreign_owner", "cluster.secret_store",
)  # fmt: skip


KNOWN = frozenset(
    [
        "backup.rpo",
        "capacity.cpu",
        "capacity.memory",
        "capacity.storage",
        "config.missing_key",
        "config.unknown",
        "data.even_members",
        "data.mongodb_auth",
        "data.no_engine",
        "data.no_host",
        "data.pool_sum",
        "data.replicas",
        "delivery.incomplete",
        "env.polling_needs_sticky",
        "env.required",
        "env.value",
        "image.always_local_registry",
        "image.latest",
        "image.moving_pull_policy",
        "image.tag_policy",
        "ingress.duplicate",
        "ingress.headers_class",
        "ingress.unknown_port",
        "ingress.unknown_service",
        "labels.key",
        "labels.reserved",
        "labels.selector",
        "labels.selector_shared",
        "labels.value",
        "jobs.unknown_service",
        "mode.unknown",
        "names.clash",
        "names.form",
        "off_hours.delivery",
        "off_hours.incomplete",
        "off_hours.production",
        "off_hours.unknown",
        "pdb.blocks_drain",
        "ports.duplicate",
        "ports.node_port_range",
        "ports.node_port_taken",
        "objects.twice",
        "ports.node_port_unused",
        "probes.budget",
        "probes.missing",
        "probes.no_port",
        "probes.no_target",
        "probes.successes",
        "profile.single_autoscaling",
        "profile.single_replicas",
        "resources.memory_unit",
        "resources.missing",
        "resources.request_above_limit",
        "scaling.duplicate_work",
        "scaling.hpa_range",
        "scaling.hpa_replicas",
        "scaling.hpa_requests",
        "scaling.shared_state",
        "secrets.extra_key",
        "schedule.value",
        "secrets.literal",
        "secrets.missing_key",
        "secrets.missing_value",
        "secrets.no_store",
        "secrets.provider_fields",
        "secrets.unknown",
        "security.pod_security",
        "security.root",
        "security.user_zero",
        "split.unknown",
        "spread.strands_pods",
        "storage.data_without_size",
        "storage.duplicate_mount",
        "storage.rwo_replicas",
        "storage.rwx_class",
        "storage.unknown_claim",
        "strategy.stands_still",
        "tls.class",
        "tls.no_issuer",
        "tls.no_secret",
        "uses.unknown",
        "wait.cycle",
        "wait.no_port",
        "wait.order",
        "wait.unknown",
        "waiver.unknown",
    ]
) | frozenset(LIVE)


def evaluate(app: Mapping[str, Any]) -> list[Finding]:
    """Every finding of every rule, errors first, waivers applied."""
    findings = [finding for rule in RULES for finding in rule(app)]
    for number, waiver in enumerate(app["waivers"]):
        if waiver["rule"] not in KNOWN:
            findings.append(
                Finding(
                    "waiver.unknown",
                    f"waivers[{number}].rule",
                    "There is no such rule.",
                    "take the id from the brackets at the end of a message",
                    waiver["rule"],
                )
            )
    waived = waive(findings, app["waivers"])
    return sorted(
        waived, key=lambda finding: (SEVERITIES.index(finding.severity), finding.path, finding.rule)
    )

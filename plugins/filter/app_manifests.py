# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters that turn application values into manifests or findings, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.holdfast.k3s.plugins.module_utils.app import files, off_hours, release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.pipelines import files as pipelines
from ansible_collections.holdfast.k3s.plugins.module_utils.app.plain import plain
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

Values = Mapping[str, Any]


def app_manifests(values: Values, *overlays: Values) -> list[dict[str, Any]]:
    """The manifests of values with overlays laid over them, in apply order; Secrets come without their values."""
    try:
        return release.build(plain(values), plain(overlays))[1].manifests
    except HoldfastError as failure:
        raise AnsibleFilterError(str(failure)) from failure


def app_files(values: Values, *overlays: Values) -> list[dict[str, str]]:
    """The same as the files of a kustomize directory, and the pipeline: a list of path and content."""
    try:
        app, rendered, _findings = release.build(plain(values), plain(overlays))
    except HoldfastError as failure:
        raise AnsibleFilterError(str(failure)) from failure
    found = {**files.kustomize(app, rendered), **pipelines.files(app)}
    return [{"path": path, "content": content} for path, content in found.items()]


def app_findings(values: Values, *overlays: Values) -> list[dict[str, Any]]:
    """Every finding about the values, as data; empty when there is nothing to say."""
    return [finding.as_dict() for finding in release.check(plain(values), plain(overlays))[1]]


def app_off_hours(values: Values, *overlays: Values) -> dict[str, Any]:
    """What the off-hours timer on the host has to know; empty when there are no off hours."""
    try:
        return off_hours.settings(release.build(plain(values), plain(overlays))[0])
    except HoldfastError as failure:
        raise AnsibleFilterError(str(failure)) from failure


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {
            "app_manifests": app_manifests,
            "app_files": app_files,
            "app_findings": app_findings,
            "app_off_hours": app_off_hours,
        }

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pipeline file that an application's values ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.pipelines import github, gitlab

_KINDS: dict[str, Any] = {"gitlab": gitlab, "github": github}


def files(app: Mapping[str, Any]) -> dict[str, str]:
    """Path to content; nothing without `ci`."""
    import yaml  # late: only who writes files needs it

    class Dumper(yaml.SafeDumper):
        """A file for people: what occurs twice is written twice."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    ci = app.get("ci")
    if not ci:
        return {}
    kind = _KINDS[ci["kind"]]
    head = "# Rendered by holdfast.k3s from the application's values: change these, and render again.\n"
    text = yaml.dump(kind.pipeline(app), Dumper=Dumper, sort_keys=False, default_flow_style=False, width=1000)
    return {ci.get("file", kind.FILE): head + text}

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Facts of a healthy moment, and a host that can hardly answer, for the tests of health."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.health.cluster_facts import (
    ClusterFacts,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import SPEC
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts

NOW = FakeClock().now()
PARAMS: dict[str, Any] = {name: option.get("default") for name, option in SPEC.items()}


def iso(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def node(**conditions: str) -> dict[str, Any]:
    listed = [{"type": kind, "status": status, "message": "m"} for kind, status in conditions.items()]
    return {"metadata": {"name": "n"}, "status": {"conditions": listed}}


def cluster(**given: Any) -> ClusterFacts:
    look = Facts(now=NOW)
    for key in ("pvcs", "owners", "events"):
        if key in given:
            setattr(look, key, given.pop(key))
    return ClusterFacts(look=look, **given)


MUSIC = {"namespace": "music", "database": "musicdb"}
FEWER = [
    {"table": "public.tracks", "rows": 3, "expected": 8},
    *({"table": f"public.t{number}", "rows": None, "expected": 1} for number in range(6)),
]


class Commands:
    """systemctl, k3s and timedatectl, as far as health asks them."""

    def run(self, argv: list[str], **_options: Any) -> Result:
        if "systemctl" in argv:
            return Result(argv, 0, out="ActiveState=active\nSubState=running\nLoadState=loaded\n")
        if "certificate" in argv:
            leaf = {"Filename": "a.crt", "Usages": ["ServerAuth"], "ResidualTime": 10 * 86400 * 10**9}
            authority = {"Filename": "a.crt", "Usages": ["CertSign"], "ResidualTime": 0}
            return Result(argv, 0, out=json.dumps({"Certificates": [leaf, authority]}))
        raise HoldfastError("no such program")

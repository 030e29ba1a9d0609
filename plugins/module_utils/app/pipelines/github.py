# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A GitHub workflow: every image in a job of its own, then the environments one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.pipelines import common

FILE = ".github/workflows/deploy.yml"
_CHECKOUT = {"uses": "actions/checkout@v5"}


def pipeline(app: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow as data."""
    ci = app["ci"]
    secrets = {name: f"${{{{ secrets.{name} }}}}" for name in common.required(ci)}
    jobs: dict[str, Any] = {
        "required-variables": _job([{"run": _lines(common.missing_variables(secrets)), "env": secrets}])
    }
    before = ["required-variables"]
    for name, given in ci["builds"].items():
        tests = [*(given or {}).get("lint", []), *(given or {}).get("test", [])]
        steps: list[dict[str, Any]] = [_CHECKOUT]
        if tests:
            steps.append({"run": _lines(tests), "working-directory": given.get("context", name)})
        steps += (
            [{"name": "Sign in", "run": _lines(ci.get("sign_in") or []), "env": secrets}]
            if ci.get("sign_in")
            else []
        )
        lines = common.build(app, name, commit="GITHUB_SHA", branch="GITHUB_REF_NAME")
        steps.append({"name": f"Build {name}", "run": _lines(["VERSION=$GITHUB_SHA", *lines])})
        jobs[f"build-{name}"] = _job(steps, needs=["required-variables"])
        before.append(f"build-{name}")
    for name, given in (ci.get("environments") or {}).items():
        lines = ["export VERSION=$GITHUB_SHA", *common.deploy(app, name)]
        looks = [common.look(given["url"].rstrip("/") + path) for path in given.get("health", ["/health"])]
        steps = [
            _CHECKOUT,
            {"name": "Deliver", "run": _lines(lines), "env": secrets},
            {"name": "Look", "run": _lines(looks)},
        ]
        # An approval is a setting of the environment at GitHub.
        jobs[f"deploy-{name}"] = {
            **_job(steps, needs=before),
            "environment": {"name": name, "url": given["url"]},
        }
        before = [f"deploy-{name}"]
    return {
        "name": f"Deliver {app['name']}",
        "on": {"push": {"branches": ["main"]}},
        "permissions": {"contents": "read"},
        "concurrency": {"group": f"deliver-{app['name']}", "cancel-in-progress": False},
        "jobs": jobs,
    }


def _job(steps: list[dict[str, Any]], needs: Optional[list[str]] = None) -> dict[str, Any]:
    return {"runs-on": "ubuntu-24.04", **({"needs": needs} if needs else {}), "steps": steps}


def _lines(lines: Any) -> str:
    return "\n".join(["set -eu", *lines]) + "\n"

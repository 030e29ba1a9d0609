# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the pipelines of every CI service have in common: lines for the shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

# They say which build an image is; a registry shows them, and so does every runtime.
LABELS = ("git.commit", "git.branch", "build.date")
SCANNER = "aquasec/trivy:0.65.0"
_SOCKET = "/var/run/docker.sock"
_PREPARE = ("pip install ansible-core jsonschema", "ansible-galaxy collection install holdfast.k3s")


def required(ci: Mapping[str, Any]) -> list[str]:
    """Every variable that has to be set, in the order of the inventory."""
    return [name for names in (ci.get("variables") or {}).values() for name in names]


def missing_variables(names: Iterable[str]) -> list[str]:
    """Lines that name every variable without a value at once, and never a value."""
    return [
        'missing=""',
        f'for name in {" ".join(names)}; do [ -n "$(printenv "$name")" ] || missing="$missing $name"; done',
        'if [ -n "$missing" ]; then echo "These variables have no value:$missing" >&2; exit 1; fi',
    ]


def repository(app: Mapping[str, Any], name: str) -> str:
    """Where an image of the application lives, without a tag."""
    registry = str(app["image"].get("registry") or "").rstrip("/")
    return f"{registry}/{name}" if registry else name


def build(app: Mapping[str, Any], name: str, *, commit: str, branch: str) -> list[str]:
    """Lines that build one image, refuse it when it is vulnerable, and push it.

    commit, branch: the variables in which the CI service keeps them. The tag is the values' `ci.tag`, as the shell reads it.
    """
    ci = app["ci"]
    given = ci["builds"][name] or {}
    image = f'"{repository(app, name)}:{ci["tag"]}"'
    values = (f"${commit}", f"${branch}", "$(date -u +%Y-%m-%dT%H:%M:%SZ)")
    labels = " ".join(f'--label "{label}={value}"' for label, value in zip(LABELS, values))
    target = f" --target {shlex.quote(given['target'])}" if given.get("target") else ""
    return [
        f'echo "building {name}, commit ${commit}, branch ${branch}"',
        f"docker build{target} {labels} --tag {image} {shlex.quote(given.get('context', name))}",
        f"docker run --rm --volume {_SOCKET}:{_SOCKET} {SCANNER} image --exit-code 1 --severity {ci.get('block', 'CRITICAL')} {image}",
        f"docker push {image}",
    ]


def deploy(app: Mapping[str, Any], name: str) -> list[str]:
    """Lines that deliver to one environment. A kubeconfig comes from a variable and is readable for its owner alone."""
    ci = app["ci"]
    given = ci["environments"][name]
    words = ["ansible-playbook", "holdfast.k3s.site", "--tags", "app", "--inventory", given["inventory"]]
    for key, value in sorted((given.get("variables") or {}).items()):
        words += ["--extra-vars", f"{key}={value}"]
    command = f'{shlex.join(words)} --extra-vars "{ci["version_variable"]}=$VERSION"'
    lines = list(ci.get("prepare") or _PREPARE)
    if given.get("kubeconfig"):
        lines += ["umask 077", f'printf %s "${given["kubeconfig"]}" | base64 -d > kubeconfig']
        command += ' --connection local --extra-vars "ansible_become=false app_kubeconfig=$PWD/kubeconfig"'
    return [*lines, command]


def look(url: str) -> str:
    """A line that waits until an address answers well, some minutes at most."""
    return f"curl -fsS --retry 20 --retry-delay 10 --retry-all-errors -o /dev/null {shlex.quote(url)}"


def notice(app: Mapping[str, Any], words: str) -> str:
    """A line that tells Slack, where there is an address for it; no notice makes a job fail."""
    body = shlex.quote(json.dumps({"text": f"{app['name']}: {words}"}))
    send = f"curl -sS --max-time 20 -H 'Content-Type: application/json' -d {body} \"$SLACK_WEBHOOK_URL\""
    return f'[ -z "${{SLACK_WEBHOOK_URL:-}}" ] || {send} || true'

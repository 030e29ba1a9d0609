# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what is wanted and what is there to the smallest set of changes and to the diff that shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.files.model import Current, Entry

_DIFF_LIMIT = 65536


def difference(entry: Entry, current: Current) -> str:
    """Why the path is not as wanted, in words; empty when it is."""
    if entry.state == "absent":
        return "" if current.kind == "missing" else f"there is a {current.kind}"
    if current.kind == "missing":
        return "missing"
    if current.kind != entry.state:
        return f"is a {current.kind}"
    if entry.state == "link":
        return "" if current.src == entry.src else f"points to {current.src}"
    if entry.state == "file" and current.content != entry.content:
        return "content differs"
    return attributes(entry, current)


def attributes(entry: Entry, current: Current) -> str:
    """Which of mode and ownership differ, in words; empty when none does."""
    reasons = []
    if entry.mode is not None and entry.mode != current.mode:
        reasons.append(f"mode {current.mode:04o} instead of {entry.mode:04o}")
    if (entry.owner, entry.group) != (current.owner, current.group):
        reasons.append(f"owner {current.owner}:{current.group} instead of {entry.owner}:{entry.group}")
    return ", ".join(reasons)


def plan(entries: Sequence[Entry], current: Mapping[str, Current]) -> list[Action]:
    """One action for each path that differs: `write`, `mkdir`, `link`, `remove` or `attributes`."""
    actions = []
    for entry in entries:
        now = current.get(entry.path, Current())
        why = difference(entry, now)
        if why:
            actions.append(Action(_kind(entry, now), entry.path, why, destructive=entry.state == "absent"))
    return actions


def diffs(entries: Sequence[Entry], current: Mapping[str, Current]) -> list[dict[str, Any]]:
    """Ansible's diff entries for what the plan would change; secret content is not shown."""
    found = []
    for entry in entries:
        now = current.get(entry.path, Current())
        if difference(entry, now):
            found.append(
                {
                    "before_header": entry.path,
                    "after_header": entry.path,
                    "before": _shown(
                        now.kind, now.content, now.src, now.mode, now.owner, now.group, entry.secret, "old"
                    ),
                    "after": _shown(
                        "missing" if entry.state == "absent" else entry.state,
                        entry.content,
                        entry.src,
                        now.mode if entry.mode is None else entry.mode,
                        entry.owner,
                        entry.group,
                        entry.secret,
                        "new",
                    ),
                }
            )
    return found


def _kind(entry: Entry, current: Current) -> str:
    if entry.state == "absent":
        return "remove"
    if entry.state == current.kind and (entry.state == "directory" or entry.content == current.content):
        return "attributes" if entry.state != "link" else "link"
    return {"file": "write", "directory": "mkdir", "link": "link"}[entry.state]


def _shown(
    kind: str, content: bytes, src: str, mode: int, owner: str, group: str, secret: bool, label: str
) -> str:
    if kind == "missing":
        return ""
    if kind == "link":
        return f"link to {src}\n"
    head = f"# {kind} {mode:04o} {owner}:{group}\n"
    if kind != "file":
        return head
    if secret:
        return (
            f"{head}({label} content, not shown)\n"  # not even a digest: short secrets can be guessed from it
        )
    return head + content[:_DIFF_LIMIT].decode("utf-8", "replace")

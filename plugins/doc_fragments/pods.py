# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of pods.options.SELECT."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared documentation."""

    DOCUMENTATION = r"""
options:
  namespaces:
    description: Only pods of these namespaces; all when empty.
    type: list
    elements: str
    default: []
  exclude_namespaces:
    description: Pods of these namespaces are never looked at, whatever else matches.
    type: list
    elements: str
    default: []
  label_selector:
    description: Only pods that this selector matches.
    type: str
  min_age:
    description: Only pods that were created at least so many seconds ago.
    type: int
    default: 0
  owner_kinds:
    description: Only pods whose controller is of one of these kinds, such as V(ReplicaSet); all when empty.
    type: list
    elements: str
    default: []
  unknown_grace:
    description: Seconds for which a pod may be Unknown before it counts; after a power loss most come back alone.
    type: int
    default: 120
  terminating_age:
    description: Seconds past the end of its own grace period until a pod that is being deleted counts as stuck.
    type: int
    default: 300
  completed_age:
    description: Seconds after its end until a Succeeded pod counts.
    type: int
    default: 3600
  image_pull_grace:
    description: Seconds for which a pod may wait for an image that failed to be pulled before it counts.
    type: int
    default: 60
  crash_restarts:
    description: Restarts after which a pod in CrashLoopBackOff counts.
    type: int
    default: 5
"""

#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the image registry back, and the pods that wait for its images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_recover
short_description: Bring the image registry back, and the pods that wait for its images
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Finds out why images cannot be pulled and does the smallest thing that heals it.
  - Restarts the registry if it does not answer, lets k3s write hosts.toml again if containerd does not follow registries.yaml,
    puts lost images back from containerd's own store or from tar files, and then retries the waiting pods.
  - Pods are deleted only where an owner makes new ones, exactly as they were seen, and after evidence was written.
  - What was put back is pulled through the node's effective configuration before it counts as healed.
options:
  registry:
    description: Host and port of the registry, as the images name it.
    type: str
    default: localhost:5000
  unit:
    description: systemd unit that runs the registry; a container of podman or Docker, or a pod, is found by itself.
    type: str
    default: docker-registry.service
  username:
    description: User for basic auth; without it the credentials of C(configs) in O(registries_yaml) are used.
    type: str
  password:
    description: Password for basic auth.
    type: str
  ca_file:
    description: PEM file on the host that signs the registry's certificate; else the one of C(configs) in O(registries_yaml).
    type: path
  namespaces:
    description: Look only at pods and workloads of these namespaces; all when empty.
    type: list
    elements: str
    default: []
  archives:
    description: Directories on the host with tar files of images; k3s's C(agent/images) when empty.
    type: list
    elements: path
    default: []
  registries_yaml:
    description: k3s's registry configuration.
    type: path
    default: /etc/rancher/k3s/registries.yaml
  data_dir:
    description: Data directory of k3s.
    type: path
    default: /var/lib/rancher/k3s
  slow_pull_minutes:
    description: A pull that lasts longer is something to act on; a shorter one is only waited for (minutes).
    type: int
    default: 30
  retry_pods:
    description: Delete pods that wait in back-off although their image can be had again, so that their owner makes new ones.
    type: bool
    default: true
  restart_k3s:
    description: Allow a restart of k3s, which writes hosts.toml from registries.yaml; pods keep running.
    type: bool
    default: true
  k3s_unit:
    description: systemd unit of k3s.
    type: str
    default: k3s
  registry_timeout:
    description: Seconds that the registry may take to answer after its restart.
    type: int
    default: 60
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
  - holdfast.k3s.evidence
attributes:
  check_mode:
    description: Can run in check mode; the plan is the preview.
    support: full
seealso:
  - module: holdfast.k3s.registry_info
  - module: holdfast.k3s.pod_reap
"""

EXAMPLES = r"""
- name: Show what would be done
  holdfast.k3s.registry_recover:
  check_mode: true
  become: true

- name: Make images available again
  holdfast.k3s.registry_recover:
  become: true
"""

RETURN = r"""
timing:
  description: When it began (C(at)), seconds until the plan stood (C(detect)) and in all (C(seconds)).
  returned: always
  type: dict
url:
  description: Address at which the registry was asked.
  returned: success
  type: str
runner:
  description: How the registry runs (C(kind) unit, podman, docker, pod or nobody), its name and state.
  returned: success
  type: dict
answers:
  description: Whether the registry answers as version 2.
  returned: success
  type: bool
repositories:
  description: The registry's catalogue.
  returned: success
  type: list
  elements: str
needed:
  description: Images of this registry that live or desired pods need.
  returned: success
  type: list
  elements: str
missing:
  description: Needed images whose manifest or blobs the registry cannot serve.
  returned: success
  type: list
  elements: str
deviation:
  description: How containerd's effective configuration differs from registries.yaml; empty when it follows it.
  returned: success
  type: str
failing:
  description: Pods that wait for an image, each with the cause and what to do.
  returned: success
  type: list
  elements: dict
  contains:
    pod:
      description: Namespace and name.
      type: str
    image:
      description: The image.
      type: str
    cause:
      description: Stable id such as REGISTRY-DOWN, HOSTS-TOML, DNS, TLS, CLOCK, AUTH, TAG-MISSING, BLOB-MISSING, UNSERVED, DISK-FULL, ARCH, RATE-LIMIT, TYPO.
      type: str
    why:
      description: What was seen.
      type: str
    fix:
      description: What heals it.
      type: str
images:
  description: Verdict by image, for failing and missing ones.
  returned: success
  type: dict
slow_pulls:
  description: Pods whose pull is under way, with minutes so far and the verdict wait or act.
  returned: success
  type: list
  elements: dict
found:
  description: Verdict by image before anything was done.
  returned: when not in check mode
  type: dict
pulled:
  description: For each image that was put back, C(ok) or why the node cannot pull it.
  returned: when not in check mode
  type: dict
plan:
  description: The planned actions with target, reason and risk.
  returned: always
  type: list
  elements: dict
actions:
  description: What came of each action.
  returned: always
  type: list
  elements: dict
verified:
  description: Whether all is well, as far as it was seen at the end.
  returned: always
  type: bool
evidence:
  description: Path of the evidence bundle on the host, when pods were deleted.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.recover import recover


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "registry": {"type": "str", "default": "localhost:5000"},
        "unit": {"type": "str", "default": "docker-registry.service"},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "ca_file": {"type": "path"},
        "namespaces": {"type": "list", "elements": "str", "default": []},
        "archives": {"type": "list", "elements": "path", "default": []},
        "registries_yaml": {"type": "path", "default": "/etc/rancher/k3s/registries.yaml"},
        "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
        "slow_pull_minutes": {"type": "int", "default": 30},
        "retry_pods": {"type": "bool", "default": True},
        "restart_k3s": {"type": "bool", "default": True},
        "k3s_unit": {"type": "str", "default": "k3s"},
        "registry_timeout": {"type": "int", "default": 60},
        **argspec.CLUSTER,
        **argspec.TIMING,
        **argspec.EVIDENCE,
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One recovery."""
    client = Client.connect(params["kubeconfig"], params["context"], timeout=params["api_timeout"])
    return recover(params, check_mode, cluster=client)


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()

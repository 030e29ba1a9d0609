#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at the image registry and at every image that pods need."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_info
short_description: Look at the image registry and at every image that pods need
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Finds out how the registry runs, whether it answers, and whether it can serve the manifest and the last byte of every blob
    of each image that live or desired pods need.
  - Names the cause for every pod that waits for an image, one of more than ten.
  - Changes nothing.
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
extends_documentation_fragment:
  - holdfast.k3s.cluster
attributes:
  check_mode:
    description: Changes nothing in either mode.
    support: full
seealso:
  - module: holdfast.k3s.registry_recover
"""

EXAMPLES = r"""
- name: What does the registry lack
  holdfast.k3s.registry_info:
  become: true
  register: registry
"""

RETURN = r"""
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
healthy:
  description: Whether the registry answers, has what is needed, is reached as configured, and no pod waits for its images.
  returned: success
  type: bool
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.recover import info


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
        **argspec.CLUSTER,
    }


def body(params: dict[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """One look."""
    client = Client.connect(params["kubeconfig"], params["context"], timeout=params["api_timeout"])
    return info(params, cluster=client)


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()

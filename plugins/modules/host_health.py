#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One look at a k3s host: healthy, degraded or down, and why."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_health
short_description: Judge a k3s host as healthy, degraded or down, with the reasons
version_added: "0.1.0"
description:
  - One pass over service, API, nodes, pods by class, restarts, claims and disks, memory, certificates, clock, datastore,
    registry, age of the newest and of the newest verified backup, CronJobs, Flux objects (if their CRDs exist), pods without
    limits, and pending reboots.
  - Changes nothing. An API that is down is a finding, not an error; what the host itself can tell is still told.
author:
  - Holdfast maintainers (@holdfast)
options:
  areas:
    description: What to judge. Only findings of these areas are returned and count.
    type: list
    elements: str
    choices:
      - k3s
      - api
      - node
      - pods
      - storage
      - disk
      - memory
      - certificates
      - clock
      - datastore
      - database
      - registry
      - backup
      - jobs
      - gitops
      - limits
      - reboot
    default:
      - k3s
      - api
      - node
      - pods
      - storage
      - disk
      - memory
      - certificates
      - clock
      - datastore
      - database
      - registry
      - backup
      - jobs
      - gitops
      - limits
      - reboot
  namespaces:
    description: Look only at workloads of these namespaces; all when empty.
    type: list
    elements: str
    default: []
  system_namespaces:
    description: Namespaces whose pods may be without limits.
    type: list
    elements: str
    default: [kube-system]
  disk_percent:
    description: Percent of a filesystem, its inodes, or a claim from which on it is degraded.
    type: int
    default: 85
  disk_percent_down:
    description: The same from which on it is down; k3s evicts pods at 95.
    type: int
    default: 95
  memory_percent:
    description: Percent of the host's memory in use from which on it is degraded.
    type: int
    default: 90
  restarts_per_hour:
    description: Restarts of a container that restarted within the hour, and is not Ready, from which on it is degraded.
    type: int
    default: 3
  slow_pull:
    description: Seconds that pulling an image may take; until then it is only noted.
    type: int
    default: 1800
  start_grace:
    description: Seconds that a new pod may take to become Ready; until then it is only noted.
    type: int
    default: 300
  certificate_days:
    description: Days before a certificate expires from which on it is degraded.
    type: int
    default: 30
  datastore_mb:
    description: Size of the datastore in MB from which on it is degraded.
    type: int
    default: 2048
  backup_hours:
    description: Hours that the newest backup may be old when the backup itself states no limit.
    type: int
    default: 26
  verified_backup_hours:
    description: Hours that the newest verified backup may be old when the backup itself states no limit.
    type: int
    default: 192
  registry_url:
    description:
      - Address of the local registry, or its host and port as images name it; empty when there is none.
      - Without a scheme it is asked as containerd does, with what C(registries.yaml) says of its endpoint, TLS and login.
    type: str
    default: localhost:5000
  service:
    description: Name of the systemd unit of k3s.
    type: str
    default: k3s
  data_dir:
    description: Data directory of k3s.
    type: path
    default: /var/lib/rancher/k3s
  state_dir:
    description: Where Holdfast keeps its state on the host.
    type: path
    default: /var/lib/holdfast
  expected_claims:
    description: Persistent volume claims that must exist, be Bound and have at least this size.
    type: list
    elements: dict
    default: []
    suboptions:
      namespace:
        description: Namespace of the claim.
        type: str
        required: true
      name:
        description: Name of the claim.
        type: str
        required: true
      size:
        description: Smallest size, such as V(10Gi).
        type: str
  row_checks:
    description: Tables to count exactly, with psql in the pod of the database (area V(database)).
    type: list
    elements: dict
    default: []
    suboptions:
      namespace:
        description: Namespace of the pod.
        type: str
        required: true
      pod:
        description: Pod of the database.
        type: str
        required: true
      container:
        description: Its container, when there are several.
        type: str
      user:
        description: Database user, who may connect locally without a password.
        type: str
        required: true
      database:
        description: Name of the database.
        type: str
        required: true
      table:
        description: Table, with its schema if it is not on the search path.
        type: str
        required: true
      min_rows:
        description: Fewest rows that are right.
        type: int
        default: 0
  backup_rows:
    description:
      - Count every table that the newest backup's manifest names (area V(database)), for each database that role C(backup) looks
        after on this host. Fewer rows than the manifest has, or a missing table, is down. Counted once, when all else is well.
    type: bool
    default: false
  rows_may_shrink:
    description: Patterns of C(DATABASE.SCHEMA.TABLE) whose rows come and go, such as C(musicdb.public.sessions).
    type: list
    elements: str
    default: []
  wait:
    description: Look again until the verdict is V(healthy), or so many seconds have passed.
    type: int
    default: 0
extends_documentation_fragment:
  - holdfast.k3s.cluster
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Never changes anything.
    support: none
"""

EXAMPLES = r"""
- name: How is the host?
  holdfast.k3s.host_health:
  register: __health

- name: Fail unless it is healthy
  ansible.builtin.assert:
    that: __health.healthy
    fail_msg: "{{ __health.reasons | join('; ') }}"

- name: Only whether the services run, and the four claims of the application
  holdfast.k3s.host_health:
    areas: [k3s, api, node, pods, storage]
    expected_claims:
      - {namespace: music, name: postgres-data, size: 50Gi}
"""

RETURN = r"""
verdict:
  description: V(healthy), V(degraded) or V(down).
  returned: always
  type: str
healthy:
  description: Whether the verdict is V(healthy).
  returned: always
  type: bool
reasons:
  description: What the verdict rests on, the worst first.
  returned: always
  type: list
  elements: str
findings:
  description: Everything found, notes included.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Stable id of the finding.
      type: str
      sample: backup_unverified
    area:
      description: Its area.
      type: str
    severity:
      description: V(note), V(degraded) or V(down).
      type: str
    text:
      description: What was found, in one line.
      type: str
    fix:
      description: What to do about it.
      type: str
    plan:
      description: The steps, where there are several.
      type: list
      elements: str
    value:
      description: The number that it rests on.
      type: raw
waited:
  description: Seconds until the verdict.
  returned: always
  type: float
facts:
  description: The numbers behind the verdict, among them pods by class, disks, claims, budgets and the newest 20 events.
  returned: always
  type: dict
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.argspec import CLUSTER
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.health.assess import assess
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import SPEC


def body(params: dict[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    def connect() -> Client:
        return Client.connect(params["kubeconfig"], params["context"], timeout=params["api_timeout"])

    return assess(params, connect=connect)


def main() -> None:
    run_module({**CLUSTER, **SPEC}, body)


if __name__ == "__main__":
    main()

"""The Ansible inventory of this checkout's hosts: connection and lab values only."""

from __future__ import annotations

import json

from lab import mirror, record, ssh
from lab.paths import INVENTORY, KEY


def write() -> None:
    """Write ``.lab/inventory/hosts.yml`` (JSON is YAML) from the records, in one step."""
    hosts = {
        found.name: {
            "ansible_host": "127.0.0.1",
            "ansible_port": found.port,
            "ansible_user": ssh.USER,
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(KEY),
            "ansible_ssh_common_args": " ".join(ssh.common_options()),
            "ansible_python_interpreter": "/usr/bin/python3",
            "lab_host_address": found.address,
        }
        for found in record.all_records()
    }
    content = {"k3s_hosts": {"hosts": hosts, "vars": mirror.variables()}}
    INVENTORY.mkdir(parents=True, exist_ok=True)
    fresh = INVENTORY / ".hosts.new"
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.replace(INVENTORY / "hosts.yml")

"""What an operator types at the controller: modules and playbooks of this checkout, run on lab hosts."""

from __future__ import annotations

import os

from lab.paths import CHECKOUT


def environment() -> dict[str, str]:
    """Return the environment in which Ansible finds the checkout's settings and collections and prints plain text.

    Molecule forces colours on everything below it, and Ansible lets that win over ANSIBLE_NOCOLOR.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "ANSIBLE_FORCE_COLOR"}
    return {
        **inherited,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".ansible/collections"),
    }

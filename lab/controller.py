"""What an operator types at the controller: modules and playbooks of this checkout, run on lab hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.paths import CHECKOUT, INVENTORY

BIN = Path(sys.executable).parent
# What the lab adds to a system's own inventory: its sizes and images, and how to reach its hosts.
LAB = (str(CHECKOUT / "inventories/lab"), str(INVENTORY))


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


def run(argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible's in the checkout, without a terminal. timeout: seconds."""
    return subprocess.run(
        argv,
        cwd=CHECKOUT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def playbook(
    name: str,
    *arguments: str,
    limit: str,
    system: str | None = None,
    variables: dict[str, Any] | None = None,
    timeout: float = 1800,
) -> subprocess.CompletedProcess[str]:
    """Run a playbook: `holdfast.k3s.NAME`, or a path.

    arguments: further ones for ansible-playbook. limit: hosts. variables: extra ones, handed over in a private file.
    system: the inventory below inventories/ that comes before the lab's. timeout: seconds; it only ends what hangs.
    """
    own = [str(CHECKOUT / "inventories" / system)] if system else []
    argv = [str(BIN / "ansible-playbook"), name, "--limit", limit]
    argv += [word for inventory in (*own, *LAB) for word in ("-i", inventory)]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as extra:  # 0600, and nothing secret in any argv
        json.dump(variables or {}, extra)
        extra.flush()
        return run([*argv, "-e", f"@{extra.name}", *arguments], timeout)


def module_argv(name: str, host: str, options: dict[str, Any], check: bool = False) -> list[str]:
    """The command line of one of the collection's modules on a host."""
    argv = [str(BIN / "ansible"), "-i", str(INVENTORY), host, "--become", "-m", f"holdfast.k3s.{name}"]
    return [*argv, *(["-a", json.dumps(options)] if options else []), *(["--check"] if check else [])]


def module(
    name: str, host: str, options: dict[str, Any], check: bool = False, timeout: float = 900
) -> dict[str, Any]:
    """Result of one of the collection's modules on a host; a failed one has `failed: true`."""
    done = run(module_argv(name, host, options, check), timeout)
    head, arrow, rest = done.stdout.partition("=> ")
    assert arrow, f"no result: {done.stdout}\n{done.stderr}"
    return {**json.JSONDecoder().raw_decode(rest)[0], "failed": "FAILED" in head or "UNREACHABLE" in head}

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is, read once and without changing anything. `root` lets tests read a tree of their own."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.host.controls import (
    INOTIFY_SYSCTLS,
    KUBELET_SYSCTLS,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.host.listening import listeners

ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm"}
# How the unit that the role writes begins (roles/k3s/templates/k3s.service.j2).
UNIT_MARKER = "# Written by holdfast.k3s"
TOOLS = ("kubectl", "crictl", "ctr")
RIVALS = {
    "docker.service": "docker",
    "containerd.service": "containerd",
    "crio.service": "CRI-O",
    "kubelet.service": "kubelet",
    "rke2-server.service": "RKE2",
    "k0scontroller.service": "k0s",
    "snap.microk8s.daemon-kubelite.service": "MicroK8s",
}
CLOCK_SERVICES = (
    "chrony.service",
    "chronyd.service",
    "ntp.service",
    "ntpd.service",
    "ntpsec.service",
    "openntpd.service",
    "systemd-timesyncd.service",
)


def collect(ports: Collection[int], commands: Any, root: Path = Path("/")) -> dict[str, Any]:
    """Every fact that preflight and the hardening need, as plain values.

    ports: TCP ports whose listeners are wanted. commands: core's Commands.
    """
    container = (root / "run/systemd/container").exists()
    services = active_units(
        [*RIVALS, *CLOCK_SERVICES, "firewalld.service", "systemd-logind.service"], commands, root
    )
    return {
        "hostname": socket.gethostname(),
        "os": os_release(_read(root / "etc/os-release") or ""),
        "machine": platform.machine(),
        "arch": ARCHITECTURES.get(platform.machine(), ""),
        "systemd": (root / "run/systemd/system").is_dir(),
        "cgroup": cgroup(_read(root / "proc/self/mounts") or ""),
        "controllers": controllers(root),
        "modules": {name: module_state(name, root) for name in ("overlay", "br_netfilter", "nf_conntrack")},
        "listeners": [vars(item) for item in listeners(ports, root / "proc")],
        "free_mb": free_mb(root / "var/lib/rancher/k3s"),
        "memory_mb": memory_mb(_read(root / "proc/meminfo") or ""),
        "default_route": default_route(_read(root / "proc/net/route") or ""),
        "time": time.time(),
        "clock_services": sorted(services & set(CLOCK_SERVICES)),
        "encryption": encryption(
            _read(root / "var/lib/rancher/k3s/server/cred/encryption-config.json") or ""
        ),
        "rivals": sorted(RIVALS[name] for name in RIVALS if name in services),
        "firewalls": firewalls(services, _read(root / "etc/ufw/ufw.conf") or ""),
        "container": container,
        "logind": "systemd-logind.service" in services,
        "selinux_enforcing": (_read(root / "sys/fs/selinux/enforce") or "").strip() == "1",
        "selinux_policy": (root / "usr/share/selinux/packages/k3s.pp").exists(),
        "sysctls": {
            name: sysctl_state(name, value, root, container=container)
            for name, value in {**KUBELET_SYSCTLS, **INOTIFY_SYSCTLS}.items()
        },
        "pinned_node_name": pinned_node_name(root),
        "foreign_units": foreign_units(root),
        "installed": installed_version(commands, root),
        "tools": {name: tool_path(name) for name in TOOLS},
        "python": {name: _importable(name) for name in ("yaml", "kubernetes")},
    }


def os_release(text: str) -> dict[str, str]:
    """`id`, `like` and `version` of /etc/os-release."""
    found = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.MULTILINE))
    return {
        "id": found.get("ID", ""),
        "like": found.get("ID_LIKE", ""),
        "version": found.get("VERSION_ID", ""),
        "name": found.get("PRETTY_NAME", ""),
    }


def cgroup(mounts: str) -> str:
    """`v2`, `v1` (hybrid counts as v1, as the kubelet sees it) or `none`."""
    kinds = [
        line.split()[2]
        for line in mounts.splitlines()
        if len(line.split()) > 2 and line.split()[1] == "/sys/fs/cgroup"
    ]
    if not kinds:
        return "none"
    return "v2" if kinds[-1] == "cgroup2" else "v1"


def controllers(root: Path) -> list[str]:
    """Names of the enabled cgroup controllers, of either version."""
    unified = _read(root / "sys/fs/cgroup/cgroup.controllers")
    if unified is not None:
        return sorted(unified.split())
    lines = (_read(root / "proc/cgroups") or "").splitlines()[1:]
    return sorted(line.split()[0] for line in lines if line.split()[3:4] == ["1"])


def module_state(name: str, root: Path = Path("/")) -> str:
    """`loaded` (or built in), `loadable`, `missing`, or `unknown` where the kernel's module tree cannot be seen."""
    if (root / "sys/module" / name).exists() or name in (_read(root / "proc/filesystems") or "").split():
        return "loaded"
    tree = root / "lib/modules" / platform.release()
    index = "".join(_read(tree / part) or "" for part in ("modules.dep", "modules.builtin"))
    if not index:
        return "unknown"
    return "loadable" if f"/{name}.ko" in index else "missing"


def free_mb(path: Path) -> int:
    """Free space in MB where the path is, or will be."""
    while not path.exists():
        path = path.parent
    return int(shutil.disk_usage(path).free / 1_000_000)


def memory_mb(meminfo: str) -> int:
    """Total memory in MB."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found.group(1)) * 1024 // 1_000_000 if found else 0


def default_route(table: str) -> bool:
    """Whether /proc/net/route has a default route."""
    return any(line.split()[1:2] == ["00000000"] for line in table.splitlines()[1:])


def active_units(units: Collection[str], commands: Any, root: Path) -> set[str]:
    """Which of the units are active, in one call."""
    if not (root / "run/systemd/system").is_dir():
        return set()
    names = sorted(units)
    lines = commands.run(["systemctl", "is-active", *names], check=False).out.split()
    return {name for name, state in zip(names, lines) if state == "active"}


def firewalls(services: Collection[str], ufw_conf: str) -> list[str]:
    """Active firewall front ends that could cut pods off."""
    found = ["firewalld"] if "firewalld.service" in services else []
    return found + (["ufw"] if re.search(r"^ENABLED=yes", ufw_conf, re.MULTILINE) else [])


def sysctl_state(name: str, wanted: str, root: Path = Path("/"), *, container: bool = False) -> str:
    """`ok`, `writable`, or the reason why the value cannot be set here.

    In a container none counts as ours, whatever it is: these values are the whole machine's, and the kubelet may change
    them there, so the answer must not depend on them.

    The probe writes the current value back: root may open the file even where the kernel then refuses the write.
    """
    if container:
        return "this host is a container, the values belong to the machine below it"
    path = root / "proc/sys" / name.replace(".", "/")
    try:
        current = path.read_text().strip()
        if current == wanted:
            return "ok"
        with path.open("w") as stream:
            stream.write(current)
    except OSError as failure:
        return os.strerror(failure.errno or 0).lower()
    return "writable"


def encryption(config: str) -> bool:
    """Whether a cluster's encryption configuration encrypts what is written: its first provider has a key."""
    try:
        providers = json.loads(config)["resources"][0]["providers"]
    except (ValueError, LookupError, TypeError):
        return False
    return bool(providers) and "identity" not in providers[0]


def foreign_unit(unit: str, environment: str) -> dict[str, list[str]]:
    """What a unit of k3s that we did not write starts it with: names of `flags` and of `environment`, never a value.

    Both are empty for our own unit and for one that does not start k3s. environment: text of the unit's own env file.
    """
    lines = re.sub(r"\\\n\s*", " ", unit).splitlines()
    found = [_words(line.split("=", 1)[1]) for line in lines if line.startswith("ExecStart=")]
    commands = [words for words in found if words and words[0].lstrip("-@:+!").endswith("/k3s")]
    commands = [words for words in commands if words[1:2] in (["server"], ["agent"])]
    if not commands or any(line.startswith(UNIT_MARKER) for line in lines):
        return {"flags": [], "environment": []}
    inline = [word for line in lines if line.startswith("Environment=") for word in _words(line[12:])]
    assigned = [line.strip() for line in environment.splitlines()] + inline
    return {
        "flags": sorted({name for words in commands for name in map(_flag, words[1:]) if name}),
        "environment": sorted(
            {match.group(1) for match in (re.match(r"(K3S_\w+)=", word) for word in assigned) if match}
        ),
    }


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # an open quote, which systemd may understand
        return text.split()


def _flag(word: str) -> str:
    """The name of a flag without dashes and value; empty for a word that is none."""
    found = re.match(r"--([A-Za-z][\w-]*)(=|$)|-([A-Za-z])(=|$)", word)
    return (found.group(1) or found.group(3)) if found else ""


def foreign_units(root: Path) -> dict[str, dict[str, list[str]]]:
    """By unit name, those of k3s's units that somebody else wrote and that carry settings of their own."""
    directory = root / "etc/systemd/system"
    found = {
        path.name: foreign_unit(_read(path) or "", _read(directory / f"{path.name}.env") or "")
        for path in sorted(directory.glob("k3s*.service"))
    }
    return {name: about for name, about in found.items() if about["flags"] or about["environment"]}


def pinned_node_name(root: Path) -> str:
    """The node name of a cluster that already lives here; empty on a bare host."""
    if (
        not (root / "var/lib/rancher/k3s/server/db").exists()
        and not (root / "var/lib/rancher/k3s/agent/kubelet.kubeconfig").exists()
    ):
        return ""
    found = re.search(
        r"""^node-name:\s*["']?([^"'\s]+)""", _read(root / "etc/rancher/k3s/config.yaml") or "", re.MULTILINE
    )
    return found.group(1) if found else socket.gethostname().lower()


def installed_version(commands: Any, root: Path) -> str:
    """Version of the installed binary, empty when there is none or it does not run."""
    binary = root / "usr/local/bin/k3s"
    if not binary.exists():
        return ""
    result = commands.run([str(binary), "--version"], check=False, timeout=20)
    found = re.match(r"\S+ version (\S+)", result.out)
    return found.group(1) if found else ""


def tool_path(name: str) -> str:
    """Where a tool is found on the usual path, other than our own link; empty when nowhere."""
    for directory in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        path = Path(directory) / name
        if path.exists() and not (
            path.is_symlink() and str(path.readlink()) in ("k3s", "/usr/local/bin/k3s")
        ):
            return str(path)
    return ""


def _importable(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def summary(facts: Mapping[str, Any]) -> str:
    """One line that says what the host is."""
    return (
        f"{facts['os']['name'] or facts['os']['id']}, {facts['machine']}, cgroup {facts['cgroup']}, "
        f"{facts['memory_mb']} MB memory, {facts['free_mb']} MB free"
    )

# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a host's facts to problems that stop the run and warnings that do not. Pure: every check is a table row."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.host.config import REFUSED_KEYS

# The oldest releases whose own Python (3.9) can load the modules.
MINIMUM = {"debian": 11.0, "ubuntu": 22.04, "rhel": 9.0}
NEEDED_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_NODE_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
_CONFLICTS = ("kubelet", "RKE2", "k0s", "MicroK8s")

# Which variable of the role takes a flag of k3s, or a name of its environment; k3s_extra_config and k3s_environment the rest.
_SHORT = {"c": "config", "t": "token", "s": "server", "d": "data-dir", "o": "write-kubeconfig"}
_FLAG_HOMES = {
    "token": "k3s_token",
    "token-file": "k3s_token",
    "server": "k3s_server_url",
    "cluster-init": "k3s_cluster_init",
    "node-name": "k3s_node_name",
    "tls-san": "k3s_tls_san",
    "disable": "k3s_disable",
    "cluster-cidr": "k3s_cluster_cidr",
    "service-cidr": "k3s_service_cidr",
    "secrets-encryption": "k3s_harden_secrets_encryption",
}
_VARIABLE_HOMES = {
    "K3S_TOKEN": "k3s_token",
    "K3S_TOKEN_FILE": "k3s_token",
    "K3S_URL": "k3s_server_url",
    "K3S_CLUSTER_INIT": "k3s_cluster_init",
    "K3S_NODE_NAME": "k3s_node_name",
    "K3S_DATA_DIR": "",
}


@dataclass(frozen=True)
class Finding:
    """What is wrong, in which check, and what to do. A warning does not stop the run."""

    check: str
    message: str
    fix: str
    warning: bool = False

    def text(self) -> str:
        """One line."""
        return f"{self.check}: {self.message}. Fix: {self.fix}"


Facts = Mapping[str, Any]
Check = Callable[[Facts, Facts], Iterator[Finding]]


def check(facts: Facts, options: Facts, skip: Collection[str] = ()) -> list[Finding]:
    """All findings of all checks, problems first. Checks named in `skip` only warn."""
    found: list[Finding] = []
    for name, function in CHECKS.items():
        for finding in function(facts, options):
            skipped = name in skip and not finding.warning
            found.append(
                Finding(finding.check, f"{finding.message} (ignored on request)", finding.fix, True)
                if skipped
                else finding
            )
    return sorted(found, key=lambda finding: finding.warning)


def family(release: Mapping[str, str]) -> Optional[str]:
    """`debian`, `ubuntu` or `rhel`; None for any other system."""
    words = [release.get("id", ""), *release.get("like", "").split()]
    if "ubuntu" in words:
        return "ubuntu"
    if "debian" in words:
        return "debian"
    return "rhel" if {"rhel", "fedora", "centos"} & set(words) else None


def _system(facts: Facts, options: Facts) -> Iterator[Finding]:
    release = facts["os"]
    kind = family(release)
    name = release.get("name") or release.get("id") or "unknown system"
    if kind is None:
        yield Finding("os", f"{name} is not a supported system", "use Debian, Ubuntu or a RHEL-family system")
    elif release["id"] in ("debian", "ubuntu", "rhel", "rocky", "almalinux", "centos"):
        found = re.match(r"\d+(\.\d+)?", release.get("version", ""))
        if found and float(found.group(0)) < MINIMUM[kind]:
            yield Finding("os", f"{name} is too old", f"use version {MINIMUM[kind]:g} or newer")
    if not facts["systemd"]:
        yield Finding("os", "systemd does not run here", "boot the host with systemd")


def _architecture(facts: Facts, options: Facts) -> Iterator[Finding]:
    if not facts["arch"]:
        yield Finding("arch", f"k3s has no binary for {facts['machine']}", "use x86_64, aarch64 or armv7l")


def _cgroup(facts: Facts, options: Facts) -> Iterator[Finding]:
    if facts["cgroup"] == "none":
        yield Finding("cgroup", "no cgroup hierarchy is mounted", "mount cgroup2 on /sys/fs/cgroup")
    elif facts["cgroup"] == "v1":
        if options.get("allow_cgroup_v1"):
            yield Finding(
                "cgroup",
                "the host runs cgroup v1, which the kubelet is about to drop",
                "move to cgroup v2 before the next minor release",
                warning=True,
            )
        else:
            yield Finding(
                "cgroup",
                "the host runs cgroup v1 (or hybrid), which the kubelet refuses since 1.35",
                "boot with systemd.unified_cgroup_hierarchy=1, or as a stop-gap set k3s_allow_cgroup_v1: true",
            )
    missing = [name for name in NEEDED_CONTROLLERS if name not in facts["controllers"]]
    if missing:
        yield Finding(
            "cgroup",
            f"controllers are off: {', '.join(missing)}",
            "add cgroup_enable=memory cgroup_memory=1 to the kernel's command line and reboot",
        )


def _modules(facts: Facts, options: Facts) -> Iterator[Finding]:
    for name, state in facts["modules"].items():
        if state == "missing":
            yield Finding(
                "modules",
                f"the kernel has no module {name}",
                "install the kernel's module package (RHEL family: kernel-modules-extra)",
            )


def _ports(facts: Facts, options: Facts) -> Iterator[Finding]:
    for listener in facts["listeners"]:
        if _is_k3s(listener):
            continue
        who = f"{listener['process']} (PID {listener['pid']})" if listener["pid"] else "an unknown process"
        yield Finding(
            "ports", f"TCP port {listener['port']} is taken by {who}", "stop it, or move it elsewhere"
        )


def _is_k3s(listener: Mapping[str, Any]) -> bool:
    return bool(re.search(r"/k3s(-[\w-]+)?(\.service|$)", listener["cgroup"], re.MULTILINE)) or listener[
        "process"
    ].startswith("k3s")


def _disk(facts: Facts, options: Facts) -> Iterator[Finding]:
    wanted = options["min_free_mb"]
    if facts["free_mb"] < wanted:
        yield Finding(
            "disk",
            f"only {facts['free_mb']} MB are free below /var/lib/rancher, k3s_min_free_mb asks for {wanted}",
            "free space, or mount a larger disk at /var/lib/rancher",
        )


def _memory(facts: Facts, options: Facts) -> Iterator[Finding]:
    wanted = options["min_memory_mb"]
    if 0 < facts["memory_mb"] < wanted:
        yield Finding(
            "memory",
            f"the host has {facts['memory_mb']} MB of memory, k3s_min_memory_mb asks for {wanted}",
            "add memory, or lower k3s_min_memory_mb and watch the eviction events",
        )


def _clock(facts: Facts, options: Facts) -> Iterator[Finding]:
    reference, limit = options.get("reference_time"), options["max_clock_skew"]
    if not reference:
        return
    skew = facts["time"] - reference
    if abs(skew) > limit:
        direction = "ahead of" if skew > 0 else "behind"
        yield Finding(
            "clock",
            f"the clock is {abs(skew):.0f} s {direction} the controller's, certificates would not be valid",
            "set the clock and enable time synchronisation",
        )


def _clock_service(facts: Facts, options: Facts) -> Iterator[Finding]:
    if not facts["container"] and not facts["clock_services"]:
        yield Finding(
            "clock",
            "no service keeps the clock right, so k3s cannot wait for it at boot",
            "install chrony or systemd-timesyncd",
            warning=True,
        )


def _encryption(facts: Facts, options: Facts) -> Iterator[Finding]:
    off = not options["harden"].get("secrets_encryption", True) and options["mode"] == "server"
    if facts["encryption"] and off and "secrets-encryption" not in options["config_keys"]:
        yield Finding(
            "encryption",
            "the secrets of this cluster are encrypted, its API server could not read them with encryption off",
            "leave k3s_harden_secrets_encryption on, or decrypt them first: k3s secrets-encrypt disable, "
            "systemctl restart k3s, k3s secrets-encrypt reencrypt --force --skip",
        )


def _name(facts: Facts, options: Facts) -> Iterator[Finding]:
    name = options["node_name"]
    if not _NODE_NAME.match(name) or name == "localhost":
        yield Finding(
            "node_name",
            f"{name!r} cannot be a node's name",
            "set k3s_node_name to lower-case letters, digits, - and .",
        )
    pinned = facts["pinned_node_name"]
    if pinned and pinned != name:
        yield Finding(
            "node_name",
            f"this host is node {pinned!r}, under the name {name!r} its volumes could not be scheduled",
            f"set k3s_node_name: {pinned}",
        )


def _firewall(facts: Facts, options: Facts) -> Iterator[Finding]:
    if options.get("firewall_configured"):
        return
    commands = {
        "ufw": "ufw allow 6443/tcp; ufw allow from 10.42.0.0/16; ufw allow from 10.43.0.0/16",
        "firewalld": "firewall-cmd --permanent --add-port=6443/tcp; firewall-cmd --permanent --zone=trusted "
        "--add-source=10.42.0.0/16 --add-source=10.43.0.0/16; firewall-cmd --reload",
    }
    for name in facts["firewalls"]:
        yield Finding(
            "firewall",
            f"{name} is active and would cut pods off",
            f"run {commands[name]} and set k3s_firewall_configured: true, or disable {name}",
        )


def _runtimes(facts: Facts, options: Facts) -> Iterator[Finding]:
    for name in facts["rivals"]:
        conflict = name in _CONFLICTS
        yield Finding(
            "runtimes",
            f"{name} runs on this host" + ("" if conflict else ", it shares memory and disk with k3s"),
            "remove it, a host has room for one Kubernetes" if conflict else "move its containers into k3s",
            warning=not conflict,
        )


def _selinux(facts: Facts, options: Facts) -> Iterator[Finding]:
    if facts["selinux_enforcing"] and not facts["selinux_policy"]:
        yield Finding(
            "selinux", "SELinux enforces and k3s's policy is missing", "install the package k3s-selinux"
        )


def _network(facts: Facts, options: Facts) -> Iterator[Finding]:
    if not facts["default_route"]:
        yield Finding(
            "network",
            "there is no default route, k3s cannot find its own address",
            "add one, a dummy interface is enough without a network",
        )


def _foreign_unit(facts: Facts, options: Facts) -> Iterator[Finding]:
    """The role replaces unit and env file: what they hold must have a place in the inventory first."""
    for unit, about in facts["foreign_units"].items():
        names = {f"--{name}" if len(name) > 1 else f"-{name}": _flag_home(name) for name in about["flags"]}
        names.update({name: _VARIABLE_HOMES.get(name, "k3s_environment") for name in about["environment"]})
        given = {f"k3s_extra_config.{key}" for key in options["config_keys"]}
        homes = {name: home for name, home in names.items() if home not in given}
        if homes:
            yield Finding(
                "foreign_unit",
                f"{unit} was not written by this role and starts k3s with {', '.join(homes)}, which would be lost",
                # What follows a flag's or variable's name would be taken for its secret value and hidden.
                f"carry them over ({', '.join(f'{home} takes {name}' for name, home in homes.items() if home)}), "
                f"then run once with k3s_preflight_skip: [foreign_unit]{_no_home(homes)}",
            )


def _flag_home(flag: str) -> str:
    """The variable of the role that takes what a flag says; empty for one that the role refuses."""
    name = _SHORT.get(flag, flag)
    return "" if name in REFUSED_KEYS else _FLAG_HOMES.get(name, f"k3s_extra_config.{name}")


def _no_home(homes: Mapping[str, str]) -> str:
    """What to do about settings that the role does not take."""
    plain = {name: name.removeprefix("K3S_").strip("-").replace("_", "-").lower() for name in homes}
    return "".join(
        f"; {name} is not taken: {REFUSED_KEYS[_SHORT.get(plain[name], plain[name])]}"
        for name, home in homes.items()
        if not home
    )


def _version(facts: Facts, options: Facts) -> Iterator[Finding]:
    installed, wanted = _minor(facts["installed"]), _minor(options["version"])
    if not installed or not wanted or installed == wanted:
        return
    if wanted < installed:
        yield Finding(
            "version",
            f"{facts['installed']} is installed and {options['version']} is older, its datastore may not open",
            "go back with the datastore copy that was taken before the upgrade",
        )
    elif (wanted[0], wanted[1] - 1) != installed:
        yield Finding(
            "version",
            f"from {facts['installed']} to {options['version']} skips a minor release",
            "upgrade one minor release at a time",
        )


def _minor(version: str) -> Optional[tuple[int, int]]:
    found = re.match(r"v?(\d+)\.(\d+)\.", version)
    return (int(found.group(1)), int(found.group(2))) if found else None


CHECKS: dict[str, Check] = {
    "os": _system,
    "arch": _architecture,
    "cgroup": _cgroup,
    "modules": _modules,
    "ports": _ports,
    "disk": _disk,
    "memory": _memory,
    "clock": _clock,
    "clock_service": _clock_service,
    "encryption": _encryption,
    "node_name": _name,
    "firewall": _firewall,
    "runtimes": _runtimes,
    "selinux": _selinux,
    "network": _network,
    "foreign_unit": _foreign_unit,
    "version": _version,
}

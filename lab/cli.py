"""The lab's command line: ``python3 -m lab up|down|reboot|power-loss|shell|status|build``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from lab import lifecycle, mirror, podman, record, ssh
from lab.errors import LabError
from lab.host import LabHost
from lab.proc import say


def names(name: str, count: int) -> list[str]:
    """Return the host names of ``--name`` and ``--count``: NAME, NAME-2, NAME-3 …"""
    return [name if number == 1 else f"{name}-{number}" for number in range(1, count + 1)]


def _up(options: argparse.Namespace) -> None:
    if not options.bare:
        _build(options)
    mirror.serve()
    for name in names(options.name, options.count):
        start = time.monotonic()
        found = lifecycle.up(name)
        say(f"host {name} answers on 127.0.0.1:{found.port} after {time.monotonic() - start:.1f} s")


def _down(options: argparse.Namespace) -> None:
    wanted = (
        [found.name for found in record.all_records()] if options.all else names(options.name, options.count)
    )
    for name in wanted:
        lifecycle.down(name)
        say(f"host {name} is gone")
    if options.all:
        mirror.stop()


def _reboot(options: argparse.Namespace) -> None:
    for name in names(options.name, options.count):
        say(f"host {name} is back after {LabHost.get(name).reboot():.1f} s")


def _power_loss(options: argparse.Namespace) -> None:
    for name in names(options.name, options.count):
        say(f"host {name} is back after {LabHost.get(name).power_loss():.1f} s")


def _shell(options: argparse.Namespace) -> None:
    host = LabHost.get(options.name)
    remote = options.command or ["sudo", "-i"]
    argv = ssh.argv(host.name, host.port, tty=sys.stdin.isatty())
    os.execvp("ssh", [*argv, "--", *remote])


def _status(options: argparse.Namespace) -> None:
    ours = {found.name for found in record.all_records()}
    for listed in podman.containers():
        name = str(listed["Names"][0]).removeprefix(podman.PREFIX)
        described = podman.inspect(str(listed["Names"][0]))
        if described is None:
            continue
        owner = (described["Config"].get("Labels") or {}).get(podman.LABEL, "?")
        state = "running" if podman.really_running(described) else "not running"
        found = record.load(name) if name in ours else None
        print(f"{name:20} {state:12} {f'127.0.0.1:{found.port}' if found else '-':18} {owner}")
    print(f"mirror               {mirror.url()}")


def _build(options: argparse.Namespace) -> None:
    from lab import build  # imported here: 'down' and 'shell' need none of it

    build.build(getattr(options, "what", None) or ["all"])


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    top = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("up", _up, "raise bare hosts (idempotent)"),
        ("down", _down, "remove hosts and all their data"),
        ("reboot", _reboot, "orderly reboot, waits for SSH"),
        ("power-loss", _power_loss, "kill everything at once, start, wait for SSH"),
        ("shell", _shell, "a root shell, or the command after --"),
        ("status", _status, "all lab hosts of this machine"),
        ("build", _build, "fill the mirror and the caches, no host"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        if name not in {"status", "build"}:
            command.add_argument("--name", default="node", help="host name (default: node)")
        if name in {"up", "down", "reboot", "power-loss"}:
            command.add_argument("--count", type=int, default=1, help="NAME, NAME-2 … (default: 1)")
        if name == "up":
            command.add_argument("--bare", action="store_true", help="do not fill the mirror first")
        if name == "down":
            command.add_argument(
                "--all", action="store_true", help="every host of this checkout, and the mirror"
            )
        if name == "build":
            command.add_argument("what", nargs="*", help="host, k3s, images, apt (default: all)")
        if name == "shell":
            command.add_argument("command", nargs="*", help="run this instead of a shell")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(argv)
    try:
        options.function(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0

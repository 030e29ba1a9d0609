# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take k3s off a host: first a copy of what makes the cluster itself, then the removal. The plan is pure."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text
from ansible_collections.holdfast.k3s.plugins.module_utils.node.api import OWN, server_of

SERVER = Path("/var/lib/rancher/k3s/server")
DATASTORE = SERVER / "db/state.db"
ETCD = SERVER / "db/etcd"
KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
FINAL = "holdfast-final"
# What a new host needs, beside the datastore, to be the same cluster again.
IDENTITY = (
    "/var/lib/rancher/k3s/server/token",
    "/etc/rancher/k3s/config.yaml",
    "/etc/rancher/k3s/config.yaml.d",
    "/etc/rancher/k3s/registries.yaml",
    "/etc/rancher/node/password",
    "/var/lib/rancher/k3s/server/manifests",
    "/var/lib/rancher/k3s/server/db/snapshots",
)
# Files that this collection wrote for k3s outside of k3s's own directories, the recovery command's among them: it would
# otherwise try to bring back what was removed on purpose.
OWN_UNITS = ("holdfast-boot.service", "holdfast-watch.timer", "holdfast-watch.service")
OWN_FILES = (
    "/etc/sysctl.d/90-kubelet.conf",
    "/etc/sysctl.d/90-k3s-inotify.conf",
    "/etc/systemd/logind.conf.d/50-holdfast.conf",
    "/etc/tmpfiles.d/k3s-stale-cni.conf",
    "/usr/local/lib/holdfast/k3s-record-start",
    "/usr/local/lib/holdfast/k3s-file-modes",
    "/var/lib/holdfast/k3s-artifacts.json",
    "/run/holdfast/k3s-started",
    "/etc/rancher/node/password",
    "/etc/holdfast/recovery.json",
    "/usr/local/sbin/holdfast",
    *(f"/etc/systemd/system/{unit}" for unit in OWN_UNITS),
)
OWN_TREES = ("/usr/local/lib/holdfast/ansible_collections",)
# Removed when nothing is left in them.
OWN_DIRECTORIES = (
    "/usr/local/lib/holdfast",
    "/etc/holdfast",
    "/etc/rancher/node",
    "/etc/rancher",
    "/etc/systemd/logind.conf.d",
    "/run/holdfast",
)
UNINSTALL = "/usr/local/bin/k3s-uninstall.sh"
KEEPS_STORAGE = "K3S_KEEP_STORAGE"
TRACES = ("/usr/local/bin/k3s", "/etc/systemd/system/k3s.service", "/etc/systemd/system/k3s-agent.service")


def confirm(given: str, expected: str) -> None:
    """Refuse unless the operator typed the host's name."""
    if given != expected:
        raise Refused(
            "removing k3s needs the host's name as confirmation",
            field="k3s_uninstall_confirm",
            value=given,
            fix=f"set k3s_uninstall_confirm: {expected}",
        )


def check_script(script: Optional[str], keep_storage: bool) -> None:
    """Refuse an uninstall script that is missing, or that does not know how to keep the volumes when they are to stay.

    script: its text, None when there is none. k3s's own installer writes one of the same name that removes everything.
    """
    if script is None:
        raise Refused(
            "the uninstall script is missing",
            field="path",
            value=UNINSTALL,
            fix="run role k3s once, it writes it",
        )
    if keep_storage and KEEPS_STORAGE not in script:
        raise Refused(
            "this uninstall script would delete the applications' volumes, which are to stay",
            field="path",
            value=UNINSTALL,
            fix="run role k3s once with k3s_state: present, it writes a script that keeps them; "
            "or let them go with k3s_uninstall_keep_storage: false",
        )


def plan(present: Mapping[str, bool], keep_storage: bool) -> list[Action]:
    """Copy, then remove; nothing when nothing is left.

    present: `installed` (binary or unit), `datastore`, `own_files`, as `observe` finds them.
    """
    actions = []
    if present["datastore"]:
        actions.append(Action("copy_state", str(SERVER), "the last chance to keep it"))
    if present["installed"]:
        why = "wanted absent" + (", volumes stay" if keep_storage else ", VOLUMES GO TOO")
        actions.append(Action("uninstall", "k3s", why, risk="high", destructive=True))
    if present["own_files"]:
        actions.append(Action("remove_own_files", "host settings", "they were k3s's", destructive=True))
    return actions


def observe() -> dict[str, bool]:
    """What is still there."""
    return {
        "installed": any(Path(path).exists() for path in TRACES),
        "datastore": any(path.exists() for path in (DATASTORE, ETCD, SERVER / "token")),
        "script": Path(UNINSTALL).exists(),
        "own_files": any(Path(path).exists() for path in (*OWN_FILES, *OWN_TREES)),
    }


def left(commands: Any, proc: Path = Path("/proc")) -> list[str]:
    """What of k3s is still alive after a removal: processes, mounts, interfaces. Looks at the kernel, not at our lists."""
    found = [f"process {path.parent.name}" for path in proc.glob("[0-9]*/cmdline") if _ours(path)]
    mounts = [line.split()[1] for line in (proc / "self/mounts").read_text().splitlines()]
    found += [f"mount {path}" for path in mounts if path.startswith(("/run/k3s/", "/var/lib/kubelet/pods/"))]
    links = commands.run(["ip", "-o", "link", "show"], check=False).out
    return found + [f"interface {name}" for name in ("cni0", "flannel.1") if f": {name}:" in links]


def _ours(cmdline: Path) -> bool:
    """A program out of k3s's own directory (a shim outlives k3s), or k3s itself."""
    try:
        words = cmdline.read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return False  # the process ended
    serves = Path(words[0]).name == "k3s" and words[1:2] in (["server"], ["agent"])
    return words[0].startswith(f"{SERVER.parent}/") or serves


def copy_state(target: Path, commands: Any) -> list[str]:
    """A consistent copy of the datastore and of the identity.

    Returns the copied paths. Raises HoldfastError when there is no sound copy of the datastore; nothing is removed then.
    """
    copied = []
    try:
        target.mkdir(parents=True, mode=0o700)
        if DATASTORE.exists():
            copied.append(_copy_sqlite(target / "state.db"))
        if ETCD.exists():
            copied.append(_copy_etcd(target, commands))
        return copied + _copy_identity(target)
    except (OSError, sqlite3.Error) as error:
        raise HoldfastError(
            f"the state of the cluster cannot be copied, so nothing was removed: {error}",
            field="copies",
            value=str(target),
            fix="free space there or name another directory; a damaged datastore: holdfast.k3s.recover_k3s first",
        ) from error


def datastore_in(target: Path) -> bool:
    """Whether a copy of the state has a datastore in it. One that lies elsewhere (`datastore-endpoint`) is not copied."""
    return any(path.name in ("state.db", "etcd") or path.name.startswith(FINAL) for path in target.glob("*"))


def _copy_sqlite(copy: Path) -> str:
    """By SQLite's own backup, so a running k3s does no harm."""
    with (
        closing(sqlite3.connect(f"file:{DATASTORE}?mode=ro", uri=True, timeout=30)) as source,
        closing(sqlite3.connect(copy)) as sink,
    ):
        source.backup(sink)
        verdict = sink.execute("PRAGMA quick_check").fetchone()[0]
    copy.chmod(0o600)
    if verdict != "ok":
        raise HoldfastError(
            f"the copy of the datastore is not sound: {verdict}",
            field="path",
            value=str(copy),
            fix="recover it first with holdfast.k3s.recover_k3s",
        )
    return str(copy)


def _copy_etcd(target: Path, commands: Any) -> str:
    """By k3s's own snapshot while it runs; otherwise its directory, once nothing writes there any more."""
    if commands.run(["systemctl", "is-active", "k3s.service"], check=False).out.strip() == "active":
        return _snapshot(target, commands)
    # Not active may also be a start that systemd tries again and again.
    commands.run(["systemctl", "stop", "k3s.service"], timeout=120, check=False)
    shutil.copytree(ETCD, target / "etcd")
    return str(target / "etcd")


def _snapshot(target: Path, commands: Any) -> str:
    # From this host's own server, which writes it itself: another member would leave the file over there.
    host, port = server_of(KUBECONFIG)
    argv = [TRACES[0], "etcd-snapshot", "save", "--name", FINAL, "--dir", str(target)]
    if (host, port) != OWN:
        argv += ["--etcd-server", f"https://{host}:{port}"]
    said = commands.run(argv, timeout=180, check=False)
    made = [path for path in sorted(target.glob(f"{FINAL}*")) if path.is_file() and path.stat().st_size]
    if said.rc != 0 or not made:
        last = (said.err or said.out).strip().splitlines()[-1:]
        raise HoldfastError(
            f"k3s made no snapshot of its etcd: {redact_text(''.join(last)) or 'no file'}",
            field="path",
            value=str(ETCD),
            fix="try again, or stop k3s first (systemctl stop k3s): then its directory is copied",
        )
    return str(made[-1])


def _copy_identity(target: Path) -> list[str]:
    copied = []
    for path in IDENTITY:
        source_path = Path(path)
        if not source_path.exists():
            continue
        place = target / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if source_path.is_dir():
            shutil.copytree(source_path, place, dirs_exist_ok=True)
        else:
            shutil.copy2(source_path, place)
        copied.append(str(place))
    return copied


def script() -> Optional[str]:
    """Text of the host's uninstall script; None when there is none."""
    path = Path(UNINSTALL)
    return path.read_text(errors="replace") if path.exists() else None


def uninstall(commands: Any, keep_storage: bool) -> None:
    """Run the host's own uninstall script."""
    check_script(script(), keep_storage)
    commands.run([UNINSTALL], timeout=300, env={KEEPS_STORAGE: "1" if keep_storage else "0"})


def remove_own_files(commands: Any, root: Path = Path("/")) -> None:
    """Remove what this collection wrote outside of k3s's own directories, and let systemd and logind forget it."""
    units = [unit for unit in OWN_UNITS if (root / "etc/systemd/system" / unit).exists()]
    if units:
        commands.run(["systemctl", "disable", "--now", *units], timeout=120, check=False)
    for path in OWN_FILES:
        (root / path.lstrip("/")).unlink(missing_ok=True)
    for path in OWN_TREES:
        shutil.rmtree(root / path.lstrip("/"), ignore_errors=True)
    for path in OWN_DIRECTORIES:
        directory = root / path.lstrip("/")
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
    commands.run(["systemctl", "daemon-reload"], timeout=60)
    commands.run(["systemctl", "kill", "--signal=HUP", "systemd-logind.service"], check=False)

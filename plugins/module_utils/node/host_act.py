"""Actions on the machine around k3s: space, limits, time, reboot."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import prune
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node.api import Api
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

INOTIFY = "/proc/sys/fs/inotify"
INOTIFY_INSTANCES = 8192
INOTIFY_WATCHES = 524288
SYSCTL_FILE = "/etc/sysctl.d/90-holdfast-inotify.conf"


class HostActions:
    """Handlers of the host's action kinds; see `act.Actor`."""

    def __init__(self, commands: Commands, paths: Paths) -> None:
        self.commands, self.paths = commands, paths

    def do_prune_own(self, _action: Action) -> dict[str, Any]:
        """Holdfast's own leftovers first: scratch copies and incident bundles past their age."""
        scratch = Path(self.paths.state_dir, "scratch")
        removed = 0
        for path in scratch.iterdir() if scratch.is_dir() else []:
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
        prune(f"{self.paths.state_dir}/incidents", max_age_days=30, max_bytes=256 << 20)
        return {"scratch": removed}

    def do_vacuum_journal(self, _action: Action) -> dict[str, Any]:
        result = self.commands.run(["journalctl", "--vacuum-size=200M"], timeout=60)
        return {"said": (result.err or result.out).strip().splitlines()[-1:]}

    def do_prune_images(self, _action: Action) -> dict[str, Any]:
        argv = [self.paths.binary, "crictl", "--timeout", "60s", "rmi", "--prune"]
        return {"removed": len(self.commands.run(argv, timeout=90).out.splitlines())}

    def do_raise_inotify(self, _action: Action) -> dict[str, Any]:
        """Raise the limits now and for the next boot, never lower them; Refused where the kernel does not let us."""
        live = Path(INOTIFY, "max_user_instances")
        instances = max(int(live.read_text()), INOTIFY_INSTANCES)
        watches = max(int(Path(INOTIFY, "max_user_watches").read_text()), INOTIFY_WATCHES)
        try:
            live.write_text(str(instances))
        except OSError as error:
            raise Refused(
                f"the kernel does not let this host change it: {error.strerror}",
                field="fs.inotify.max_user_instances", value=live.read_text().strip(),
                fix=f"sysctl -w fs.inotify.max_user_instances={instances} on the machine itself",
            ) from error  # fmt: skip
        Path(SYSCTL_FILE).write_text(
            "# Written by Holdfast: k3s's shims and kubelet use more than the default of 128.\n"
            f"fs.inotify.max_user_instances = {instances}\n"
            f"fs.inotify.max_user_watches = {watches}\n"
        )
        return {"max_user_instances": instances}

    def do_sync_clock(self, _action: Action) -> dict[str, Any]:
        """Let the time service that is installed step the clock."""
        for argv in (["chronyc", "makestep"], ["systemctl", "restart", "systemd-timesyncd"]):
            if shutil.which(argv[0]):
                try:
                    self.commands.run(argv, timeout=30)
                    return {"by": " ".join(argv)}
                except HoldfastError:
                    continue
        raise Refused(
            "no time service answered", field="clock", value="unknown", fix="set it: timedatectl set-time …"
        )

    def do_delete_secret(self, action: Action) -> dict[str, Any]:
        """Delete a Secret with its UID as precondition."""
        namespace, name = action.target.split("/")
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        api = Api(self.paths.kubeconfig, 10)
        found = api.get(path)
        if found is None:
            return {"already": True}
        status, text = api.call("DELETE", path, {"preconditions": {"uid": found["metadata"]["uid"]}})
        if status not in (200, 202, 404):
            raise Refused(f"the API refused: {text[:200]}", field="secret", value=action.target)
        return {"deleted": action.target}

    def do_reboot(self, _action: Action) -> dict[str, Any]:
        """Ask for an orderly reboot in a few seconds: the result must still reach the caller."""
        self.commands.run(["systemd-run", "--on-active=5", "systemctl", "reboot"], timeout=20)
        return {"reboot": "in 5 s"}

    def vacuum(self, database: str) -> dict[str, Any]:
        """VACUUM of a datastore that nobody has open."""
        before = Path(database).stat().st_size
        if shutil.disk_usage(Path(database).parent).free < 2 * before:
            raise Refused(
                "VACUUM needs twice the datastore's size", field="disk", value=database, fix="free space"
            )
        connection = sqlite3.connect(database, isolation_level=None)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("VACUUM")
        finally:
            connection.close()
        return {"before": before, "after": Path(database).stat().st_size}

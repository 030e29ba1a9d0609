"""Carry out one action of a plan. Preconditions are checked again here: the world moved on since the look."""

from __future__ import annotations

import fcntl
import shutil
import signal
import time
from pathlib import Path
from typing import Any, Callable

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    DeadlineExceeded,
    HoldfastError,
    PreconditionFailed,
    Refused,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node import (
    files,
    images,
    reboots,
    runtime,
    salvage,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.node.api import Api, write_probe
from ansible_collections.holdfast.k3s.plugins.module_utils.node.datastore import check_file, foreign_writers
from ansible_collections.holdfast.k3s.plugins.module_utils.node.host_act import HostActions
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Options
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths
from ansible_collections.holdfast.k3s.plugins.module_utils.node.service import Service


class Actor:
    """Carries out actions on this host; each `do_` method handles one kind and returns details for the result."""

    def __init__(self, commands: Commands, paths: Paths, options: Options, clock: Clock) -> None:
        self.commands, self.paths, self.options, self.clock = commands, paths, options, clock
        self.service = Service(commands, paths, options, clock)
        self.host = HostActions(commands, paths)

    def run(self, action: Action) -> dict[str, Any]:
        """Do it; raises a HoldfastError when it cannot be done."""
        handler: Callable[[Action], dict[str, Any]] | None = getattr(self, f"do_{action.kind}", None)
        if handler is None:
            handler = getattr(self.host, f"do_{action.kind}")
        return handler(action)

    @property
    def marker(self) -> str:
        """Where an unfinished swap of the datastore is written down."""
        return f"{self.paths.state_dir}/swap.json"

    def finish_interrupted(self) -> bool:
        """Complete a swap that an earlier run was killed in; True when there was one."""
        return files.finish_swap(self.marker)

    # --- the service -----------------------------------------------------------------------------------------------
    def do_restart_unit(self, action: Action) -> dict[str, Any]:
        return self.service.restart(int(action.params.get("main_pid", 0)))

    def do_start_unit(self, _action: Action) -> dict[str, Any]:
        started = self.service.start()
        folder = self.kept_content()
        if folder is None:
            return started
        restored = images.restore(self.commands, self.paths, folder)
        if not restored["missing"]:
            self.release_content(folder, bool(images.remembered(self.paths)))
        return {**started, **restored}

    def do_stop_unit(self, _action: Action) -> dict[str, Any]:
        return self.service.stop()

    def do_stop_containers(self, _action: Action) -> dict[str, Any]:
        return self.service.stop_containers()

    def do_killall(self, _action: Action) -> dict[str, Any]:
        return self.service.killall()

    def do_wait_ready(self, action: Action) -> dict[str, Any]:
        return self.service.wait_ready(float(action.params["seconds"]))

    def do_continue_process(self, action: Action) -> dict[str, Any]:
        detail = self.service.signal(action.params["pid"], action.params["start"], signal.SIGCONT)
        return {**detail, **self.service.wait_ready(60)}

    def do_kill_process(self, action: Action) -> dict[str, Any]:
        return self.service.signal(action.params["pid"], action.params["start"], signal.SIGKILL)

    def do_reboot(self, action: Action) -> dict[str, Any]:
        reboots.record(self.paths, self.clock)
        return self.host.do_reboot(action)

    # --- the datastore ---------------------------------------------------------------------------------------------
    def do_copy_aside(self, _action: Action) -> dict[str, Any]:
        return files.copy_aside(self.paths.database, self.paths.aside, self.clock.now())

    def do_wait_for_writes(self, action: Action) -> dict[str, Any]:
        """Until a write goes through; nobody else's process is touched."""
        began = self.clock.monotonic()
        while True:
            answer = write_probe(Api(self.paths.kubeconfig), 5)
            if answer["ok"]:
                return {"writes_after": round(self.clock.monotonic() - began, 1)}
            if self.clock.monotonic() - began > float(action.params["seconds"]):
                raise DeadlineExceeded(
                    "the datastore still takes no writes", field="datastore", value=self.paths.database,
                    fix="end the process that holds its lock: " + ", ".join(self.lock_holders()),
                )  # fmt: skip
            self.clock.sleep(1)

    def lock_holders(self) -> list[str]:
        own = {self.service.state()["main_pid"]}
        return [f"{one['comm']} (PID {one['pid']})" for one in foreign_writers(self.paths.database, own, 0.1)]

    def stopped_only(self) -> None:
        """Refuse to write the datastore's files while a server has them open."""
        if self.service.state()["main_pid"]:
            raise PreconditionFailed("k3s runs", field="unit", value=self.paths.unit, fix="stop it first")

    def do_repair_datastore(self, action: Action) -> dict[str, Any]:
        """Mend a copy, prove it, and only then swap it in; the damaged files stay beside it."""
        self.stopped_only()
        database = self.paths.database
        kept = files.copy_aside(database, self.paths.aside, self.clock.now())["copy"]
        before = files.sha256(database)
        work = files.folder(self.paths.aside, "repair", self.clock.now())
        repaired, detail = f"{work}/repaired.db", {}
        source = f"{work}/state.db"
        shutil.copyfile(f"{kept}/state.db", source)
        if action.params["method"] == "wal":
            Path(source).rename(repaired)
            verdict = check_file(repaired)
            if verdict != "ok":
                raise Refused(f"without its log the datastore still fails: {verdict}", field="datastore_repair",
                              value="wal", fix="datastore_repair: recover, or restore a backup")  # fmt: skip
        else:
            if Path(kept, "state.db-wal").exists():
                shutil.copyfile(f"{kept}/state.db-wal", f"{source}-wal")
            detail = salvage.salvage(source, repaired)
        Path(repaired).chmod(0o644)
        files.sync(repaired)
        self.stopped_only()
        if files.sha256(database) != before:
            raise PreconditionFailed(
                "the datastore changed meanwhile", field="datastore", value=database, fix="run again"
            )
        old = files.swap(self.marker, database, repaired, self.paths.aside, self.clock.now())
        return {"damaged_copy": kept, "swapped_out": old, **detail}

    def do_vacuum_datastore(self, _action: Action) -> dict[str, Any]:
        self.stopped_only()
        return self.host.vacuum(self.paths.database)

    # --- files -----------------------------------------------------------------------------------------------------
    def do_move_aside(self, action: Action) -> dict[str, Any]:
        path = self.paths.token if action.params.get("path_of") == "token" else action.target
        moved = files.move_aside(path, self.paths.aside, "moved", self.clock.now())
        return {"moved_to": moved} if moved else {"already": True}

    def do_rotate_certificates(self, _action: Action) -> dict[str, Any]:
        """k3s's own command: it backs the old ones up and the next start writes new ones."""
        self.stopped_only()
        self.commands.run([self.paths.binary, "certificate", "rotate"], timeout=60)
        return {}

    def do_free_addresses(self, _action: Action) -> dict[str, Any]:
        """Set reservations of sandboxes that are gone aside, under the lock that the CNI plugin itself takes."""
        known = runtime.sandboxes(self.commands, self.paths)
        if known is None:
            raise PreconditionFailed("containerd does not answer", field="socket", value=self.paths.socket)
        freed = 0
        target = files.folder(self.paths.aside, "cni", self.clock.now())
        for network in sorted(Path(self.paths.cni_networks).glob("*")):
            if not network.is_dir():
                continue
            with Path(network, "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for path in sorted(network.iterdir()):
                    if not path.name[0].isdigit() or time.time() - path.stat().st_mtime < 60:
                        continue
                    words = path.read_text(errors="replace").split()
                    if words and words[0] in known:
                        continue
                    shutil.move(str(path), str(Path(target, f"{network.name}-{path.name}")))
                    freed += 1
        return {"freed": freed, "kept_in": target}

    # --- containerd ------------------------------------------------------------------------------------------------
    def kept_content(self) -> str | None:
        """The newest reset whose images were not brought back yet."""
        for folder in sorted(Path(self.paths.aside).glob("*-containerd*"), reverse=True):
            return str(folder) if (folder / "restore").exists() else None
        return None

    @staticmethod
    def release_content(folder: str, known: bool) -> None:
        """A reset that is over: a later start must not bring back what was pruned since, nor the links hold all blobs.

        known: what containerd had is written down. Otherwise nobody can say that nothing is missing, and the blobs stay.
        """
        if known:
            shutil.rmtree(Path(folder, "blobs"), ignore_errors=True)
        Path(folder, "restore").unlink(missing_ok=True)  # last: a run that is killed here does it again

    def do_reset_containerd(self, _action: Action) -> dict[str, Any]:
        """Metadata aside, content kept by hard links, air-gap files marked for import."""
        self.stopped_only()
        folder = files.folder(self.paths.aside, "containerd", self.clock.now())
        kept = images.keep_blobs(self.paths, folder)
        Path(folder, "restore").touch(mode=0o600)
        metadata = Path(self.paths.meta_db).parent
        if metadata.exists():
            metadata.rename(Path(folder, metadata.name))
            files.sync(str(metadata.parent))
        # with this cache k3s would believe that its air-gap images are still there
        Path(self.paths.images, ".cache.json").unlink(missing_ok=True)
        return {"kept_in": folder, "blobs": kept}

    def do_refetch_image(self, action: Action) -> dict[str, Any]:
        """Forget a broken image and get it again: from its registry, else from the air-gap files."""
        self.commands.run(runtime.crictl(self.paths, "rmi", action.target), timeout=150, check=False)
        pull = runtime.crictl(self.paths, "pull", action.target, seconds=120)
        try:
            self.commands.run(pull, timeout=150)
            self.complete_image(action.target)
            return {"from": "registry"}
        except HoldfastError as failure:
            archives = sorted(str(path) for path in Path(self.paths.images).glob("*.tar"))
            for archive in archives:
                self.commands.run(
                    images.ctr(self.paths, "images", "import", archive), timeout=300, check=False
                )
            inspect = runtime.crictl(self.paths, "inspecti", "--quiet", action.target, seconds=20)
            if not archives or self.commands.run(inspect, timeout=30, check=False).rc:
                raise failure
            return {"from": "air-gap files"}

    def complete_image(self, name: str) -> None:
        """Fetch the layers that a pull left out because they are unpacked already, as far as no password is needed.

        The pod runs without them; but only a whole image can be put back into a registry that loses it.
        """
        hosts = ["--hosts-dir", self.paths.certs_d] if Path(self.paths.certs_d).is_dir() else []
        self.commands.run(images.ctr(self.paths, "content", "fetch", *hosts, name), timeout=150, check=False)

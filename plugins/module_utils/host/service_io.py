# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at and act on k3s's unit: systemd, logind, sysctls and the local API, each through one small method."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    CommandError,
    DeadlineExceeded,
    HoldfastError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text
from ansible_collections.holdfast.k3s.plugins.module_utils.host import facts, readiness, service, stamps
from ansible_collections.holdfast.k3s.plugins.module_utils.host.api import NodeApi, NotAnswering
from ansible_collections.holdfast.k3s.plugins.module_utils.host.hardening import LABELS
from ansible_collections.holdfast.k3s.plugins.module_utils.host.service import Facts, Options

K3S = "/usr/local/bin/k3s"
API_PORT = 6443
LOGIN = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
SERVER = Path("/var/lib/rancher/k3s/server")
DATASTORES = ("db/state.db", "db/etcd")
ENCRYPTION = "cred/encryption-config.json"
# There while a cluster is being converted to encryption. Beside the datastore, so that it goes with it.
CONVERTING = "holdfast-encrypting"
_SELECTOR = (
    ",".join(f"{name}={value}" for name, value in LABELS.items()).replace("/", "%2F").replace("=", "%3D")
)


class Service:
    """k3s on this host.

    commands, clock: core's. api: the local API, None on an agent. proc_sys: where sysctls live. server: k3s's data.
    """

    def __init__(
        self,
        options: Options,
        commands: Any,
        clock: Any,
        api: Optional[NodeApi],
        proc_sys: Path = Path("/proc/sys"),
        server: Path = SERVER,
    ) -> None:
        self.options, self._commands, self._clock, self._api = options, commands, clock, api
        self._proc_sys, self._data = proc_sys, server

    def observe(self) -> Facts:
        """Everything that the plan needs."""
        unit = self.unit()
        alive = unit.active == "active" and self._api is not None
        return Facts(
            unit=unit,
            stamps=stamps.current(),
            started_with=stamps.recorded(),
            sysctls={name: self._sysctl(name).read_text().strip() for name in self.options.sysctls},
            inhibit_seconds=self._inhibit_seconds() if self.options.inhibit_seconds else 0,
            **self._encryption(),
            open_accounts=self._open_accounts() if alive else None,
            stray_policies=self._stray_policies() if alive and not self.options.network_policies else (),
        )

    def _encryption(self) -> dict[str, bool]:
        """What the plan needs to know about encryption, from k3s's own files."""
        config = self._data / ENCRYPTION
        return {
            "datastore": any((self._data / path).exists() for path in DATASTORES),
            "encryption_configured": config.exists(),
            "encrypts": facts.encryption(config.read_text() if config.exists() else ""),
            "converting": (self._data / CONVERTING).exists(),
        }

    def unit(self) -> readiness.Unit:
        """The unit's state."""
        argv = ["systemctl", "show", self.options.unit, f"--property={','.join(readiness.PROPERTIES)}"]
        return readiness.parse_unit(self._commands.run(argv).out)

    def act(self, action: Action, wait: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        """Carry out one action. `wait` blocks until k3s is ready; it is given NRestarts from before the start."""
        kind = action.kind
        if kind == "sysctl":
            self._sysctl(action.target).write_text(action.params["value"])
        elif kind == "daemon_reload":
            self._commands.run(["systemctl", "daemon-reload"], timeout=60)
        elif kind == "reload_logind":
            self._commands.run(["systemctl", "kill", "--signal=HUP", "systemd-logind.service"])
        elif kind == "enable":
            self._commands.run(["systemctl", "enable", self.options.unit], timeout=60)
        elif kind in ("start", "restart"):
            return self._launch(action, wait)
        elif kind == "stop":
            self._commands.run(["systemctl", "stop", self.options.unit], timeout=120)
        elif kind == "begin_encryption":
            (self._data / CONVERTING).touch(mode=0o600)
        elif kind == "enable_encryption":
            (self._data / CONVERTING).touch(mode=0o600)
            self._commands.run(self._encrypt("enable"), timeout=60)
        elif kind == "rotate_keys":
            self._rotate_keys()
        elif kind == "service_account":
            self._close_account(action.target)
        elif kind == "delete":
            self._write("DELETE", action.target)
        else:
            raise HoldfastError("no such action", field="kind", value=kind)
        return {}

    def wait(
        self, restarts: int, problem: Callable[[], str], deadline: Any, hang_seconds: float
    ) -> dict[str, Any]:
        """Block until `problem()` is empty.

        Raises HoldfastError early for a crash loop (NRestarts rises) and for a start that hangs in `activating`.
        Returns seconds until the unit was active and until all was ready.
        """
        began, active_after, reason = self._clock.monotonic(), None, ""
        while True:
            unit = self.unit()
            elapsed = self._clock.monotonic() - began
            restarts = min(restarts, unit.restarts)
            if readiness.crashing(unit, restarts):
                raise self._crash(unit)
            if unit.active == "active":
                active_after = elapsed if active_after is None else active_after
                reason = problem()
                if not reason:
                    return {"active_seconds": round(active_after, 1), "ready_seconds": round(elapsed, 1)}
            else:
                reason = f"{self.options.unit} is {unit.active}/{unit.sub}"
                if active_after is None and unit.restarts == restarts and elapsed > hang_seconds:
                    raise self._hang(unit, elapsed)
            if deadline.expired():
                raise DeadlineExceeded(
                    f"{self.options.unit} is not ready after {elapsed:.0f} s: {reason}",
                    field="k3s_ready_timeout",
                    value=round(elapsed),
                    fix=f"read: journalctl -u {self.options.unit} -n 50",
                )
            self._clock.sleep(0.25)

    def problem(self, node_name: str, disabled: Sequence[str], packaged: str) -> str:
        """Why k3s is not ready; empty when API, node and packaged pods (`all`, `essential` or `none`) are."""
        if self._api is None:
            return ""
        reason = self._api.ready()
        if reason:
            return reason
        try:
            reason = readiness.node_problem(self._api.items("/api/v1/nodes"), node_name)
            if reason or packaged == "none":
                return reason
            if packaged == "essential":
                disabled = [*disabled, *(set(readiness.PACKAGED) - set(readiness.ESSENTIAL))]
            return readiness.packaged_problem(
                self._api.items("/apis/apps/v1/namespaces/kube-system/deployments"),
                self._api.items("/api/v1/namespaces/kube-system/pods"),
                disabled,
            )
        except NotAnswering as failure:
            return str(failure)

    def inhibitor(self, seconds: float) -> str:
        """Why kubelet's shutdown inhibitor is not there after `seconds`; empty when it is."""
        until = self._clock.monotonic() + seconds
        while True:
            result = self._commands.run(
                ["busctl", "--json=short", "call", *LOGIN, "ListInhibitors"], check=False
            )
            try:
                held = json.loads(result.out)["data"][0] if result.rc == 0 else []
            except (ValueError, LookupError):
                held = []
            if any(row[0] == "shutdown" and row[1] == "kubelet" and row[3] == "delay" for row in held):
                return ""
            if self._clock.monotonic() >= until:
                return "kubelet has registered no shutdown inhibitor with systemd-logind"
            self._clock.sleep(0.5)

    def encryption_problem(self, seconds: float) -> str:
        """Why Secrets are not encrypted after `seconds`; empty when they are."""
        return self._status_until(lambda status: not service.encryption_problem(status), seconds)

    def _rotate_keys(self) -> None:
        """Encrypt what is there. The marker is put first, so that an interrupted rotation is taken up again."""
        (self._data / CONVERTING).touch(mode=0o600)
        # The node's annotation lags behind a start, and until it is right k3s refuses; if it never is, k3s says why.
        self._status_until(lambda status: status.get("hashmatch") is True, 30)
        self._commands.run(self._encrypt("rotate-keys"), timeout=180)

    def _status_until(self, good: Callable[[dict[str, Any]], bool], seconds: float) -> str:
        """Ask k3s about encryption until the answer is good; otherwise what is wrong with the last one."""
        until = self._clock.monotonic() + seconds
        while True:
            result = self._commands.run(self._encrypt("status", "-o", "json"), check=False, timeout=60)
            try:
                status = dict(json.loads(result.out)) if result.rc == 0 else {}
            except (ValueError, TypeError):
                status = {}
            if good(status):
                return ""
            if self._clock.monotonic() >= until:
                said = redact_text(" ".join(result.err.strip().splitlines()[-1:])) if result.rc else ""
                return f"secrets-encrypt status fails: {said}" if said else service.encryption_problem(status)
            self._clock.sleep(0.5)

    def _encrypt(self, *words: str) -> list[str]:
        """A `secrets-encrypt` command. It reads no config.yaml, so another port has to be said."""
        port = self._api.port if self._api is not None else API_PORT
        server = [] if port == API_PORT else ["--server", f"https://127.0.0.1:{port}"]
        return [K3S, "secrets-encrypt", *words, *server]

    def journal(self, lines: int = 200) -> list[str]:
        """The unit's newest journal lines."""
        argv = ["journalctl", "-u", self.options.unit, "-n", str(lines), "-o", "cat", "--no-pager"]
        return self._commands.run(argv, check=False).out.splitlines()

    @property
    def _server(self) -> NodeApi:
        """The API of this host; an agent has none."""
        if self._api is None:
            raise HoldfastError("an agent has no API of its own", field="unit", value=self.options.unit)
        return self._api

    def _launch(self, action: Action, wait: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        kind = action.kind
        if self._api is not None:
            self._api.close()
        self._commands.run(["systemctl", "reset-failed", self.options.unit], check=False)
        before = 0 if kind == "start" else self.unit().restarts
        self._commands.run(["systemctl", "--no-block", kind, self.options.unit])
        times = wait(before)
        if action.params.get("converted"):
            with contextlib.suppress(FileNotFoundError):
                (self._data / CONVERTING).unlink()
        return times

    def _crash(self, unit: readiness.Unit) -> HoldfastError:
        return HoldfastError(
            f"{self.options.unit} crashes again and again ({unit.restarts} automatic restarts, {unit.active}/{unit.sub}). "
            f"Its last error: {readiness.last_error(self.journal())}",
            field="unit",
            value=self.options.unit,
            fix=f"correct what the error names; the whole story: journalctl -u {self.options.unit} -n 100",
        )

    def _hang(self, unit: readiness.Unit, elapsed: float) -> HoldfastError:
        return HoldfastError(
            f"{self.options.unit} hangs in {unit.active}/{unit.sub} for {elapsed:.0f} s without exiting. "
            f"Its last error: {readiness.last_error(self.journal())}",
            field="unit",
            value=self.options.unit,
            fix="a damaged datastore does this: run holdfast.k3s.recover_k3s, it works on a copy first",
        )

    def _sysctl(self, name: str) -> Path:
        return self._proc_sys / name.replace(".", "/")

    def _inhibit_seconds(self) -> float:
        argv = ["busctl", "get-property", *LOGIN, "InhibitDelayMaxUSec"]
        words = self._commands.run(argv, check=False).out.split()
        return int(words[1]) / 1e6 if len(words) == 2 and words[1].isdigit() else 0.0

    def _open_accounts(self) -> Optional[list[str]]:
        """Namespaces whose default account mounts its token; None when the API does not answer."""
        try:
            accounts = self._server.items("/api/v1/serviceaccounts?fieldSelector=metadata.name%3Ddefault")
        except NotAnswering:
            return None
        return sorted(
            account["metadata"]["namespace"]
            for account in accounts
            if account.get("automountServiceAccountToken") is not False
        )

    def _stray_policies(self) -> list[str]:
        root = "/apis/networking.k8s.io/v1"
        try:
            found = self._server.items(f"{root}/networkpolicies?labelSelector={_SELECTOR}")
        except NotAnswering:
            return []
        return [
            f"{root}/namespaces/{item['metadata']['namespace']}/networkpolicies/{item['metadata']['name']}"
            for item in found
        ]

    def _close_account(self, namespace: str) -> None:
        """The account appears a moment after its namespace: try for a while."""
        until = self._clock.monotonic() + 20
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        while True:
            try:
                self._write("PATCH", path, {"automountServiceAccountToken": False})
                return
            except CommandError:
                if self._clock.monotonic() > until:
                    raise
                self._clock.sleep(0.3)

    def _write(self, method: str, path: str, body: Optional[Any] = None) -> None:
        try:
            self._server.change(method, path, body, "application/merge-patch+json")
        except NotAnswering as failure:
            raise CommandError(str(failure)) from failure

"""The command `holdfast` on the host itself: what runs at boot and on a timer, without a controller."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.attempts import Attempts
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.node import images, ladder, reboots, verify
from ansible_collections.holdfast.k3s.plugins.module_utils.node.api import Api, write_probe
from ansible_collections.holdfast.k3s.plugins.module_utils.node.catalogue import diagnose
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import observe
from ansible_collections.holdfast.k3s.plugins.module_utils.node.files import write_json
from ansible_collections.holdfast.k3s.plugins.module_utils.node.identity import config, node_name
from ansible_collections.holdfast.k3s.plugins.module_utils.node.recover import (
    options_from,
    paths_from,
    recover,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.node.service import Service

SETTINGS = "/etc/holdfast/recovery.json"
WHAT = "watch"
DEADLINE = 1200.0
# The journal of attempts for a disk that takes none: lost at the next boot, but a limit until then.
SPARE = "/run/holdfast/attempts.jsonl"


class Local:
    """One call of the command.

    settings: the file that the role writes: `options` and `paths` of k3s_recover, `boot` (wait_seconds, reap),
    `watch` (failures, probes, interval_seconds, cooldown_seconds, max_per_hour).
    """

    def __init__(
        self, settings: dict[str, Any], commands: Commands | None = None, clock: Clock | None = None
    ) -> None:
        self.settings, self.commands, self.clock = settings, commands or Commands(), clock or Clock()
        self.paths = paths_from(settings.get("paths", {}))
        self.options = options_from(settings.get("options", {}))
        self.attempts = Attempts(f"{self.paths.state_dir}/attempts.jsonl", clock=self.clock)
        self.spare = Attempts(SPARE, clock=self.clock)

    def recover(self, lock_wait: float = 0) -> dict[str, Any]:
        """The same recovery as the module's; a host that rebooted itself lately does not do it again."""
        allowed = self.options.allow_reboot and reboots.may_reboot(self.paths, self.clock)
        return recover(
            dataclasses.replace(self.options, allow_reboot=allowed),
            self.paths,
            check_mode=False,
            deadline_seconds=DEADLINE,
            budget=None,
            evidence_dir=f"{self.paths.state_dir}/incidents",
            commands=self.commands,
            clock=self.clock,
            lock_wait=lock_wait,
        ).as_dict()

    def attempt(self, **how: Any) -> dict[str, Any]:
        """A recovery in short; one that fails is told like the others, for the report must be written in any case."""
        try:
            return brief(self.recover(**how))
        except (HoldfastError, OSError) as failure:
            envelope = getattr(failure, "envelope", None)
            known = {**brief(envelope.as_dict()), "verified": False} if envelope is not None else {}
            return {"verdict": str(failure), **known, "error": str(failure)}

    # --- boot --------------------------------------------------------------------------------------------------
    def boot(self) -> dict[str, Any]:
        """Wait for k3s, recover it if it does not come, reap what the reboot left, look again."""
        wanted = self.settings.get("boot", {})
        began = self.clock.monotonic()
        report: dict[str, Any] = {"what": "boot", "at": self.clock.now().isoformat()}
        service = Service(self.commands, self.paths, self.options, self.clock)
        try:
            report["k3s"] = service.wait_ready(float(wanted.get("wait_seconds", 180)))
        except HoldfastError as late:
            report["k3s"] = {"error": str(late)}
            # whoever has the lock is at the same work; what is below must be looked at after that
            report["recovery"] = self.attempt(lock_wait=DEADLINE)
            if "reboot this host" in report["recovery"].get("done", []):
                report["verified"] = False
                self.keep("boot", report)
                return report
        if wanted.get("reap", True):
            report["pods"] = self.reap()
        name = node_name(config(self.paths))
        patience = Deadline(self.clock, 120)
        well, checks = verify.healthy(self.commands, self.paths, name)
        while not well and not patience.expired():
            self.clock.sleep(2)
            well, checks = verify.healthy(self.commands, self.paths, name)
        report.update(verified=well, seconds=round(self.clock.monotonic() - began, 1))
        report["checks"] = {key: one["ok"] for key, one in checks.items()}
        self.remember()
        self.keep("boot", report)
        return report

    def reap(self) -> dict[str, Any]:
        """Clear what the reboot left of pods, with pod_reap's own rules and defaults."""
        try:
            # here, because the package kubernetes may be missing on a host that only needs the watch
            from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
            from ansible_collections.holdfast.k3s.plugins.module_utils.pods import options, reap

            defaults = {key: one.get("default") for key, one in {**options.SELECT, **options.REAP}.items()}
            limits = {"deadline": 600, "budget": 200, "evidence_required": True}
            where = {"evidence_dir": f"{self.paths.state_dir}/incidents"}
            client = Client.connect(self.paths.kubeconfig, timeout=30)
            result = reap.reap({**defaults, **limits, **where}, False, client=client)
            keys = ("changed", "verified", "counts", "outcomes", "evidence")
            return {key: result.get(key) for key in keys}
        except (HoldfastError, ImportError, KeyError, TypeError) as error:
            return {"error": str(error)}

    # --- watch -------------------------------------------------------------------------------------------------
    def symptoms(self) -> list[str]:
        """What is not well right now; empty on a healthy host."""
        name = node_name(config(self.paths))
        well, checks = verify.healthy(self.commands, self.paths, name)
        found = [f"{key}: {one['said']}" for key, one in checks.items() if not one["ok"]]
        if well:
            answer = write_probe(Api(self.paths.kubeconfig), 6)
            found += [] if answer["ok"] else [f"datastore: {answer.get('error')}"]
        return found

    def watch(self) -> dict[str, Any]:
        """N of M probes must fail before anything is done, and the journal of attempts bounds how often."""
        wanted = {
            "failures": 3,
            "probes": 4,
            "interval_seconds": 10,
            "cooldown_seconds": 600,
            "max_per_hour": 3,
            **self.settings.get("watch", {}),
        }
        seen: list[list[str]] = []
        failed = 0
        for number in range(int(wanted["probes"])):
            if number:
                self.clock.sleep(float(wanted["interval_seconds"]))
            seen.append(self.symptoms())
            if not seen[0]:
                break
            failed = sum(1 for one in seen if one)
            left = int(wanted["probes"]) - len(seen)
            if failed >= int(wanted["failures"]) or failed + left < int(wanted["failures"]):
                break
        report: dict[str, Any] = {"what": WHAT, "at": self.clock.now().isoformat(), "probes": len(seen)}
        report["symptoms"] = seen[-1]
        if failed < int(wanted["failures"]):
            report["verdict"] = (
                "well" if not failed else f"{failed} of {len(seen)} probes failed, nothing is done"
            )
            self.remember_sometimes()
            return report
        why = self.too_often(wanted["cooldown_seconds"], int(wanted["max_per_hour"]))
        if why:
            report["verdict"] = why
        else:
            self.record(WHAT, "started", report)
            report["recovery"] = self.attempt()
            report["verdict"] = report["recovery"]["verdict"]
            self.record(f"{WHAT}-result", str(report["verdict"])[:200], report)
        self.keep(WHAT, report)
        return report

    def too_often(self, cooldown_seconds: float, max_per_hour: int) -> str:
        """Why nothing may be tried now; empty when it may."""
        for journal in (self.attempts, self.spare):
            with contextlib.suppress(OSError):
                allowed, why = journal.allowed(WHAT, cooldown_seconds, max_per_hour)
                if not allowed:
                    return why
        return ""

    def record(self, what: str, outcome: str, report: dict[str, Any]) -> None:
        """Write an attempt down; a disk that takes none is a thing to recover from, and the report tells it."""
        try:
            self.attempts.record(what, outcome)
        except OSError as error:
            report["not_recorded"] = str(error)
            with contextlib.suppress(OSError):
                self.spare.record(what, outcome)

    # --- small things ------------------------------------------------------------------------------------------
    def status(self) -> dict[str, Any]:
        """The diagnosis now, and what boot and watch did last. Changes nothing."""
        facts = observe(self.commands, self.paths, deep=False, write=False)
        findings = diagnose(facts, self.options)
        report: dict[str, Any] = {
            "verdict": ladder.summary(findings),
            "findings": [one.as_dict() for one in findings],
        }
        for what in ("boot", WHAT):
            try:
                report[f"last_{what}"] = json.loads(Path(self.paths.state_dir, f"{what}.json").read_text())
            except (OSError, ValueError):
                report[f"last_{what}"] = None
        return report

    def keep(self, what: str, report: dict[str, Any]) -> None:
        """The last report as a file; a full disk must not turn a good recovery into a failed unit."""
        try:
            Path(self.paths.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
            write_json(f"{self.paths.state_dir}/{what}.json", report)
        except OSError as error:
            report["not_kept"] = str(error)

    def remember(self) -> None:
        """Names and digests of the images, for the day on which containerd's metadata is lost."""
        try:
            images.remember(self.commands, self.paths)
        except (HoldfastError, OSError):
            return  # containerd is busy or down; the next look remembers

    def remember_sometimes(self) -> None:
        """The same, at most every ten minutes."""
        path = Path(self.paths.state_dir, "images.json")
        if not path.exists() or time.time() - path.stat().st_mtime > 600:
            self.remember()


def brief(result: dict[str, Any]) -> dict[str, Any]:
    """What the journal needs of a recovery's result."""
    return {
        "verdict": result.get("verdict"),
        "found": [one["id"] for one in result.get("findings", [])],
        "done": [f"{one['kind']} {one['target']}" for one in result["actions"] if one["outcome"] == "done"],
        "verified": result["verified"],
        "evidence": result["evidence"],
        "timing": result["timing"],
    }


def load(path: str = SETTINGS) -> dict[str, Any]:
    """The role's settings; without the file everything has its default."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {}


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when the host is well, 1 when it is not, 2 for an error of this command."""
    parser = argparse.ArgumentParser(prog="holdfast", description=__doc__)
    parser.add_argument("what", choices=["boot", "watch", "status"])
    parser.add_argument("--settings", default=SETTINGS)
    arguments = parser.parse_args(argv)
    try:
        local = Local(load(arguments.settings))
        report = {"boot": local.boot, "watch": local.watch, "status": local.status}[arguments.what]()
    except (HoldfastError, ValueError) as error:
        sys.stderr.write(f"holdfast: {error}\n")
        return 2
    sys.stdout.write(json.dumps(report, default=str) + "\n")
    unwell = report.get("verified") is False or (report.get("recovery") or {}).get("verified") is False
    return 1 if unwell or (arguments.what == "status" and report["findings"]) else 0

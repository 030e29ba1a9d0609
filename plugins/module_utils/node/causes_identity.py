"""Faults of identity: token, certificates, clock, passwords, names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import Facts, look
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import (
    GENTLE,
    RESTART,
    Cause,
    Options,
    event_text,
    restart,
    start_text,
    step,
    stopped,
)

DAY = 86400.0
# What `k3s certificate check` looks at. Older versions leave others behind that nothing uses and no restart renews.
SERVER_LEAVES = frozenset(
    f"{name}.crt" for name in (
        "client-admin", "client-auth-proxy", "client-controller", "client-k3s-cloud-controller", "client-kube-apiserver",
        "client-scheduler", "client-supervisor", "serving-kube-apiserver",
    )
)  # fmt: skip
AGENT_LEAVES = frozenset(
    ["client-k3s-controller.crt", "client-kube-proxy.crt", "client-kubelet.crt", "serving-kubelet.crt"]
)


def token_mismatch(facts: Facts, _options: Options) -> str | None:
    text = start_text(facts, r"bootstrap data already found and encrypted with different token")
    if text is None:
        return None
    if look(facts, "token.file_opens") and look(facts, "token.config_opens") is False:
        return f"{text}; the token in server/token opens this datastore, the configured one does not"
    return text


def bootstrap_newer(facts: Facts, _options: Options) -> str | None:
    return start_text(facts, r"newer than datastore and could cause a cluster outage")


def named_files(text: str) -> list[str]:
    """The certificate and credential files that k3s names in its complaint; nothing outside server/."""
    return sorted(
        {
            path
            for path in re.findall(r"(/[\w./-]+)", text)
            if re.search(r"/server/(tls|cred)/[\w./-]+$", path)
        }
    )


def set_newer_aside(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    lines = [one for one in look(facts, "journal.attempt", []) if "newer than datastore" in one]
    files = named_files(" ".join(lines))
    if not files:
        return []
    why = "k3s rewrites them from the datastore"
    middle = [step("move_aside", path, why, RESTART, risk="medium", destructive=True) for path in files]
    return stopped(facts, evidence, RESTART, middle)


def token_empty(facts: Facts, _options: Options) -> str | None:
    if look(facts, "token.file_empty"):
        return "server/token is empty (a power cut truncates small files)"
    return start_text(facts, r"failed to get CA certs.*EOF")


def drop_empty_token(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    if not (look(facts, "token.file_empty") and look(facts, "token.configured")):
        return []
    middle = [step("move_aside", "server/token", evidence, RESTART, risk="medium", path_of="token")]
    return stopped(facts, "the configured token takes its place", RESTART, middle)


def certificate_text(facts: Facts, pattern: str) -> str | None:
    """A line about k3s's own certificates: webhooks and clients have some too, and what the files say is known."""
    readable = look(facts, "certificates.items", [])
    return start_text(facts, rf"level=fatal.*{pattern}" if readable else pattern)


def clock_skew(facts: Facts, options: Options) -> str | None:
    now = look(facts, "host.clock.now")
    newest = look(facts, "host.clock.newest_write")
    if now is None:
        return None
    if newest is not None and newest - now > options.clock_skew_seconds:
        return f"the clock is {newest - now:.0f} s behind the newest file that k3s wrote"
    # a k3s that serves writes every few seconds; since when it is active is told by a clock that nobody sets
    active = look(facts, "unit.active_seconds", 0) if look(facts, "unit.active") == "active" else 0
    if newest is not None and active > 30 and now - newest > active + max(DAY, options.clock_skew_seconds):
        return (
            f"the clock is {(now - newest) / DAY:.1f} days ahead of the last write of a k3s that is running"
        )
    future = [
        one for one in look(facts, "certificates.items", [])
        if one["not_before"] - now > options.clock_skew_seconds
    ]  # fmt: skip
    if future:
        worst = max(one["not_before"] - now for one in future)
        return f"{len(future)} certificates are valid only in {worst:.0f} s, {future[0]['path']} among them"
    return certificate_text(facts, r"certificate has expired or is not yet valid: current time \S+ is before")


def step_clock(facts: Facts, options: Options, evidence: str) -> list[Action]:
    if not options.allow_clock_step or not look(facts, "host.clock.ntp"):
        return []
    return [step("sync_clock", "time service", evidence, GENTLE, risk="medium"), *restart(facts, evidence)]


def is_leaf(one: dict[str, Any]) -> bool:
    """A certificate that k3s uses and renews."""
    path = Path(one["path"])
    known = AGENT_LEAVES if path.parent.name == "agent" else SERVER_LEAVES
    return not one["ca"] and path.name in known


def expired(facts: Facts, options: Options) -> str | None:
    now = look(facts, "host.clock.now", 0)
    limit = now + options.certificate_days * DAY
    gone = [one for one in look(facts, "certificates.items", []) if is_leaf(one) and one["not_after"] < limit]
    if gone:
        first = min(gone, key=lambda one: one["not_after"])
        days = (now - first["not_after"]) / DAY
        return f"{len(gone)} leaf certificates have ended, {first['path']} {days:.1f} days ago"
    return certificate_text(facts, r"x509: certificate has expired(?!.*is before)")


def renew(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    """A restart renews what nears its end; `certificate rotate` is the next rung when that was not enough."""
    middle = [step("rotate_certificates", "leaf certificates", "the restart did not renew them", RESTART + 1,
                   risk="medium")]  # fmt: skip
    return [*restart(facts, evidence), *stopped(facts, "renew all leaf certificates", RESTART + 1, middle)]


def authority_expired(facts: Facts, _options: Options) -> str | None:
    now = look(facts, "host.clock.now", 0)
    gone = [one for one in look(facts, "certificates.items", []) if one["ca"] and one["not_after"] < now]
    return f"{gone[0]['path']} has ended" if gone else None


def node_password(facts: Facts, _options: Options) -> str | None:
    return event_text(facts, r"NodePasswordValidationFailed") or start_text(facts, r"Node password rejected")


def reset_password(facts: Facts, options: Options, evidence: str) -> list[Action]:
    if not options.allow_node_password_reset:
        return []
    name = f"{look(facts, 'config.node_name')}.node-password.k3s"
    clear = step("delete_secret", f"kube-system/{name}", evidence, RESTART, risk="medium", destructive=True)
    return [clear, *restart(facts, "k3s writes the secret anew")]


def renamed(facts: Facts, _options: Options) -> str | None:
    others = look(facts, "api.node.others", [])
    if look(facts, "api.node.known") is False and others:
        return (
            f"this host calls itself {look(facts, 'config.node_name')}, the cluster knows {', '.join(others)}"
        )
    return None


def etcd_restore(facts: Facts, _options: Options) -> str | None:
    return start_text(
        facts, r"etcd.*(member .* (removed|not found)|cluster-reset|has already been bootstrapped)"
    )


CAUSES = (
    Cause(
        "CLOCK-SKEW", 10, "The clock is wrong", "down", clock_skew, step_clock,
        person="set the clock (timedatectl, chronyc makestep), then run again; with NTP active allow_clock_step: true "
        "does it. Certificates are not touched while the clock is in doubt",
        hides=("CERT-EXPIRED", "CA-EXPIRED", "API-DOWN"),
    ),
    Cause(
        "TOKEN-MISMATCH", 6, "The token does not open the datastore", "down", token_mismatch,
        person="put the original token back (in config.yaml, or in server/token); if the file's own token opens "
        "it, take the one of config.yaml out; then systemctl restart k3s. No restart helps before that",
        hides=("START-HANG", "CRASH-LOOP"),
    ),
    Cause(
        "BOOTSTRAP-NEWER", 7, "Files on disk are newer than the datastore's record", "down", bootstrap_newer,
        set_newer_aside,
        person="move exactly the files that the journal names away and start k3s: it writes them from the datastore",
        hides=("START-HANG", "CRASH-LOOP"),
    ),
    Cause(
        "TOKEN-EMPTY", 8, "The token file is empty", "down", token_empty, drop_empty_token,
        person="write the token from the backup into server/token (0600), or set one in config.yaml",
        hides=("START-HANG", "CRASH-LOOP"),
    ),
    Cause(
        "CERT-EXPIRED", 9, "Certificates have expired", "down", expired, renew,
        hides=("START-HANG", "CRASH-LOOP", "API-DOWN", "NODE-NOT-READY"),
    ),
    Cause(
        "CA-EXPIRED", 9, "A certificate authority has expired", "down", authority_expired,
        person="authorities are never renewed by themselves: k3s certificate rotate-ca (see its documentation)",
        hides=("CERT-EXPIRED",),
    ),
    Cause(
        "NODE-PASSWORD", 18, "The node's password does not match its secret", "info", node_password, reset_password,
        person="put /etc/rancher/node/password back from a backup; or, if this is the only host of that name, run "
        "again with allow_node_password_reset: true",
    ),
    Cause(
        "NODE-RENAMED", 19, "The host's name changed under the node", "degraded", renamed,
        person="set node-name: to the old name in config.yaml and restart k3s: volumes are bound to that name",
        hides=("NODE-NOT-READY",),
    ),
    Cause(
        "ETCD-RESTORE", 25, "An etcd restore left old members behind", "down", etcd_restore,
        person="restore into a fresh data directory with the snapshot's own token (k3s server --cluster-reset …)",
        hides=("CRASH-LOOP", "START-HANG"),
    ),
)  # fmt: skip

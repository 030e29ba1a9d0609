"""Why an image cannot be pulled: a pure verdict from the kubelet's message and what the probes saw."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """cause: stable id. why: one line. fix: what heals it. automatic: kind of the action that does it, or empty."""

    cause: str
    why: str
    fix: str
    automatic: str = ""

    def as_dict(self) -> dict[str, str]:
        """Plain data for results."""
        return {"cause": self.cause, "why": self.why, "fix": self.fix, "automatic": self.automatic}


# Texts of kubelet and containerd. The first match wins, so what explains more comes first.
TEXTS: tuple[tuple[str, str, str], ...] = (
    ("BAD-NAME", r"InvalidImageName|couldn.t parse image|invalid reference format", "correct the image's name"),
    ("NEVER-PULL", r"ErrImageNeverPull|is not present with pull policy of Never",
     "load the image first, or set imagePullPolicy: IfNotPresent"),
    ("DISK-FULL", r"no space left on device", "free disk space (playbook recover, allow_prune_images)"),
    ("CLOCK", r"certificate has expired or is not yet valid", "set the clock, or renew the registry's certificate"),
    ("TLS-SCHEME", r"server gave HTTP response to HTTPS client",
     "name the registry with http:// in registries.yaml and restart k3s"),
    ("TLS", r"x509: |tls: |certificate signed by unknown authority",
     "give the registry's CA as configs.<registry>.tls.ca_file in registries.yaml"),
    ("RATE-LIMIT", r"\b429\b|toomanyrequests|rate limit", "wait, log in, or mirror the image in the local registry"),
    ("ARCH", r"no match for platform|exec format error|does not match the specified platform",
     "push an image built for this machine's architecture"),
    ("BLOB-MISSING", r"blob unknown|blob[^\n]*not found|failed size validation|unexpected commit digest|unexpected EOF"
     r"|content digest[^\n]*not found|failed to copy: [^\n]*\b404\b",
     "push the image again"),
    ("AUTH", r"\b401\b|403 Forbidden|unauthorized|authorization failed|pull access denied|no basic auth credentials",
     "check the credentials: configs.<registry>.auth in registries.yaml, or the pull secret"),
    ("DNS", r"no such host|server misbehaving|name resolution", "check the name and /etc/resolv.conf"),
    ("REGISTRY-DOWN", r"connection refused|connection reset|no route to host|network is unreachable|EOF\b",
     "start the registry"),
    ("TIMEOUT", r"i/o timeout|deadline exceeded|timeout exceeded|TLS handshake timeout",
     "check firewall, proxy and the registry's load"),
    ("TAG-MISSING", r"manifest unknown|not found|NAME_UNKNOWN|repository does not exist",
     "push the tag, or correct it in the workload"),
)  # fmt: skip
AUTOMATIC = {"REGISTRY-DOWN": "restart_registry", "HOSTS-TOML": "rewrite_hosts", "BLOB-MISSING": "push_image",
             "TAG-MISSING": "push_image"}  # fmt: skip


def from_text(message: str) -> tuple[str, str] | None:
    """Cause and fix that a message alone gives away."""
    for cause, pattern, fix in TEXTS:
        if re.search(pattern, message, re.I):
            return cause, fix
    return None


def nearest(name: str, known: list[str]) -> str | None:
    """The known name that a misspelt one probably means."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return found[0] if found and found[0] != name else None


def examine(image: str, message: str, facts: dict[str, Any]) -> Verdict:
    """The verdict on one image.

    facts (all optional): local (the registry is ours), ping_error, auth_error, deviation (of hosts.toml), repositories, tags,
    repository, tag, manifest (bool), missing_blobs, error (instead of an answer), available (where a lost image can come from), disk_full,
    clock_skew.
    """
    text = from_text(message)
    if text and text[0] in ("BAD-NAME", "NEVER-PULL", "DISK-FULL", "ARCH", "RATE-LIMIT"):
        return Verdict(text[0], _short(message), text[1])
    if facts.get("disk_full"):
        return Verdict("DISK-FULL", f"the disk is full: {facts['disk_full']}", "free disk space")
    if facts.get("ping_error") and facts.get("local"):
        return Verdict("REGISTRY-DOWN", f"the registry does not answer: {facts['ping_error']}", "start the registry",
                       AUTOMATIC["REGISTRY-DOWN"])  # fmt: skip
    if facts.get("deviation"):
        return Verdict("HOSTS-TOML", facts["deviation"], "restart k3s: it writes hosts.toml from registries.yaml",
                       AUTOMATIC["HOSTS-TOML"])  # fmt: skip
    if text and text[0] in ("TLS-SCHEME", "TLS", "AUTH", "DNS", "CLOCK"):
        return Verdict(text[0], _short(message), text[1])
    content = _content(image, facts)
    if content:
        return content
    # it answers, so what the kubelet said about its silence is over
    if (
        facts.get("auth_error")
        and facts.get("local")
        and (not text or text[0] in ("REGISTRY-DOWN", "TIMEOUT"))
    ):
        return Verdict("AUTH", f"the registry wants other credentials: {facts['auth_error']}",
                       "give username and password, or configs.<registry>.auth in registries.yaml")  # fmt: skip
    if text:
        automatic = AUTOMATIC.get(text[0], "") if facts.get("available") or text[0] == "REGISTRY-DOWN" else ""
        return Verdict(text[0], _short(message), text[1], automatic if facts.get("local") else "")
    return Verdict("UNKNOWN", _short(message) or "no message", "try it by hand: k3s crictl pull IMAGE")


def _content(image: str, facts: dict[str, Any]) -> Verdict | None:
    """What the registry itself lacks."""
    if facts.get("missing_blobs"):
        return Verdict("BLOB-MISSING", f"the registry lost {len(facts['missing_blobs'])} blobs of {image}, "
                       f"{facts['missing_blobs'][0][:19]}… among them", "push the image again", _push(facts))  # fmt: skip
    if facts.get("error"):
        return Verdict("UNSERVED", f"the registry does not serve {image}: {facts['error']}",
                       "push the image again; if that does not help, see the registry's journal", _push(facts))  # fmt: skip
    if facts.get("manifest") is False:
        repository, tag = facts.get("repository", ""), facts.get("tag", "")
        known = facts.get("repositories") or []
        if repository not in known and not facts.get("available"):
            near = nearest(repository, known)
            if near:
                return Verdict("TYPO", f"there is no {repository}, but {near}", f"correct the name to {near}")
        elif not facts.get("available"):
            near = nearest(tag, facts.get("tags") or [])
            if near:
                return Verdict("TAG-MISSING", f"{repository} has no tag {tag}; it has {near}",
                               f"push {tag}, or use {near}")  # fmt: skip
        return Verdict(
            "TAG-MISSING", f"the registry has no {repository}:{tag}", "push the image", _push(facts)
        )
    return None


def _push(facts: dict[str, Any]) -> str:
    return AUTOMATIC["TAG-MISSING"] if facts.get("available") else ""


def _short(message: str) -> str:
    return " ".join(message.split())[-300:]

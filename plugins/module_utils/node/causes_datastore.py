"""Faults of the datastore."""

from __future__ import annotations

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import Facts, look
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import (
    GENTLE,
    RESTART,
    Cause,
    Options,
    start_text,
    step,
    stopped,
)

DAMAGE = r"database disk image is malformed|file is not a database"


def _verdict(facts: Facts) -> str:
    """The check's word; a look that failed or was late is no check, and other datastores than SQLite need none."""
    missing = "not checked" if look(facts, "datastore.kind", "sqlite") == "sqlite" else "ok"
    return str(look(facts, "datastore.quick_check", missing))


def _damaged(facts: Facts) -> bool:
    verdict = _verdict(facts)
    return verdict != "ok" and not verdict.startswith("not checked")


def corrupt(facts: Facts, _options: Options) -> str | None:
    if torn(facts, _options):
        return None
    if _damaged(facts):
        return f"quick_check of a copy of {look(facts, 'datastore.path')}: {_verdict(facts)}"
    text = start_text(facts, DAMAGE)
    # the text alone is history once a check of the present file passes
    return text if text and _verdict(facts).startswith("not checked") else None


def torn(facts: Facts, _options: Options) -> str | None:
    if _damaged(facts) and look(facts, "datastore.quick_check_without_wal") == "ok":
        return f"with its write-ahead log: {_verdict(facts)}; the main file alone passes quick_check"
    return None


def _aside(facts: Facts) -> Action:
    return step(
        "copy_aside",
        look(facts, "datastore.path", ""),
        "keep the damaged datastore as it is, before anything else",
        GENTLE,
        risk="none",
    )


def repair(facts: Facts, options: Options, evidence: str) -> list[Action]:
    """Copy aside always; repair a copy and swap it in only when the operator asked for it."""
    if options.datastore_repair == "none":
        return [_aside(facts)]
    mend = step(
        "repair_datastore",
        look(facts, "datastore.path", ""),
        evidence,
        RESTART,
        risk="high",
        destructive=True,
        method=options.datastore_repair,
    )
    return [_aside(facts), *stopped(facts, "repair the datastore on a copy", RESTART, [mend])]


def repair_wal(facts: Facts, options: Options, evidence: str) -> list[Action]:
    chosen = options.datastore_repair
    if chosen == "none":
        return [_aside(facts)]
    mend = step("repair_datastore", look(facts, "datastore.path", ""), evidence, RESTART, risk="high",
                destructive=True, method="wal")  # fmt: skip
    return [_aside(facts), *stopped(facts, "set the torn write-ahead log aside", RESTART, [mend])]


def bloated(facts: Facts, options: Options) -> str | None:
    size = look(facts, "datastore.size", 0) + look(facts, "datastore.wal_size", 0)
    if size > options.datastore_max_mb << 20:
        return f"datastore and its log take {size >> 20} MiB, the limit is {options.datastore_max_mb} MiB"
    return None


def vacuum(facts: Facts, options: Options, evidence: str) -> list[Action]:
    if not options.allow_vacuum:
        return []
    middle = [step("vacuum_datastore", look(facts, "datastore.path", ""), evidence, RESTART, risk="medium")]
    return stopped(facts, "shrink the datastore", RESTART, middle)


def locked_now(facts: Facts, _options: Options) -> str | None:
    """The lock itself was seen, not only a line about one."""
    writers = look(facts, "datastore.foreign_writers", [])
    if writers:
        who = ", ".join(f"{one['comm']} (PID {one['pid']})" for one in writers)
        return f"held by a process that is not k3s: {who}"
    if look(facts, "api.write.ok") is False and serving_reads(facts):
        return f"reads work, a small write failed after {look(facts, 'api.write.seconds')} s: " + str(
            look(facts, "api.write.error", "no answer")
        )
    return None


def locked(facts: Facts, options: Options) -> str | None:
    return locked_now(facts, options) or start_text(facts, r"database is locked")


def serving_reads(facts: Facts) -> bool:
    return bool(look(facts, "api.node.known"))


def wait_for_lock(facts: Facts, options: Options, evidence: str) -> list[Action]:
    return [
        step(
            "wait_for_writes",
            look(facts, "datastore.path", "datastore"),
            evidence,
            GENTLE,
            risk="none",
            seconds=options.lock_wait_seconds,
        )
    ]


def disk_error(facts: Facts, _options: Options) -> str | None:
    if "disk I/O error" in _verdict(facts):
        return f"quick_check: {_verdict(facts)}"
    return start_text(facts, r"setup db: disk I/O error|disk I/O error")


def bloat_person(days: str = "") -> str:
    return (
        "shrinking stops k3s for a moment; allow it with allow_vacuum: true "
        "(or upgrade: newer k3s shrinks at every start)" + days
    )


CAUSES = (
    Cause(
        "DB-TORN-WAL",
        2,
        "The datastore's write-ahead log is torn",
        "down",
        torn,
        repair_wal,
        person="setting the log aside loses the last commits: run again with datastore_repair: wal, or restore a backup",
        hides=("DB-CORRUPT", "START-HANG", "CRASH-LOOP"),
    ),
    Cause(
        "DB-CORRUPT",
        1,
        "The datastore is damaged",
        "down",
        corrupt,
        repair,
        person="a copy was kept; restore the last verified backup together with its token, or run again with "
        "datastore_repair: recover, which mends a copy and swaps it in only if it passes quick_check",
        hides=("START-HANG", "CRASH-LOOP", "API-DOWN"),
    ),
    Cause(
        "DB-IO",
        5,
        "The disk under the datastore fails",
        "down",
        disk_error,
        person="look at dmesg and smartctl, free or replace the disk, then restore; no restart helps a failing disk",
        hides=("DB-CORRUPT", "START-HANG", "CRASH-LOOP"),
    ),
    Cause(
        "DB-LOCKED",
        4,
        "The datastore takes no writes",
        "degraded",
        locked,
        wait_for_lock,
        person="if it stays so: end the process that holds the lock (named above), or give the datastore a faster disk",
        hides=("START-HANG", "API-DOWN"),
        proof=locked_now,
    ),
    Cause(
        "DB-BLOATED", 3, "The datastore has grown too large", "info", bloated, vacuum, person=bloat_person()
    ),
)

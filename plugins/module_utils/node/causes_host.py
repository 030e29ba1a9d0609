"""Faults of the machine and of k3s as a service."""

from __future__ import annotations

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import Facts, look
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import (
    GENTLE,
    RESTART,
    Cause,
    Options,
    event_text,
    line_with,
    restart,
    serving,
    start_text,
    step,
)


def disk_full(facts: Facts, options: Options) -> str | None:
    for one in look(facts, "host.disks", []):
        if one["read_only"]:
            continue
        if one["free_percent"] < options.disk_free_percent:
            return (
                f"{one['path']}: {one['free_percent']} % free, the limit is {options.disk_free_percent:g} %"
            )
        if one["inodes_free_percent"] < options.inodes_free_percent:
            return f"{one['path']}: {one['inodes_free_percent']} % of the inodes are free"
    return start_text(facts, r"no space left on device|database or disk is full")


def datastore_disk_full(facts: Facts, _options: Options) -> str | None:
    for one in look(facts, "host.disks", []):
        if one.get("datastore") and one["free_bytes"] < LAST_BYTES:
            return f"{one['free_bytes'] >> 10} KiB are free on {one['path']}, which holds the datastore: no write can succeed"
    return None


def free_disk(facts: Facts, options: Options, evidence: str) -> list[Action]:
    actions = [
        step("prune_own", "old incident bundles and scratch copies", evidence, GENTLE, risk="none"),
        step("vacuum_journal", "system journal", "keep its last 200 MiB", GENTLE),
    ]
    if options.allow_prune_images and look(facts, "runtime.cri.ok"):
        actions.append(step("prune_images", "images that no container uses", evidence, GENTLE, risk="medium"))
    return actions


def read_only(facts: Facts, _options: Options) -> str | None:
    found = [one["path"] for one in look(facts, "host.disks", []) if one["read_only"]]
    return f"mounted read-only: {', '.join(found)}" if found else None


def inotify(facts: Facts, _options: Options) -> str | None:
    limit, used = look(facts, "host.inotify.max_user_instances", 0), look(facts, "host.inotify.instances", 0)
    if limit and used >= 0.95 * limit:
        return f"{used} of {limit} inotify instances are in use (fs.inotify.max_user_instances)"
    text = start_text(facts, r"too many open files|inotify_init|fsnotify.*too many")
    return text


def raise_inotify(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    raised = step("raise_inotify", "fs.inotify.max_user_instances=8192", evidence, GENTLE)
    return [raised] if serving(facts) else [raised, *restart(facts, evidence)]


def cgroup_v1(facts: Facts, _options: Options) -> str | None:
    return start_text(facts, r"kubelet is configured to not run on a host using cgroup v1")


def controllers(facts: Facts, _options: Options) -> str | None:
    return start_text(
        facts, r"failed to find memory cgroup|(pids|memory|cpu|cpuset) cgroup controller not found"
    )


def bad_flag(facts: Facts, _options: Options) -> str | None:
    return start_text(
        facts,
        r"exited: (unknown flag|unknown shorthand flag|invalid argument)|Error: unknown flag"
        r"|invalid kernel flag|limits.*must not be empty|exited: .*(no such file or directory|failed to read)",
    )


def bad_flag_person() -> str:
    return (
        "correct or remove the argument that the message names (config.yaml, config.yaml.d), then "
        "systemctl restart k3s; no restart helps before that"
    )


def port_taken(facts: Facts, _options: Options) -> str | None:
    if serving(facts):
        return None
    own = {one["pid"] for one in look(facts, "processes", [])}
    for port, holder in sorted(look(facts, "host.ports", {}).items()):
        if isinstance(holder, dict) and holder["pid"] not in own and not holder.get("own"):
            return f"port {port} is held by {holder['comm']} (PID {holder['pid']})"
    if look(facts, "unit.active") == "active":
        return None  # it has bound its ports: the line is history, or about another's
    return start_text(facts, r"bind: address already in use")


def filtered(facts: Facts, _options: Options) -> str | None:
    said = look(facts, "host.ports.knock")
    if not said or serving(facts):
        return None
    host, port = look(facts, "host.ports.address", ["127.0.0.1", 6443])
    holder = look(facts, f"host.ports.{port}.comm")
    return f"{holder} listens on port {port}, a connection from this host to {host} ends with: {said}"


def not_installed(facts: Facts, _options: Options) -> str | None:
    if look(facts, "installed") is False:
        return "the k3s binary is missing"
    return "there is no unit of that name" if look(facts, "unit.exists") is False else None


def inactive(facts: Facts, _options: Options) -> str | None:
    if look(facts, "unit.exists") and look(facts, "unit.active") in ("inactive", "failed", "deactivating"):
        return f"unit is {look(facts, 'unit.active')}/{look(facts, 'unit.sub')}, result {look(facts, 'unit.result')}"
    return None


def start_it(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    return [step("start_unit", look(facts, "unit.name", "k3s"), evidence, RESTART)]


def starting(facts: Facts, options: Options) -> str | None:
    if look(facts, "unit.active") != "activating":
        return None
    seconds = look(facts, "unit.activating_seconds", 0)
    restarting = look(facts, "unit.sub") == "auto-restart"
    if crash_loop(facts, options) or seconds > options.start_seconds:
        return None
    return "systemd starts it again" if restarting else f"starting for {seconds:.0f} s"


def wait(facts: Facts, options: Options, evidence: str) -> list[Action]:
    return [step("wait_ready", look(facts, "unit.name", "k3s"), evidence, GENTLE, risk="none",
                 seconds=options.start_seconds)]  # fmt: skip


def crash_loop(facts: Facts, _options: Options) -> str | None:
    restarts = look(facts, "unit.n_restarts", 0)
    if serving(facts) or look(facts, "unit.active") != "activating":
        return None
    fatal = line_with(look(facts, "journal.attempt", []), r"level=fatal|Shutdown request received")
    if restarts >= 3 and fatal:
        return f"started {restarts} times without success: {fatal}"
    return None


def start_hang(facts: Facts, options: Options) -> str | None:
    seconds = look(facts, "unit.activating_seconds", 0)
    if look(facts, "unit.active") == "activating" and seconds > options.start_seconds:
        return f"activating for {seconds:.0f} s without a word"
    return None


def api_down(facts: Facts, _options: Options) -> str | None:
    if look(facts, "unit.active") != "active" or look(facts, "api.readyz.ok") is not False:
        return None
    if look(facts, "unit.active_seconds", 0) < 15:
        return None
    failed = look(facts, "api.readyz.failed", [])
    detail = (
        "failed checks: " + ", ".join(failed) if failed else str(look(facts, "api.readyz.error", "no answer"))
    )
    return f"the unit is active, /readyz is not: {detail}"


def kubelet_down(facts: Facts, _options: Options) -> str | None:
    if look(facts, "unit.active") == "active" and look(facts, "kubelet.ok") is False:
        if look(facts, "unit.active_seconds", 0) < 30:
            return None
        return f"kubelet's health port: {look(facts, 'kubelet.text')}"
    return None


def not_ready(facts: Facts, _options: Options) -> str | None:
    if look(facts, "api.node.known") and not look(facts, "api.node.ready"):
        if look(facts, "unit.active_seconds", 0) < 60:
            return None
        return f"node {look(facts, 'api.node.name')}: {look(facts, 'api.node.reason')}"
    return None


def oom_killed(facts: Facts, _options: Options) -> str | None:
    return "systemd ended the unit for lack of memory" if look(facts, "unit.result") == "oom-kill" else None


def evicting(facts: Facts, _options: Options) -> str | None:
    pressure = look(facts, "api.node.pressure", [])
    return f"node condition {', '.join(pressure)}" if pressure else None


def image_gc(facts: Facts, _options: Options) -> str | None:
    return event_text(facts, r"FreeDiskSpaceFailed|ImageGCFailed")


def plain_restart(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    return restart(facts, evidence)


LAST_BYTES = 4 << 20  # with less than this SQLite cannot even fold its log into the main file
CONFIG_HIDES = ("CRASH-LOOP", "START-HANG", "API-DOWN", "KUBELET-DOWN", "NODE-NOT-READY", "CRI-NO-SOCKET")
CAUSES = (
    Cause("NOT-INSTALLED", 0, "k3s is not installed here", "down", not_installed,
          person="install it with the playbook holdfast.k3s.site", hides=("UNIT-INACTIVE", *CONFIG_HIDES)),
    Cause("DISK-READ-ONLY", 5, "A file system is read-only", "down", read_only,
          person="look at dmesg, check the file system (fsck), mount it again read-write",
          hides=("CRASH-LOOP", "START-HANG", "DISK-FULL")),
    Cause("DB-DISK-FULL", 5, "The disk of the datastore has no room at all", "down", datastore_disk_full, free_disk,
          person="free space there (du -xh --max-depth=2 on it, sorted); k3s goes on by itself then, and no restart helps before that",
          hides=("DISK-FULL", "DB-LOCKED", "STARTING", "START-HANG", "CRASH-LOOP", "API-DOWN", "KUBELET-DOWN", "NODE-NOT-READY",
                 "CRI-NO-SOCKET", "CRI-WEDGED")),
    Cause("DISK-FULL", 20, "A file system is full", "degraded", disk_full, free_disk,
          person="free more space: du -xh --max-depth=2 /var | sort -h | tail; allow_prune_images: true removes unused images",
          hides=("DB-LOCKED",)),
    Cause("INOTIFY", 21, "inotify instances are used up", "degraded", inotify, raise_inotify,
          person="the limit cannot be raised from here: sysctl -w fs.inotify.max_user_instances=8192 on the host itself"),
    Cause("CGROUP-V1", 22, "kubelet refuses cgroup v1", "down", cgroup_v1,
          person="boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1); as a stopgap set k3s_allow_cgroup_v1: true "
          "and run site again", hides=CONFIG_HIDES),
    Cause("CGROUP-CONTROLLER", 23, "A cgroup controller is missing", "down", controllers,
          person="add cgroup_memory=1 cgroup_enable=memory to the kernel's command line and reboot", hides=CONFIG_HIDES),
    Cause("BAD-ARGUMENT", 24, "A component refuses its configuration", "down", bad_flag, person=bad_flag_person(),
          hides=CONFIG_HIDES),
    Cause("PORT-TAKEN", 0, "Another process holds a port of k3s", "down", port_taken,
          person="end or move that process; k3s starts by itself then", hides=CONFIG_HIDES),
    Cause("API-FILTERED", 0, "A packet filter cuts the API off; k3s itself is well", "down", filtered,
          person="find and remove the rule (nft list ruleset, iptables-save | grep 6443); nothing was restarted, since no restart "
          "helps against it", hides=("NODE-NOT-READY", "STARTING", "START-HANG", "API-DOWN", "KUBELET-DOWN", "CRASH-LOOP")),
    Cause("UNIT-INACTIVE", 0, "k3s is not running", "down", inactive, start_it, hides=("API-DOWN", "CRI-NO-SOCKET")),
    Cause("STARTING", 0, "k3s is starting", "info", starting, wait),
    Cause("CRASH-LOOP", 0, "k3s starts again and again", "down", crash_loop, plain_restart),
    Cause("START-HANG", 0, "k3s hangs while starting", "down", start_hang, plain_restart),
    Cause("API-DOWN", 0, "The API is down although the unit is active", "down", api_down, plain_restart),
    Cause("KUBELET-DOWN", 0, "kubelet does not answer", "down", kubelet_down, plain_restart),
    Cause("NODE-NOT-READY", 0, "The node is not ready", "degraded", not_ready, plain_restart),
    Cause("UNIT-OOM", 0, "k3s ran out of memory", "degraded", oom_killed, plain_restart,
          person="give the host more memory or limit its pods; a restart only buys time"),
    Cause("NODE-PRESSURE", 20, "The node reports pressure", "info", evicting,
          person="see playbook recover_memory and the disk figures"),
    Cause("IMAGE-GC", 20, "Image garbage collection frees too little", "info", image_gc,
          person="free disk space; allow_prune_images: true removes unused images"),
)  # fmt: skip

"""kill -9 of everything, at every step of a restore: the live database is whole each time, and the next run completes.

Every step with every victim by HOLDFAST_FULL=1 (tools/kill_table.py makes docs/kills.md of what it saw); otherwise a few of them,
others every day (HOLDFAST_SEED).
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import date

import pytest
from database import DATABASE, NAMESPACE, ROOT, Database, module_argv, run_module, wait_for

from lab import controller
from lab.errors import LabError
from lab.host import LabHost

FULL = os.environ.get("HOLDFAST_FULL") == "1"
SEED = os.environ.get("HOLDFAST_SEED") or date.today().isoformat()
RESULTS = ROOT / "build" / "kills.jsonl"
STEPS = [
    *(("prepare", step) for step in ("preflight", "safety", "create", "load", "verify", "analyze")),
    *(("swap", step) for step in ("preflight", "swap")),
]
VICTIMS = {
    "module": "pkill -KILL -f '[A]nsiballZ_pg_restore'",
    "job": f"/usr/local/bin/k3s kubectl -n {NAMESPACE} delete pods -l holdfast.dev/script=SCRIPT --field-selector status.phase=Running --grace-period=0 --force --wait=false",
    "postgres": "pkill -KILL -x postgres",
    "containerd": "pkill -KILL -x containerd",
    "host": "true",  # the test cuts the power itself
}
CASES = list(itertools.product(STEPS, VICTIMS))
CHOSEN = CASES if FULL else random.Random(SEED).sample(CASES, 3)
MARKER = "/var/tmp/holdfast-kill-marker"  # outlives a power cut
MARK = "not_in_the_backup"  # a table that tells the live database from a restored one

# Wait until a job of this run says that it has come to a step, then kill in the same breath.
WATCH = f"""
for _ in $(seq 1 6000); do
    logs=$(find /var/log/pods -name '*.log' -path "*-$1-*" -newer {MARKER})
    if [ -n "$logs" ] && grep -qs '"step":"'"$2"'"' $logs; then
        sh -c "$3" || true
        exit 0
    fi
    sleep 0.05
done
exit 9
"""
LAST = f"find /var/log/pods -name '*.log' -path '*_postgres-backup-*' -newer {MARKER} -printf '%T@ %p\\n' | sort -n | tail -n 1 | cut -d' ' -f2 | xargs -r tail -n 1"


@pytest.fixture(scope="module", autouse=True)
def _fresh_results() -> None:
    if FULL:
        RESULTS.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    yield
    sides = database.sql(
        f"SELECT datname FROM pg_database WHERE datname LIKE '{DATABASE}\\_\\_%'", "postgres"
    )
    for name in sides.split():
        database.sql(f'DROP DATABASE "{name}" WITH (FORCE)', "postgres")


def last_step(host: LabHost) -> str:
    """The last step that the jobs of this run spoke of."""
    said = host.sudo(["sh", "-c", LAST], check=False).out
    try:
        return str(json.loads(said[said.index("{") :])["step"])
    except (ValueError, KeyError):
        return "?"


def live_state(database: Database, good: str) -> str:
    """untouched | swapped | closed; anything else is damage."""
    try:
        marked = database.sql(f"SELECT count(*) FROM pg_tables WHERE tablename = '{MARK}'") == "1"
        found = database.content().replace(f"{MARK},", "")
    except LabError as failure:
        assert "not currently accepting connections" in str(failure), failure
        return "closed"
    assert found == good, f"the live database is damaged: {found} instead of {good}"
    return "untouched" if marked else "swapped"


@pytest.mark.req("SN-41", "SN-42", "CAP-55", "BR-08")
@pytest.mark.parametrize(
    ("where", "victim"), CHOSEN, ids=[f"{where[0]}-{where[1]}-{victim}" for where, victim in CHOSEN]
)
def test_the_database_is_whole_whatever_is_killed(
    database: Database, host: LabHost, where: tuple[str, str], victim: str
) -> None:
    script, step = where
    good = database.content()
    database.sql(f"CREATE TABLE {MARK} (id int PRIMARY KEY)")
    host.sudo(["touch", MARKER])
    started = time.monotonic()
    process = subprocess.Popen(
        module_argv("pg_restore", {"safety": "require" if step == "safety" else "skip"}, False),
        cwd=ROOT,
        env=controller.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        command = VICTIMS[victim].replace("SCRIPT", script)
        host.sudo(["sh", "-c", WATCH, "sh", script, step, command], timeout=400)
        if victim == "host":
            host.power_loss()
        if victim in ("module", "host"):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=500)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    hit = last_step(host)
    wait_for(database.ready, f"the database after {victim} was killed at {script}/{step}")
    state = live_state(database, good)
    again = run_module("pg_restore", safety="skip")
    assert not again["failed"] and again["verified"], again
    assert live_state(database, good) == "swapped"
    row = {
        "script": script,
        "step": step,
        "victim": victim,
        "first": process.returncode == 0,
        "last_step": hit,
    }
    row.update(state=state, resumed=bool(again["resumed"]), seconds=round(time.monotonic() - started))
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")

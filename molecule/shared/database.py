"""The database of the converged host, and ways to run modules and playbooks on it as an operator would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab import controller  # noqa: E402
from lab.errors import LabError  # noqa: E402
from lab.host import LabHost  # noqa: E402

SYSTEM = os.environ.get("HOLDFAST_SYSTEM", "songnodes")
NAMESPACE, DATABASE, USER = "songnodes", "musicdb", "musicdb_user"


def module_argv(name: str, options: dict[str, Any], check: bool) -> list[str]:
    """The command line of one of our modules on the host."""
    return controller.module_argv(name, SYSTEM, asked(options), check)


def run_module(name: str, check: bool = False, **options: Any) -> dict[str, Any]:
    """One of our modules on the host; a failed one has `failed: true`."""
    return controller.module(name, SYSTEM, asked(options), check, timeout=600)


def asked(options: dict[str, Any]) -> dict[str, Any]:
    """The options with the namespace of the database, without those that are None."""
    given = {"namespace": NAMESPACE, **options}
    return {key: value for key, value in given.items() if value is not None}


def run_play(name: str, *arguments: str, **extra: Any) -> subprocess.CompletedProcess[str]:
    """One of our playbooks, as an operator runs it without a terminal."""
    return controller.playbook(
        f"holdfast.k3s.{name}",
        *arguments,
        limit=f"{SYSTEM},localhost",
        system=SYSTEM,
        variables=extra,
        timeout=900,
    )


class Database:
    """The live database, asked through its own pod."""

    def __init__(self, host: LabHost) -> None:
        self.host = host

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """kubectl in the namespace."""
        argv = ["/usr/local/bin/k3s", "kubectl", "-n", NAMESPACE, *arguments]
        return self.host.sudo(argv, check=check, timeout=120).out

    def sql(self, text: str, database: str = DATABASE) -> str:
        """What SQL prints."""
        argv = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-c", text]
        return self.kubectl("exec", "postgres-0", "--", *argv).strip()

    def ready(self) -> bool:
        """Whether the pod is Ready, as its Service sees it, and the server answers."""
        condition = 'jsonpath={.metadata.deletionTimestamp}{.status.conditions[?(@.type=="Ready")].status}'
        argv = [
            "exec",
            "postgres-0",
            "--",
            "psql",
            "-X",
            "-At",
            "-U",
            USER,
            "-d",
            "postgres",
            "-c",
            "SELECT 1",
        ]
        try:
            if self.kubectl("get", "pod", "postgres-0", "-o", condition, check=False).strip() != "True":
                return False
            return self.kubectl(*argv, check=False).strip() == "1"
        except LabError:
            return False

    def content(self) -> str:
        """Rows and an order-independent hash of the tracks and their edges, and the list of tables."""
        tables = self.sql(
            "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"
        )
        hashed = "SELECT count(*) || ':' || sum(hashtext(ROW(t.*)::text)::bigint) FROM {} t"
        rows = [self.sql(hashed.format(table)) for table in ("tracks", "track_edges")]
        return " ".join([tables, *rows])

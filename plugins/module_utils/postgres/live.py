# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at the live server through its own pod: other eyes than those of the jobs, which come over the network."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.predicates import pod_ready
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    CommandError,
    ConnectionEnded,
    HoldfastError,
)

ATTEMPTS = 3

_DATABASES = """
SELECT coalesce(json_agg(json_build_object('name', datname, 'open', datallowconn, 'bytes', pg_database_size(oid),
    'comment', shobj_description(oid, 'pg_database'),
    'sessions', (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = d.datname))), '[]'::json)
FROM pg_database d WHERE NOT datistemplate;
"""
_SERVER = """
SELECT json_build_object('version_num', current_setting('server_version_num')::int,
    'version', current_setting('server_version'), 'data_directory', current_setting('data_directory'),
    'extensions', (SELECT json_agg(name) FROM pg_available_extensions),
    'slots', (SELECT coalesce(json_agg(json_build_object('slot', slot_name, 'database', database)), '[]'::json) FROM pg_replication_slots),
    'prepared', (SELECT coalesce(json_agg(json_build_object('gid', gid, 'database', database)), '[]'::json) FROM pg_prepared_xacts));
"""


@dataclass
class Server:
    """The live server as its pod shows it. free_kb: free space on the data volume. databases: name to its facts."""

    pod: str = ""
    version_num: int = 0
    free_kb: Optional[int] = None
    extensions: list[str] = field(default_factory=list)
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    holders: dict[str, list[str]] = field(default_factory=dict)
    why: str = ""

    @property
    def reachable(self) -> bool:
        """Whether it answered."""
        return self.version_num > 0


class SqlError(HoldfastError):
    """psql ended with an error. damage: it says that stored data cannot be read; otherwise it may be anything."""

    def __init__(self, msg: str, *, damage: bool) -> None:
        super().__init__(msg)
        self.damage = damage


# SQLSTATEs data_corrupted, index_corrupted, undefined_file and io_error in any language, and the words of older or terser servers.
_CODED = re.compile(r"^.*?\w+:\s+([0-9A-Z]{5}):.*$", re.MULTILINE)
_CODES = ("XX001", "XX002", "58P01", "58030")
_WORDS = re.compile(
    r"could not (?:read|open|seek|stat) (?:block|file)|could not access status of transaction|invalid page"
    r"|page verification failed|missing chunk|unexpected chunk|compressed \S+ data is corrupt"
)
# The same codes and words for what a restore would not mend: limits of the server, a library that its image lacks.
_PASSING = re.compile(
    r"Too many open files|Cannot allocate memory|Permission denied|No space left|could not access file"
)


def damaged(said: str) -> bool:
    """Whether what psql said on its error stream is about data that cannot be read, and not about a lock or the network. Pure."""
    coded = _CODED.search(said)
    return bool((coded and coded.group(1) in _CODES) or _WORDS.search(said)) and not _PASSING.search(said)


def sentence(said: str) -> str:
    """The line that names the error; verbose servers say more lines after it. Pure."""
    coded, lines = _CODED.search(said), said.splitlines()
    return coded.group(0).strip() if coded else (lines[-1] if lines else "")


class Psql:
    """psql inside the database's pod, over its local socket."""

    def __init__(self, client: Client, namespace: str, pod: str, user: str) -> None:
        self.client, self.namespace, self.pod, self.user = client, namespace, pod, user

    def ask(
        self, database: str, sql: str, variables: Optional[Mapping[str, str]] = None, timeout: float = 60
    ) -> str:
        """What a query prints, unaligned. The database's name travels in the environment: no character in it matters.

        For queries that change nothing: one whose connection breaks is asked again.
        """
        argv = [
            "env",
            f"PGDATABASE={database}",
            "PGOPTIONS=-c statement_timeout=0",
            "psql",
            "-X",
            "-q",
            "-At",
        ]
        argv += ["-v", "ON_ERROR_STOP=1", "-U", self.user]
        for key, value in (variables or {}).items():
            argv += ["-v", f"{key}={value}"]
        done = self._exec(argv, sql.encode("utf-8"), timeout)
        if done.rc != 0:
            said = done.err.strip()
            raise SqlError(f"psql in pod {self.pod}: {sentence(said) or done.rc}", damage=damaged(said))
        return done.out.strip()

    def _exec(self, argv: list[str], sql: bytes, timeout: float) -> Result:
        for _attempt in range(ATTEMPTS - 1):
            try:
                return self.client.exec(self.namespace, self.pod, argv, stdin=sql, timeout=timeout)
            except ConnectionEnded:
                time.sleep(1)
        return self.client.exec(self.namespace, self.pod, argv, stdin=sql, timeout=timeout)


def pod_of(client: Client, namespace: str, host: str) -> str:
    """The ready pod behind the Service that the backup connects to; empty when there is none."""
    service = client.get(client.path_for("v1", "Service", namespace, host.split(".")[0]))
    selector = ((service or {}).get("spec") or {}).get("selector") or {}
    if not selector:
        return ""
    wanted = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    for pod in client.list(client.path_for("v1", "Pod", namespace), label_selector=wanted):
        if pod_ready(pod)[0]:
            return str(pod["metadata"]["name"])
    return ""


def look(psql: Psql, maintenance_db: str) -> Server:
    """The server's facts; one that does not answer is a finding (why), not an error."""
    server = Server(pod=psql.pod)
    if not psql.pod:
        server.why = "no ready pod behind its Service"
        return server
    try:
        facts = json.loads(psql.ask(maintenance_db, _SERVER))
        for entry in json.loads(psql.ask(maintenance_db, _DATABASES)):
            server.databases[entry["name"]] = entry
        server.extensions = list(facts["extensions"] or [])
        for key, label in (("slots", "slot"), ("prepared", "gid")):
            for entry in facts[key]:
                server.holders.setdefault(str(entry["database"]), []).append(f"{key[:-1]} {entry[label]}")
        server.free_kb = _free_kb(psql, str(facts["data_directory"]))
        server.version_num = int(facts["version_num"])
    except (ApiError, CommandError, HoldfastError, ValueError) as failure:
        server.why = str(failure)
    return server


def _free_kb(psql: Psql, directory: str) -> Optional[int]:
    done = psql.client.exec(psql.namespace, psql.pod, ["df", "-Pk", directory], timeout=30)
    fields = done.out.strip().splitlines()[-1].split() if done.rc == 0 and done.out.strip() else []
    return int(fields[3]) if len(fields) > 3 and fields[3].isdigit() else None


def counts(
    psql: Psql, database: str, tables: Sequence[Mapping[str, Any]], timeout: float = 300
) -> dict[str, Optional[int]]:
    """Exact rows of these tables ({"schema","table"}); None for one that is not there. Keys are schema.table."""
    wanted = json.dumps([{"s": t["schema"], "t": t["table"]} for t in tables], ensure_ascii=False)
    sql = """
-- The codes of errors are said, and a table that somebody holds is not waited for until the time is over.
\\set VERBOSITY verbose
SET lock_timeout = '30s';
-- The table itself is read: an index may still be whole when it is not.
SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off;
SELECT format('SELECT %s || E''\\t'' || count(*) FROM ONLY %I.%I', ord, x->>'s', x->>'t')
FROM json_array_elements(:'wanted'::json) WITH ORDINALITY AS e(x, ord)
WHERE to_regclass(format('%I.%I', x->>'s', x->>'t')) IS NOT NULL
\\gexec
"""
    found: dict[int, int] = {}
    for line in psql.ask(database, sql, {"wanted": wanted}, timeout=timeout).splitlines():
        number, _tab, rows = line.partition("\t")
        found[int(number)] = int(rows)
    return {f"{t['schema']}.{t['table']}": found.get(number) for number, t in enumerate(tables, 1)}

"""A real PostgreSQL server for the tests: its own directory, a free loopback port, never root."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

ROOT = Path(__file__).resolve().parents[4]
PASSWORD = "CANARY-5f1d-pass'word"
NASTY = "ö \"x\" 'y' =z; $(DROP)"
Event = dict[str, Any]


def binaries() -> Path:
    """The directory of the server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "no PostgreSQL server here: apt-get install postgresql-15 (requirements/apt.txt)"
    return found[-1].parent


@dataclass
class Run:
    """What a script did. killed: the test ended it."""

    code: int
    events: list[Event]
    text: str
    killed: bool = False

    @property
    def error(self) -> str:
        """Its last error message."""
        return next((e["message"] for e in reversed(self.events) if e.get("event") == "error"), "")

    @property
    def result(self) -> Event:
        """Its last result."""
        return next((e for e in reversed(self.events) if e.get("event") == "result"), {})


@dataclass
class Server:
    """home: everything of it. port: where it listens."""

    home: Path
    port: int
    prefix: list[str] = field(default_factory=list)

    @classmethod
    def start(cls) -> Server:
        """A fresh server; the scripts are copied beside it, because its user may not read the checkout."""
        home = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        home.chmod(0o755)
        prefix: list[str] = []
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            prefix = [
                "setpriv",
                f"--reuid={account.pw_uid}",
                f"--regid={account.pw_gid}",
                "--clear-groups",
            ]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            server = cls(home, probe.getsockname()[1], prefix)
        for name in ("scripts", "backups", "scratch", "tmp"):
            (home / name).mkdir()
            (home / name).chmod(0o777)
        for script in (ROOT / "roles/backup/files").iterdir():
            shutil.copy(script, home / "scripts" / script.name)
            (home / "scripts" / script.name).chmod(0o755)
        (home / "password").write_text(PASSWORD)
        (home / "password").chmod(0o644)
        home.chmod(0o777)
        server._as_owner(
            "initdb",
            *("-D", str(home / "data"), "-U", "postgres", "-A", "scram-sha-256"),
            *("--pwfile", str(home / "password"), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
        )
        server.up()
        return server

    def up(self) -> None:
        """Start it."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.home} -c fsync=off -c max_connections=40"
        )
        log = str(self.home / "tmp/server.log")
        self._as_owner("pg_ctl", "-D", str(self.home / "data"), "-w", "-o", options, "-l", log, "start")

    def crash(self) -> None:
        """kill -9 of every server process, then start again."""
        master = int((self.home / "data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for pid in [master, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for attempt in range(40):  # until the last child has let go of the shared memory
            time.sleep(0.25)
            (self.home / "data/postmaster.pid").unlink(missing_ok=True)
            try:
                self.up()
                return
            except AssertionError:
                if attempt == 39:
                    raise

    def stop(self) -> None:
        """End it and remove everything."""
        try:
            self._as_owner("pg_ctl", "-D", str(self.home / "data"), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def _as_owner(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self.prefix, str(binaries() / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            timeout=90,
        )
        assert done.returncode == 0, done.stdout

    def env(self, **extra: str) -> dict[str, str]:
        """The environment that a job of the role gives to its script."""
        return {
            "PATH": f"{binaries()}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.home / "tmp"),
            "TMPDIR": str(self.home / "tmp"),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSWORD": PASSWORD,
            "BACKUPS": str(self.home / "backups"),
            "SCRATCH": str(self.home / "scratch"),
            "CONNECT_TRIES": "1",
            **extra,
        }

    def sql(self, database: str, text: str) -> str:
        """What SQL prints."""
        done = subprocess.run(
            [str(binaries() / "psql"), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1"],
            input=text,
            capture_output=True,
            text=True,
            env=self.env(PGDATABASE=database, PGCLIENTENCODING="UTF8"),
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def script(
        self,
        name: str,
        kill_at: Optional[Callable[[Event], bool]] = None,
        under: str = "",
        on_event: Optional[Callable[[Event], None]] = None,
        **env: str,
    ) -> Run:
        """Run a script as a job would. under: shell commands to run first. kill_at: SIGKILL the whole process group at the first line for which this is true."""
        argv = ["sh", str(self.home / "scripts" / name)]
        if under:
            argv = ["sh", "-c", f'{under}; exec sh "$0"', argv[1]]
        process = subprocess.Popen(
            [*self.prefix, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.env(**env),
            cwd=self.home,
            start_new_session=True,
        )
        assert process.stdout is not None
        events: list[Event] = []
        lines: list[str] = []
        killed = False
        for line in process.stdout:
            lines.append(line)
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "text", "message": line.strip()}
            events.append(event)
            if on_event:
                on_event(event)
            if kill_at and not killed and kill_at(event):
                os.killpg(process.pid, signal.SIGKILL)
                killed = True
        code = process.wait(timeout=60)
        return Run(code, events, "".join(lines), killed)

    def content(self, database: str) -> str:
        """A hash of everything in a database, by another way than the scripts': psql's own text of each table, sorted."""
        tables = self.sql(
            database,
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1",
        ).splitlines()
        union = " UNION ALL ".join(
            f"SELECT {i}, md5(coalesce(string_agg(md5(r::text), '' ORDER BY md5(r::text)), '')) FROM (SELECT ROW(t.*) FROM ONLY {t} t) AS s(r)"
            for i, t in enumerate(tables)
        )
        listed = "\n".join(tables)
        return f"{listed}\n{self.sql(database, f'SET row_security = off; {union} ORDER BY 1')}"

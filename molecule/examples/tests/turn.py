"""One system's turn on the host: deploy it as an operator would, ask what came of it, remove it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from forms import Form

from lab import controller
from lab.host import LabHost
from tests.scenario import until

ROOT = Path(__file__).resolve().parents[3]
HOST = "examples"
PATIENCE = 300
KUBECTL = ["/usr/local/bin/k3s", "kubectl"]
STOP = "/run/holdfast-stop-asking"
# Asks until the file is there, a hundred times at least, over a new connection each time, and tells what did not answer 200.
ASK = f"""
import json, os, sys, time, urllib.request
asked, failed, end = 0, [], time.monotonic() + 600
while time.monotonic() < end and (asked < 100 or not os.path.exists({STOP!r})):
    asked += 1
    try:
        urllib.request.urlopen(sys.argv[1], timeout=30).read()
    except Exception as failure:
        failed.append(f"{{time.strftime('%X')}} {{failure}}")
    time.sleep(0.02)
print(json.dumps({{"asked": asked, "failed": failed}}))
"""


def play(variables: dict[str, Any], *arguments: str, system: str | None = None) -> int:
    """Run site on the host; returns the number of changed tasks."""
    done = controller.playbook(
        "holdfast.k3s.site", *arguments, limit=HOST, system=system, variables=variables
    )
    found = re.search(rf"^{HOST}\s*:.*changed=(\d+)\s+unreachable=0\s+failed=0", done.stdout, re.MULTILINE)
    assert done.returncode == 0 and found, done.stdout[-6000:] + done.stderr[-2000:]
    return int(found.group(1))


class Turn:
    """A form on the host. first, again: changed tasks of the two runs of site."""

    def __init__(self, host: LabHost, form: Form) -> None:
        self.host, self.form = host, form
        self.first = self.again = -1

    def converge(self) -> None:
        """Run site twice."""
        self.first = self.site()
        self.again = self.site()

    def remove(self) -> None:
        """Take the application away with its data, and wait until its namespace is gone."""
        self.site("--tags", "app", "-e", "app_state=absent", "-e", "app_prune_data=true")
        until(
            f"namespace {self.form.namespace} is gone",
            lambda: not self.names("namespaces", self.form.namespace),
        )

    def site(self, *arguments: str, overlay: dict[str, Any] | None = None) -> int:
        """Run site with the inventory and the lab overlay of the system; returns the number of changed tasks.

        overlay: laid over the lab's overlay, as an inventory of one's own would be.
        """
        system = self.form.system
        # The overlay is written for a host of the system's own name.
        variables = {
            **yaml.safe_load((ROOT / f"inventories/lab/host_vars/{system}.yml").read_text()),
            **self.form.extra,
        }
        if overlay:
            variables["__examples_lab"] = variables["app_values_overlay"]
            variables["__examples_more"] = overlay
            variables["app_values_overlay"] = (
                "{{ __examples_lab | combine(__examples_more, recursive=true) }}"
            )
        return play(variables, *arguments, system=system)

    def list(self, kind: str, *selector: str) -> list[dict[str, Any]]:
        """Every object of a kind in the namespace."""
        found = self.host.kubectl(["-n", self.form.namespace, "get", kind, *selector])["items"]
        assert isinstance(found, list)
        return found

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object of the namespace."""
        found: dict[str, Any] = self.host.kubectl(["-n", self.form.namespace, "get", kind, name])
        return found

    def names(self, kind: str, *name: str) -> list[str]:
        """Names of objects; an object that is not there has none."""
        argv = [*KUBECTL, "-n", self.form.namespace, "get", kind, *name, "--ignore-not-found", "-o", "name"]
        return [line.partition("/")[2] for line in self.host.sudo(argv).out.split()]

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints in the namespace."""
        return self.host.sudo([*KUBECTL, "-n", self.form.namespace, *arguments], timeout=PATIENCE).out

    def pods(self, workload: str) -> list[dict[str, Any]]:
        """The pods of a workload that are not ending."""
        return [
            pod
            for pod in self.list("pods", "-l", f"app={workload}")
            if "deletionTimestamp" not in pod["metadata"]
        ]

    def ready(self, workload: str) -> list[str]:
        """Names of the ready pods of a workload."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods(workload)
            if any(
                c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])
            )
        ]

    def url(self, service: str, port: int, path: str) -> str:
        """Address of a path behind a Service; the Service has to have exactly this port."""
        spec = self.get("service", service)["spec"]
        assert [entry["port"] for entry in spec["ports"]] == [port], spec["ports"]
        return f"http://{spec['clusterIP']}:{port}{path}"

    def answer(self, service: str, port: int, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer."""
        argv = ["curl", "-sS", "--max-time", "30", "-w", "\n%{http_code}", self.url(service, port, path)]
        text, _newline, code = self.host.run(argv).out.rpartition("\n")
        return int(code), json.loads(text)

    def process(self, workload: str) -> dict[str, Any]:
        """User ids, environment and root mount of the process in a ready pod, as the host's kernel shows them."""
        name = until(f"a ready pod of {workload}", lambda: self.ready(workload))[0]
        argv = ["/usr/local/bin/k3s", "crictl", "ps", "-q", "--label", f"io.kubernetes.pod.name={name}"]
        argv += ["--label", f"io.kubernetes.pod.namespace={self.form.namespace}"]
        container = self.host.sudo(argv).out.split()[0]
        pid = json.loads(self.host.sudo(["/usr/local/bin/k3s", "crictl", "inspect", container]).out)["info"][
            "pid"
        ]
        proc = f"/proc/{pid}"
        status = dict(re.findall(r"^(\w+):\s*(.+)$", self.host.read(f"{proc}/status"), re.MULTILINE))
        mounts = [line.split() for line in self.host.read(f"{proc}/mounts").splitlines()]
        return {
            "uids": {int(one) for one in status["Uid"].split()},
            "capabilities": int(status["CapEff"], 16),
            "no_new_privileges": status["NoNewPrivs"] == "1",
            "seccomp": status["Seccomp"],
            "read_only": next("ro" in fields[3].split(",") for fields in mounts if fields[1] == "/"),
            "environment": dict(
                entry.split("=", 1) for entry in self.host.read(f"{proc}/environ").split("\0") if "=" in entry
            ),
        }

    def secret(self, name: str) -> dict[str, str]:
        """The values of a Secret."""
        return {
            key: base64.b64decode(value).decode() for key, value in self.get("secret", name)["data"].items()
        }

    @contextmanager
    def asking(self, service: str) -> Iterator[dict[str, Any]]:
        """Ask a service without pause meanwhile; afterwards the yielded dict holds how often, and what failed."""
        # A path that looks at no database, which may be slow while pods come and go.
        url, told = self.url(service, self.form.answers[service][0], "/version"), {}
        self.host.sudo(["rm", "-f", STOP])
        with ThreadPoolExecutor(max_workers=1) as pool:
            answer = pool.submit(self.host.run, ["python3", "-c", ASK, url], timeout=900)
            try:
                yield told
            finally:
                self.host.sudo(["touch", STOP])
                told.update(json.loads(answer.result().out))

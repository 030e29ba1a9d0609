"""The escrow file on the controller: one for each host, and never another key over the one that is in it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import offsite

ROOT = Path(__file__).resolve().parents[4]
REPOSITORY = "rest:https://nas/r"
PLAY = """
- hosts: all
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.include_vars: {root}/roles/backup/defaults/main.yml
    - ansible.builtin.include_vars: {root}/roles/backup/vars/main.yml
    - ansible.builtin.debug:
        msg: "read=<{{{{ __backup_escrow_kept.restic_password | default('none') }}}}> shared=<{{{{ __backup_escrow_shared | bool }}}}>"
    - ansible.builtin.include_tasks: {root}/roles/backup/tasks/escrow_write.yml
      vars:
        backup_namespace: shop
        __backup_escrow: {{escrow: {{restic_password: "key of {{{{ inventory_hostname }}}}", repository: "{repository}"}}}}
"""


def play(home: Path, hosts: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Read the escrow file and write the key 'key of <host>' into it, on each host."""
    path = home / "play.yml"
    path.write_text(PLAY.format(root=ROOT, repository=REPOSITORY))
    given = {"backup_namespace": "shop", "backup_offsite_repository": REPOSITORY, **extra}
    argv = ["ansible-playbook", "-i", hosts, str(path), "-e", json.dumps(given)]
    return subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, check=False
    )


def key(path: Path) -> str:
    return str(json.loads(path.read_text())["restic_password"])


def test_each_host_has_a_file_and_an_old_one_is_read(tmp_path: Path) -> None:
    kept = tmp_path / ".holdfast/escrow"
    kept.mkdir(parents=True)
    old = kept / "shop.postgres-backup.json"
    old.write_text(json.dumps(offsite.escrow(REPOSITORY, "shop", "postgres-backup", "old")))
    done = play(tmp_path, "one,two,")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("read=<old> shared=<True>") == 2
    assert [key(kept / f"{host}.shop.postgres-backup.json") for host in ("one", "two")] == [
        "key of one",
        "key of two",
    ]
    assert key(old) == "old" and (kept / "one.shop.postgres-backup.json").stat().st_mode & 0o077 == 0
    again = play(tmp_path, "one,two,")
    assert "read=<key of two> shared=<False>" in again.stdout and "changed=0" in again.stdout


def test_another_key_is_left_alone(tmp_path: Path) -> None:
    shared = str(tmp_path / "escrow.json")
    done = play(tmp_path, "one,two,", backup_offsite_escrow=shared)
    assert done.returncode != 0 and "hold different keys" in done.stdout, done.stdout
    first = key(tmp_path / "escrow.json")
    play(tmp_path, "one,two,", backup_offsite_escrow=shared)
    assert first in ("key of one", "key of two") and key(tmp_path / "escrow.json") == first


def test_an_old_file_of_another_repository_says_nothing(tmp_path: Path) -> None:
    kept = tmp_path / ".holdfast/escrow"
    kept.mkdir(parents=True)
    (kept / "shop.postgres-backup.json").write_text('{"repository": "other", "restic_password": "old"}')
    assert "read=<none> shared=<False>" in play(tmp_path, "one,").stdout

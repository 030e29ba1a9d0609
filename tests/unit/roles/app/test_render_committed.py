"""app_render_committed: what was rendered is what Git holds, or the run says which files are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import controller

IDENTITY = ("-c", "user.name=Operator", "-c", "user.email=operator@example.org")


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(directory), *IDENTITY, *arguments], check=True, capture_output=True)


def render(directory: Path) -> tuple[int, str]:
    """Exit status and output of the playbook."""
    variables = ("-e", f"app_render_dir={directory}/k8s", "-e", "app_render_committed=true")
    argv = ["ansible-playbook", "holdfast.k3s.render", "-i", "inventories/songnodes", *variables]
    done = controller.run(argv, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.req("SN-60")
def test_what_git_does_not_have_is_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    status, said = render(tmp_path)
    assert status != 0 and "app_render_committed:" in said and "k8s/kustomization.yaml" in said
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    status, said = render(tmp_path)
    assert status == 0, said
    (tmp_path / "k8s/kustomization.yaml").unlink()
    git(tmp_path, "commit", "--quiet", "-am", "somebody's hand")
    status, said = render(tmp_path)
    assert (
        status != 0
        and "k8s/kustomization.yaml" in said
        and "rest-api" not in said.split("Fix:")[0].split("app_render_committed:")[1]
    )

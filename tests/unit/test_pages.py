"""What the systems' documents want to be written down is, and nothing secret is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/systems.md").read_text()
SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a key of AWS": r"\bAKIA[0-9A-Z]{16}\b",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    "a token of GitLab": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a hook of Slack": r"hooks\.slack\.com/services/T",
}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(
            ["soundspan.github.io/soundspan", "reverse proxies", "path: /api"], marks=pytest.mark.req("SS-08")
        ),
        pytest.param(
            ["docs.k3s.io", "fluxcd.io/docs", "CLAUDE.md", "deploy/helm/songnodes", "2026-11-26"],
            marks=pytest.mark.req("SN-71"),
        ),
        pytest.param(
            [
                "docs/architecture.md",
                "kcp.soundcore.com/api/docs",
                "docs/runbooks/",
                "Version 1.0.0",
                "kept by",
            ],
            marks=pytest.mark.req("SC-106"),
        ),
        pytest.param(
            ["New pipeline", "glab ci status", "artifacts", "Retry"], marks=pytest.mark.req("SC-112")
        ),
        pytest.param(
            ["npm run dev", "docker-compose up", "pytest", "merge request"], marks=pytest.mark.req("SC-60")
        ),
        pytest.param(["pg_stat_user_tables", "seq_scan"], marks=pytest.mark.req("SC-78")),
        pytest.param(["Alpine"], marks=pytest.mark.req("SC-88")),
        pytest.param(["Configuration lives in Git"], marks=pytest.mark.req("SC-91")),
        pytest.param(["cache", "crictl pull"], marks=pytest.mark.req("WC-77")),
        pytest.param(
            ["Actions", "SSM", "CloudWatch", "ENABLE_CLOUDWATCH=true"], marks=pytest.mark.req("WC-78")
        ),
    ],
)
def test_the_page_of_systems_says(words: list[str]) -> None:
    assert [word for word in words if word not in PAGE] == []


def test_the_route_in_the_page_is_one() -> None:
    from ansible_collections.holdfast.k3s.plugins.module_utils.app import schema
    from ansible_collections.holdfast.k3s.plugins.module_utils.app.release import load_schema

    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert schema.check({"name": "app", **yaml.safe_load(example)}, load_schema()) == []


@pytest.mark.req("SC-86")
def test_nothing_secret_is_in_git() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        # Unit tests hold canaries that look like secrets.
        if path.is_file() and not name.startswith("tests/unit/"):
            text = path.read_text(errors="replace")
            found += [f"{name}: {what}" for what, pattern in SECRETS.items() if re.search(pattern, text)]
    assert found == []


@pytest.mark.req("SC-86")
def test_vault_examples_hold_names_and_no_values() -> None:
    examples = list(ROOT.glob("inventories/*/group_vars/all/vault.yml.example"))
    assert examples
    for example in examples:
        content = yaml.safe_load(example.read_text())
        assert content and all(value is None for value in content.values()), example


@pytest.mark.req("BR-09")
def test_every_recovery_is_a_playbook_that_says_how_it_is_run() -> None:
    playbooks = sorted((ROOT / "playbooks").glob("recover*.yml"))
    assert {path.stem for path in playbooks} >= {
        "recover", "recover_database", "recover_image_pull", "recover_k3s", "recover_memory", "recover_pods", "recover_reboot",
    }  # fmt: skip
    for path in playbooks:
        text = path.read_text()
        assert re.search(rf"^#\s+ansible-playbook .*holdfast\.k3s\.{path.stem}\b", text, re.MULTILINE), path
        (play,) = yaml.safe_load(text)
        assert play["hosts"] == "k3s_hosts", path

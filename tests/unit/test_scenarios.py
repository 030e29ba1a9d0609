"""Every role and every way to recover is run on a lab host, by a scenario that is a step of the test run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SEQUENCE = ["check", "converge", "idempotence", "verify"]
PLAYBOOKS = {path.stem: path.read_text() for path in sorted((ROOT / "playbooks").glob("*.yml"))}
RECOVERIES = [name for name in PLAYBOOKS if re.match("recover|restore|drill", name)]
ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/tasks/main.yml"))
SCENARIOS = {
    path.parent.name: "".join(test.read_text() for test in (path.parent / "tests").glob("*.py"))
    for path in sorted(ROOT.glob("molecule/*/molecule.yml"))
}


@pytest.mark.req("BR-10")
def test_every_scenario_is_a_step_of_the_test_run() -> None:
    steps = runpy.run_path(str(ROOT / "tools/steps.py"), run_name="steps")["STEPS"]
    run = {step.command[1] for step in steps if step.command[0] == "tools/molecule"}
    assert set(SCENARIOS) - run == set()


@pytest.mark.req("BR-10")
def test_the_first_day_is_checked_converged_and_converged_again() -> None:
    settings = yaml.safe_load((ROOT / "molecule/site/molecule.yml").read_text())
    assert settings["scenario"]["test_sequence"][-4:] == SEQUENCE


@pytest.mark.req("BR-10")
@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_played(role: str) -> None:
    """By site, or by a playbook that a scenario's tests run."""
    players = [name for name, text in PLAYBOOKS.items() if f"holdfast.k3s.{role}\n" in text]
    played = [name for name in players if name == "site" or _scenarios(name)]
    assert played, f"role {role}: none of {players} is run on a lab host"


@pytest.mark.req("BR-10")
@pytest.mark.parametrize("name", RECOVERIES)
def test_every_way_to_recover_has_a_scenario(name: str) -> None:
    assert _scenarios(name), f"playbook {name} is run by no scenario of {sorted(SCENARIOS)}"


def _scenarios(playbook: str) -> list[str]:
    """The scenarios whose tests name a playbook as one word."""
    return [name for name, text in SCENARIOS.items() if re.search(rf'"(holdfast\.k3s\.)?{playbook}"', text)]

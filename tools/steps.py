"""What `make test` consists of: one row per step, in the order in which they start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of the test run.

    name: word that the table and the log file carry.
    command: argv, run from the checkout's root.
    hint: what to do when it fails.
    attempts: how often it may run; lab scenarios drive real machines and get a second one, on a fresh host.
    needs: name of a step that has to pass first.
    """

    name: str
    command: tuple[str, ...]
    hint: str
    attempts: int = 1
    needs: str = ""


def scenario(name: str) -> Step:
    """A molecule scenario as a step; its host stays up for the next one and is fresh for a second attempt."""
    return Step(
        name,
        ("tools/molecule", name),
        f"tools/molecule {name}   (then: make lab-shell, tools/molecule {name} verify)",
        attempts=2,
        needs="lab-build",
    )


STEPS: tuple[Step, ...] = (
    # First, because it is long on a new machine and most others need it.
    Step(
        "lab-build",
        ("python", "-m", "lab", "build"),
        "make lab-up; the lab's README says what each part needs",
    ),
    Step("lint", ("tools/lint",), "fix what the gate names; ruff check --fix and ruff format help"),
    Step("unit", ("tools/unit",), "tools/unit -k NAME -x"),
    Step("sanity", ("tools/sanity",), "tools/sanity --test NAME"),
    Step("artifact", ("tools/artifact_test",), "tools/artifact_test"),
    # The lab's build has compiled most of what these tests stand on.
    Step("go", ("tools/go_check",), "gofmt -w, go vet and go test in lab/", needs="lab-build"),
    scenario("site"),
    # The longest first, so that no lane is left alone with one of them at the end.
    scenario("recover_faults"),
    scenario("examples"),
    scenario("k3s_lifecycle"),
    scenario("recover"),
    scenario("database_recovery"),
    Step("contract", ("tools/contract",), "tools/contract -k NAME -x", attempts=2, needs="lab-build"),
    scenario("database"),
    scenario("rebuild"),
    scenario("k3s_bad_input"),
    scenario("registry_secure"),
)

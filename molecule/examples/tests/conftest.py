"""The host on which the systems take turns, and the system whose turn it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[3]), str(Path(__file__).parent)]
sys.path.append(str(Path(__file__).resolve().parents[3] / "tests/unit/plugins/module_utils/app"))
from forms import WHATSTHECRAIC, Form, drawn  # noqa: E402
from one_service import gone  # noqa: E402
from turn import HOST, KUBECTL, ROOT, Turn, play  # noqa: E402

from lab import crds  # noqa: E402
from lab.host import LabHost  # noqa: E402

SEED = int(os.environ.get("HOLDFAST_SEED") or time.strftime("%j"))
DRAWN = drawn(SEED, bool(os.environ.get("HOLDFAST_FULL")))


def pytest_report_header() -> str:
    """Which systems this run is about, and how to have the same again."""
    return f"examples: {', '.join(map(str, DRAWN))} (HOLDFAST_SEED={SEED}; HOLDFAST_FULL=1 for all)"


def pytest_configure(config: pytest.Config) -> None:
    """The marks of this scenario; the collection by its real name, straight from the checkout."""
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    if AnsibleCollectionConfig.collection_finder is None:
        _AnsibleCollectionFinder(paths=[str(ROOT / ".ansible" / "collections")])._install()
    config.addinivalue_line("markers", "needs(*fields): only for forms that give these numbers")
    config.addinivalue_line("markers", "form(*names): only for these forms")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test runs for each form of this run; one parameter for all, so that pytest groups the tests by form."""
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", DRAWN, indirect=True, ids=str, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test about numbers that a form does not give is not skipped for it: there is none."""
    full = os.environ.get("HOLDFAST_FULL")
    out = [one for one in items if not _meant(one) or (one.get_closest_marker("slow") and not full)]
    config.hook.pytest_deselected(items=out)
    items[:] = [one for one in items if one not in out]
    for one in items:
        one.add_marker(pytest.mark.timeout(2400))  # the first test of a form waits for both runs of site


def _meant(item: pytest.Item) -> bool:
    form: Optional[Form] = getattr(item, "callspec", None) and item.callspec.params.get("turn")  # type: ignore[attr-defined]
    if form is None:
        return True
    needed = [name for mark in item.iter_markers("needs") for name in mark.args]
    named = [str(name) for mark in item.iter_markers("form") for name in mark.args]
    return all(form.gives(name) for name in needed) and (not named or str(form) in named)


@pytest.fixture(scope="session")
def host() -> Iterator[LabHost]:
    """A bare host of its own; gone afterwards, unless HOLDFAST_EXAMPLES_KEEP is set for work on these tests."""
    lab = [sys.executable, "-m", "lab"]
    keep = os.environ.get("HOLDFAST_EXAMPLES_KEEP")
    if not keep:
        subprocess.run([*lab, "down", "--name", HOST], cwd=ROOT, check=True, timeout=300)
    subprocess.run([*lab, "up", "--name", HOST], cwd=ROOT, check=True)
    yield LabHost.get(HOST)
    if not keep:
        subprocess.run([*lab, "down", "--name", HOST], cwd=ROOT, check=True, timeout=300)


@pytest.fixture(scope="session")
def foreign_kinds(host: LabHost) -> LabHost:
    """The host with k3s and nothing on it, and an API server that knows the kinds of the other projects."""
    Turn(host, WHATSTHECRAIC).site("--tags", "k3s")
    argv = [*KUBECTL, "apply", "--server-side", "--force-conflicts", "-f", "-"]
    host.sudo(argv, stdin=crds.definitions().read_bytes(), timeout=300)
    named = [
        "crd/middlewares.traefik.io",
        "crd/externalsecrets.external-secrets.io",
        "crd/clusterissuers.cert-manager.io",
        "crd/kustomizations.kustomize.toolkit.fluxcd.io",
    ]
    host.sudo([*KUBECTL, "wait", "--for=condition=Established", "--timeout=180s", *named], timeout=240)
    return host


@pytest.fixture(scope="session")
def turn(request: pytest.FixtureRequest, host: LabHost) -> Iterator[Turn]:
    """The form, converged twice; gone with its data afterwards, whatever the tests did."""
    form: Form = request.param
    one = Turn(host, form)
    try:
        one.converge()
        yield one
    finally:
        one.remove()


@pytest.fixture(scope="module")
def one_service(host: LabHost) -> Iterator[LabHost]:
    """The host with k3s and its registry; the application of a few lines is gone afterwards."""
    play({}, "--tags", "k3s,registry")
    gone(host)
    yield host
    gone(host)

"""What the garbage collection frees and what it must not touch; and that nobody can push while it runs."""

from __future__ import annotations

import pytest
from conftest import Registry

from tests.scenario import until

SWITCH = "/run/systemd/system/docker-registry.service.d/90-readonly.conf"
COLLECT = ["/usr/local/lib/holdfast/registry-gc", "collect", "/var/lib/docker-registry"]
WRITABLE = ["/usr/local/lib/holdfast/registry-gc", "writable"]


def upload(registry: Registry) -> str:
    """Status of an attempt to push, as soon as the registry answers."""

    def attempt() -> str:
        status = registry.curl("/v2/lab/probe/blobs/uploads/", "-X", "POST")[0]
        return status if status.isdigit() and status != "000" else ""

    return str(until("the registry answers", attempt))


@pytest.fixture
def collected(registry: Registry) -> Registry:
    """The registry, writable again whatever the test did."""
    yield registry
    registry.host.sudo(WRITABLE)


@pytest.mark.timeout(900)
def test_deleted_and_replaced_images_are_freed_and_every_other_stays_whole(collected: Registry) -> None:
    registry, host = collected, collected.host
    pushed = registry.push(
        "lab/multi:1=one+two", "lab/doomed:1=doomed", "lab/moved:1=before", "lab/moved:1=after"
    )
    multi, doomed = pushed["lab/multi:1=one+two"], pushed["lab/doomed:1=doomed"]
    before, after = pushed["lab/moved:1=before"], pushed["lab/moved:1=after"]
    assert registry.curl(f"/v2/lab/doomed/manifests/{doomed['manifest']}", "-X", "DELETE")[0] == "202"
    # The collection leaves what was pushed within the last hour alone.
    host.sudo(
        [
            "sh",
            "-c",
            "find /var/lib/docker-registry -path '*_manifests/revisions*' -name link -exec touch -d '2 hours ago' {} +",
        ]
    )
    everything = [*doomed["layers"], *before["layers"], *after["layers"], *multi["layers"]]
    assert all(registry.on_disk(digest) for digest in everything)
    host.sudo(["systemctl", "start", "--no-block", "docker-registry-gc.service"])
    until(
        "the collection has ended",
        lambda: (
            host.sudo(["systemctl", "is-active", "docker-registry-gc"], check=False).out.strip()
            in ("inactive", "failed")
        ),
    )
    shown = host.sudo(["systemctl", "show", "docker-registry-gc", "--property=Result,ExecMainStatus"]).out
    log = host.sudo(["journalctl", "-u", "docker-registry-gc", "-n", "60", "-o", "cat", "--no-pager"]).out
    assert "Result=success" in shown, log
    assert not registry.on_disk(doomed["layers"][0]), f"a deleted image keeps its layer\n{log}"
    assert not registry.on_disk(before["layers"][0]), f"an image that lost its tag keeps its layer\n{log}"
    for digest in (*after["layers"], *multi["layers"], *multi["parts"], multi["manifest"]):
        assert registry.on_disk(digest), f"{digest} of a tagged image is gone\n{log}"
    assert upload(registry) == "202", "a push may begin again"
    for part in multi["parts"]:
        assert (
            registry.curl(
                f"/v2/lab/multi/manifests/{part}", "-H", "Accept: application/vnd.oci.image.manifest.v1+json"
            )[0]
            == "200"
        )
    assert registry.converge().ok().changed == (), "the role finds every image whole"


@pytest.mark.timeout(600)
def test_nobody_can_push_while_it_runs_and_pulls_go_on(collected: Registry) -> None:
    assert upload(collected) == "202"
    collected.host.sudo(COLLECT, timeout=300)
    assert collected.host.exists(SWITCH)
    assert upload(collected) == "405", "a push during the collection could lose layers"
    assert collected.curl("/v2/lab/sample-app/tags/list")[0] == "200"
    collected.host.sudo(WRITABLE)
    assert upload(collected) == "202"


@pytest.mark.timeout(600)
def test_a_power_loss_in_the_middle_ends_writable(collected: Registry) -> None:
    collected.host.sudo(COLLECT, timeout=300)
    assert upload(collected) == "405"
    collected.host.power_loss()
    assert not collected.host.exists(SWITCH)
    assert upload(collected) == "202"


def test_it_runs_on_a_timer(registry: Registry) -> None:
    shown = registry.host.sudo(
        ["systemctl", "show", "docker-registry-gc.timer", "--property=ActiveState,UnitFileState"]
    ).out
    assert {"ActiveState=active", "UnitFileState=enabled"} <= set(shown.split())

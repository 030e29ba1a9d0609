"""A registry that answers is not yet healthy: its images must be whole, and the role notices when one is not."""

from __future__ import annotations

import json

import pytest
from conftest import Registry

ACCEPT = "Accept: application/vnd.oci.image.manifest.v1+json"


@pytest.mark.timeout(1200)
def test_a_lost_layer_of_a_known_image_is_pushed_again(registry: Registry) -> None:
    manifest = json.loads(registry.curl("/v2/lab/sample-app/manifests/1.0.0", "-H", ACCEPT)[1])
    layer = manifest["layers"][0]["digest"]
    registry.lose(layer)
    healed = registry.converge().ok()
    assert any("Load images" in name for name in healed.changed), healed.output[-3000:]
    assert registry.on_disk(layer)
    assert registry.converge().ok().changed == ()


@pytest.mark.timeout(1200)
def test_a_lost_layer_of_any_other_image_ends_the_run_with_its_name(registry: Registry) -> None:
    pushed = registry.push("lab/foreign:7=precious")["lab/foreign:7=precious"]
    registry.lose(pushed["layers"][0])
    failed = registry.converge()
    assert failed.status != 0
    assert f"lab/foreign:7 lacks {pushed['layers'][0]}" in failed.words, failed.output[-3000:]
    assert registry.curl(f"/v2/lab/foreign/manifests/{pushed['manifest']}", "-X", "DELETE")[0] == "202"
    registry.converge().ok()

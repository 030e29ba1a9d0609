"""The client against a registry that is damaged, foreign, or wants to know who asks."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import (
    RegistryClient,
    RegistryError,
)

LAYER = b"a layer's bytes"
DIGEST = "sha256:" + hashlib.sha256(LAYER).hexdigest()


def test_a_blob_is_uploaded_once(served: Any) -> None:
    client = RegistryClient(served.url)
    assert client.upload_blob("lab/x", DIGEST, LAYER, len(LAYER)) is True
    assert client.upload_blob("lab/x", DIGEST, LAYER, len(LAYER)) is False
    client.close()


def test_a_cut_off_blob_that_the_registry_keeps_is_for_a_person(served: Any) -> None:
    """Every byte of what is left is readable, and an upload does not replace the file."""
    served.blobs[DIGEST] = LAYER[:-3]
    client = RegistryClient(served.url)
    assert client.readable("lab/x", DIGEST) and not client.readable("lab/x", DIGEST, len(LAYER))
    value = DIGEST[7:]
    with pytest.raises(
        RegistryError, match=f"delete docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data"
    ):
        client.upload_blob("lab/x", DIGEST, LAYER, len(LAYER))
    client.close()

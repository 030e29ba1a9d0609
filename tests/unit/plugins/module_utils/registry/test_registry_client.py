"""The client against a registry that is damaged, foreign, or wants to know who asks."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.registry import facts
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.access import Access, access
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import (
    RegistryClient,
    RegistryError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.refs import parse

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


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_wants_credentials_answers(served: Any, status: int) -> None:
    served.status = status
    answer = facts.ask(RegistryClient(served.url))
    assert answer["ping_error"] == "" and str(status) in answer["auth_error"]
    served.status = 503
    answer = facts.ask(RegistryClient(served.url))
    assert answer["auth_error"] == "" and "503" in answer["ping_error"]


PAIR = base64.b64encode(b"user:pass:word").decode()
CONFIGS: list[tuple[dict[str, Any], Access, Access]] = [
    ({}, Access(), Access()),
    ({"r:5000": {"auth": {"username": "u", "password": "p"}, "tls": {"ca_file": "/ca"}}}, Access(), Access("u", "p", "/ca")),
    ({"r:5000": {"auth": {"auth": PAIR}}}, Access(), Access("user", "pass:word")),
    ({"r:5000": {"auth": {"auth": "no base64"}}}, Access(), Access()),
    ({"end:1": {"auth": {"username": "e", "password": "p"}}, "r:5000": {"auth": {"auth": PAIR}}}, Access(), Access("e", "p")),
    ({"r:5000": {"auth": {"auth": PAIR}, "tls": {"ca_file": "/ca"}}}, Access("x", "y", "/z"), Access("x", "y", "/z")),
    ({"r:5000": None}, Access(), Access()),
]  # fmt: skip


@pytest.mark.parametrize(("configs", "given", "used"), CONFIGS, ids=range(len(CONFIGS)))
def test_without_options_it_is_asked_as_containerd_does(
    configs: dict[str, Any], given: Access, used: Access
) -> None:
    assert access({"configs": configs}, "r:5000", "https://end:1", given) == used


def test_the_credentials_are_sent(served: Any) -> None:
    registries = {"configs": {served.url[7:]: {"auth": {"auth": PAIR}}}}
    facts.connect(facts.Settings(), registries, served.url, 5).ping()
    assert served.seen == [("GET", "/v2/", f"Basic {PAIR}")]


@pytest.mark.parametrize(
    ("status", "key", "damaged"), [(500, "error", True), (403, "auth_error", False), (429, "error", False)]
)
def test_an_image_that_is_not_served(served: Any, status: int, key: str, damaged: bool) -> None:
    reference = parse("localhost:5000/lab/x:1")
    assert reference is not None
    served.status = status
    fact = facts.image_fact(RegistryClient(served.url), reference, {})
    assert str(status) in fact[key] and facts.broken(fact) is damaged
    served.status, served.manifests["1"] = 0, b'{"cut'
    fact = facts.image_fact(RegistryClient(served.url), reference, {})
    assert "no JSON object" in fact["error"] and facts.broken(fact)


def test_a_blob_that_is_answered_with_an_error_is_unreadable(served: Any) -> None:
    served.status = 500
    assert RegistryClient(served.url).readable("lab/x", DIGEST) is False


@pytest.mark.parametrize("text", [b"<html>It works!</html>", b"[]", b"\xff"])
def test_another_service_on_the_port_is_no_registry(served: Any, text: bytes) -> None:
    served.text = text
    client = RegistryClient(served.url)
    assert "no JSON object" in facts.ask(client)["ping_error"]
    served.status = 200
    with pytest.raises(RegistryError, match="no JSON object"):
        client.tags("lab/x")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_named(tmp_path: Any, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(RegistryError, match=f"ca_file = '{path}': cannot be read"):
        RegistryClient("https://localhost:5000", ca_file=str(path))

"""Secrets leave a cluster without what only it knows, and never overwrite anything in a new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.secrets import portable, read, write
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused


def secret(name: str, value: str, space: str = "music", **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": space, "uid": "u", "resourceVersion": "7", "managedFields": [{}]}
    return {
        "metadata": {**meta, **more.pop("metadata", {})},
        "type": "Opaque",
        "data": {"KEY": value},
        **more,
    }


class Cluster:
    """Namespaces and Secrets, as far as the copy uses them."""

    def __init__(self, *secrets: dict[str, Any]) -> None:
        self.secrets = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in secrets}
        self.spaces = {space for space, _name in self.secrets}
        self.managers: list[str] = []

    def get(self, path: str) -> Optional[dict[str, Any]]:
        return {} if path.rpartition("/")[2] in self.spaces else None

    def list(self, path: str) -> Iterator[dict[str, Any]]:
        space = path.split("/")[4]
        yield from [one for (where, _name), one in self.secrets.items() if where == space]

    def apply(self, obj: dict[str, Any], *, field_manager: str) -> None:
        self.managers.append(field_manager)
        if obj["kind"] == "Namespace":
            self.spaces.add(obj["metadata"]["name"])
        else:
            assert obj["metadata"]["namespace"] in self.spaces, "the namespace comes first"
            self.secrets[obj["metadata"]["namespace"], obj["metadata"]["name"]] = obj


@pytest.mark.req("SC-92")
def test_what_only_the_old_cluster_knows_stays_there() -> None:
    old = secret("a", "eA==", metadata={
        "labels": {"app": "x"}, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{…}", "n": "1"},
    })  # fmt: skip
    assert portable(old) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "a", "namespace": "music", "labels": {"app": "x"}, "annotations": {"n": "1"}},
        "data": {"KEY": "eA=="},
    }


def test_what_a_new_cluster_makes_itself_is_left_out() -> None:
    owned = secret("tls", "eA==", metadata={"ownerReferences": [{"kind": "Certificate"}]})
    token = secret("token", "eA==", type="kubernetes.io/service-account-token")
    found = read(Cluster(secret("b", "eA=="), owned, token, secret("a", "eA==")), ["music", "music"])  # type: ignore[arg-type]
    assert [one["metadata"]["name"] for one in found] == ["a", "b"]


def test_the_missing_ones_are_made_under_the_name_of_the_deliveries() -> None:
    copy = read(Cluster(secret("a", "eA=="), secret("b", "eQ==")), ["music"])  # type: ignore[arg-type]
    bare = Cluster()
    preview = write(bare, copy, check_mode=True)  # type: ignore[arg-type]
    assert preview.changed and len(preview.plan) == 3 and not bare.secrets
    done = write(bare, copy, check_mode=False)  # type: ignore[arg-type]
    assert done.verified and done.changed and set(bare.managers) == {"holdfast-app"}
    again = write(bare, copy, check_mode=False)  # type: ignore[arg-type]
    assert again.verified and not again.changed


def test_another_content_is_never_overwritten() -> None:
    copy = [portable(secret("a", "eA==")), portable(secret("b", "eA=="))]
    there = Cluster(secret("b", "bmV3"))
    with pytest.raises(Refused, match="music/b"):
        write(there, copy, check_mode=False)  # type: ignore[arg-type]
    assert not there.managers

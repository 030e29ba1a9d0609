#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Load images from tar files into a registry, without docker."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_image
short_description: Load images from tar files into a registry, without docker
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Pushes images from tar files (docker-archive or OCI layout) through the registry's API.
  - An image that is already there and came from the same file is left alone and its file is not even read.
  - Afterwards every pushed image is looked up again and each of its blobs must be there.
options:
  url:
    description: Address of the registry.
    type: str
    default: http://localhost:5000
  username:
    description: User for basic auth.
    type: str
  password:
    description: Password for basic auth.
    type: str
  ca_file:
    description: PEM file with the certificate authority of the registry.
    type: path
  images:
    description: The images that must be there.
    type: list
    elements: dict
    required: true
    suboptions:
      ref:
        description: Name with tag, such as V(localhost:5000/lab/postgres:15).
        type: str
        required: true
      src:
        description: Address or path on the host of the tar file.
        type: str
        required: true
      sha256:
        description: Pinned digest of the tar file; checked before anything is pushed.
        type: str
  timeout:
    description: Seconds without an answer before a request counts as dead.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
    description: Compares and pushes nothing. A registry that does not answer yet counts as empty.
  diff_mode:
    support: none
    description: The plan says it.
"""

EXAMPLES = r"""
- name: Two images from files on a USB disk
  holdfast.k3s.registry_image:
    images:
      - {ref: "localhost:5000/shop/api:1.4", src: /mnt/api-1.4.tar}
      - {ref: "localhost:5000/shop/web:1.4", src: /mnt/web-1.4.tar}
"""

RETURN = r"""
plan:
  description: Images that were to be pushed, and why.
  returned: always
  type: list
  elements: dict
digests:
  description: Manifest digest of each wanted image in the registry at the end, by name.
  returned: when not in check mode
  type: dict
verified:
  description: Whether every pushed image was read back and all of its blobs are there.
  returned: when not in check mode
  type: bool
"""

from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.host.failure import failed, raise_first
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import archive, loading
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import (
    RegistryClient,
    RegistryError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.whole import missing_blobs

SPEC: dict[str, Any] = {
    "url": {"type": "str", "default": "http://localhost:5000"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "images": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "ref": {"type": "str", "required": True},
            "src": {"type": "str", "required": True},
            "sha256": {"type": "str"},
        },
    },
    "timeout": {"type": "float", "default": 60},
}


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Compare names with the registry, push what differs, read it back."""
    images = loading.wanted(params["images"])
    by_ref = {image.ref: image for image in images}
    loaded = loading.read_loaded()
    sources: dict[str, str] = {}
    incomplete: set[str] = set()
    client = RegistryClient(
        params["url"],
        username=params["username"],
        password=params["password"],
        ca_file=params["ca_file"],
        timeout=params["timeout"],
    )

    def digest(image: loading.Wanted) -> Optional[str]:
        return client.manifest_digest(image.reference.repository, image.reference.tag)

    def lacking(image: loading.Wanted, known: dict[str, bool]) -> list[str]:
        return missing_blobs(client, image.reference.repository, image.reference.tag, known)

    def observe() -> dict[str, Optional[str]]:
        known: dict[str, bool] = {}
        try:
            digests = {image.ref: digest(image) for image in images}
            incomplete.update(i.ref for i in images if digests[i.ref] and lacking(i, known))
            return digests
        except RegistryError as failure:
            if check_mode and not failure.status:
                return {}
            raise

    def plan(digests: dict[str, Optional[str]]) -> list[Action]:
        if digests or not check_mode:
            sources.update({image.ref: loading.identity(image, params["timeout"]) for image in images})
        return loading.plan(images, digests, loaded, sources, incomplete)

    def act(action: Action, _context: Any) -> dict[str, Any]:
        image = by_ref[action.target]
        with loading.local_file(image, params["timeout"]) as path:
            tar = archive.Archive(path)
            try:
                found = tar.image(f"{image.reference.repository}:{image.reference.tag}")
                sent = archive.push(tar, found, client, image.reference.repository, image.reference.tag)
            finally:
                tar.close()
        loaded[image.ref] = {"digest": found.digest, "source": sources[image.ref]}
        loading.write_loaded(loaded)
        return {"bytes_sent": sent, "digest": found.digest}

    def verify(_facts: Any, outcomes: Any) -> tuple[bool, dict[str, Any]]:
        if failed(outcomes):
            return False, {}
        known: dict[str, bool] = {}
        pushed = [by_ref[outcome.action.target] for outcome in outcomes]
        broken = {image.ref: missing for image in pushed if (missing := lacking(image, known))}
        return not broken, {"digests": {i.ref: digest(i) for i in images}, "broken": broken}

    envelope = run(
        observe=observe,
        plan=plan,
        act=act,
        verify=verify,
        check_mode=check_mode,
        clock=Clock(),
        deadline_seconds=3600,
        budget=None,
        stop_on_failure=True,
    )
    raise_first(envelope)
    if envelope.extra.get("broken"):
        error = HoldfastError(
            f"pushed, but blobs are missing: {envelope.extra['broken']}", field="url", value=params["url"]
        )
        error.envelope = envelope
        raise error
    return envelope.as_dict()


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()

"""Push small made-up images to the registry of this host; runs on the host, options as JSON on standard input.

wanted: words of `NAME:TAG=LAYER` (one image with that layer) or `NAME:TAG=LAYER+LAYER` (an index of one image for each).
Prints the digests as JSON: word to `manifest`, `layers` and `parts`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import sys
import urllib.request
from urllib.parse import urljoin

ABOUT = json.load(sys.stdin)
BASE = "https://localhost:5000"
CONTEXT = ssl.create_default_context(cafile=ABOUT["authority"])
LOGIN = base64.b64encode(f"{ABOUT['user']}:{ABOUT['password']}".encode()).decode()
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ARCHITECTURES = ("amd64", "arm64")


def call(method: str, url: str, body: bytes = b"", kind: str = "application/octet-stream") -> str:
    """One request; returns the Location header."""
    request = urllib.request.Request(url, data=body, method=method)
    request.add_header("Authorization", f"Basic {LOGIN}")
    request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, context=CONTEXT, timeout=60) as answer:
        return answer.headers.get("Location") or ""


def digest(content: bytes) -> str:
    """Its digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blob(name: str, content: bytes) -> dict[str, object]:
    """Upload a blob; returns its descriptor."""
    place = urljoin(BASE, call("POST", f"{BASE}/v2/{name}/blobs/uploads/"))
    call("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest(content)}", content)
    return {"digest": digest(content), "size": len(content)}


def manifest(name: str, reference: str, kind: str, content: dict[str, object]) -> dict[str, object]:
    """Store a manifest under a tag, or under its own digest when the reference is empty."""
    body = json.dumps({"schemaVersion": 2, "mediaType": kind, **content}).encode()
    call("PUT", f"{BASE}/v2/{name}/manifests/{reference or digest(body)}", body, kind)
    return {"mediaType": kind, "digest": digest(body), "size": len(body)}


def image(name: str, reference: str, layer: str, architecture: str) -> dict[str, object]:
    """Push an image of one layer; returns the descriptor of its manifest."""
    config = json.dumps(
        {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    )
    about = {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(name, config.encode())}
    layers = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(name, layer.encode())}]
    return manifest(name, reference, MANIFEST, {"config": about, "layers": layers})


def main() -> None:
    """Push everything that is wanted."""
    found = {}
    for word in ABOUT["wanted"]:
        reference, layers = word.split("=")
        name, tag = reference.split(":")
        texts = layers.split("+")
        if len(texts) == 1:
            parts = [image(name, tag, texts[0], "amd64")]
            top = parts[0]
        else:
            parts = [
                {**image(name, "", text, kind), "platform": {"architecture": kind, "os": "linux"}}
                for text, kind in zip(texts, ARCHITECTURES)
            ]
            top = manifest(name, tag, INDEX, {"manifests": parts})
        found[word] = {
            "manifest": top["digest"],
            "parts": [part["digest"] for part in parts],
            "layers": [digest(text.encode()) for text in texts],
        }
    print(json.dumps(found))


main()

"""The kinds of other projects that the product writes objects of: their own definitions, read from their Go modules."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lab.cache import cached
from lab.proc import run

# Module to the files in it that hold its definitions. The modules are read, never built.
_MODULES = {
    "github.com/traefik/traefik/v3@v3.5.0": ["integration/fixtures/k8s/01-traefik-crd.yml"],
    "github.com/cert-manager/cert-manager@v1.18.2": [
        "deploy/crds/crd-certificates.yaml",
        "deploy/crds/crd-clusterissuers.yaml",
        "deploy/crds/crd-issuers.yaml",
    ],
    "github.com/external-secrets/external-secrets@v0.19.2": [
        "config/crds/bases/external-secrets.io_clustersecretstores.yaml",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
        "config/crds/bases/external-secrets.io_secretstores.yaml",
    ],
    "sigs.k8s.io/secrets-store-csi-driver@v1.5.3": [
        "config/crd/bases/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml",
    ],
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
}


def definitions() -> Path:
    """Return one file with the CustomResourceDefinitions of every project above."""

    def build(scratch: Path) -> None:
        found = [
            {
                "apiVersion": document["apiVersion"],
                "kind": document["kind"],
                # Labels and annotations of some are templates of a chart.
                "metadata": {"name": document["metadata"]["name"]},
                "spec": document["spec"],
            }
            for module, names in _MODULES.items()
            for name in names
            for document in yaml.safe_load_all((_folder(module, scratch) / name).read_text())
            if document
        ]
        (scratch / "crds.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": found}))

    return cached("crds", [Path(__file__)], build) / "crds.json"


def _folder(module: str, scratch: Path) -> Path:
    """Return the module's folder in Go's module cache."""
    argv = ["go", "mod", "download", "-json", module]
    answer = run(argv, cwd=scratch, env={"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}, timeout=600)
    return Path(json.loads(answer.out)["Dir"])

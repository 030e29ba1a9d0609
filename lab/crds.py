"""The kinds of other projects that the product writes objects of: their own definitions, from their Go modules."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lab.cache import cached
from lab.proc import run

# Module to the files in it that hold its definitions.
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
# Modules that hold only the types which the definitions are made of, to the package of each, and the program that makes them.
_TYPES = {
    "github.com/fluxcd/helm-controller/api@v1.1.0": "v2",
    "github.com/fluxcd/kustomize-controller/api@v1.4.0": "v1",
    "github.com/fluxcd/source-controller/api@v1.4.1": "v1",
}
_GENERATOR = "sigs.k8s.io/controller-tools@v0.16.5"
_GO = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}


def definitions() -> Path:
    """Return one file with the CustomResourceDefinitions of every project above."""

    def build(scratch: Path) -> None:
        kept = [_folder(module, scratch) / name for module, names in _MODULES.items() for name in names]
        found = [
            {
                "apiVersion": document["apiVersion"],
                "kind": document["kind"],
                # Labels and annotations of some are templates of a chart.
                "metadata": {"name": document["metadata"]["name"]},
                "spec": document["spec"],
            }
            for file in [*kept, *_generated(scratch)]
            for document in yaml.safe_load_all(file.read_text())
            if document
        ]
        (scratch / "crds.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": found}))

    return cached("crds", [Path(__file__)], build) / "crds.json"


def _folder(module: str, scratch: Path) -> Path:
    """Return the module's folder in Go's module cache."""
    argv = ["go", "mod", "download", "-json", module]
    answer = run(argv, cwd=scratch, env=_GO, timeout=600)
    return Path(json.loads(answer.out)["Dir"])


def _generated(scratch: Path) -> list[Path]:
    """Make the definitions of types as their projects make them for a release."""
    folder = scratch / "generated"
    folder.mkdir()
    run(["go", "mod", "init", "generated"], cwd=folder, env=_GO)
    run(["go", "get", *_TYPES, _GENERATOR], cwd=folder, env=_GO, timeout=600)
    paths = [f"paths={module.partition('@')[0]}/{package}" for module, package in _TYPES.items()]
    argv = ["go", "run", f"{_GENERATOR.partition('@')[0]}/cmd/controller-gen", "crd", *paths]
    run([*argv, "output:crd:dir=."], cwd=folder, env=_GO, timeout=900)
    return sorted(folder.glob("*.yaml"))

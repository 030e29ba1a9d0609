"""The images of the lab: data services from Debian packages, sample-app, and the archive of k3s's add-ons."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lab import debian
from lab.archive import Image, write_archive, write_layer
from lab.cache import cached
from lab.paths import SOURCES
from lab.proc import run

IMAGES = SOURCES / "images"
REGISTRY = "localhost:5000/lab"
_CODE = [SOURCES / "archive.py", SOURCES / "containerimages.py"]

_SERVICES: dict[str, tuple[Image, list[str], str]] = {
    "postgres": (
        Image(
            f"{REGISTRY}/postgres:15", (), ["/usr/local/bin/docker-entrypoint.sh"], ["postgres"], "999:999",
            env={
                "PATH": "/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "PGDATA": "/var/lib/postgresql/data", "PG_MAJOR": "15", "LANG": "C.UTF-8",
            },
            ports=[5432],
        ),
        ["postgresql-15", "postgresql-client-15"],
        # The users come first so that they have the official images' number; no cluster is made by the package.
        "groupadd -r -g 999 postgres; useradd -r -u 999 -g 999 -d /var/lib/postgresql -s /bin/bash postgres\n"
        "mkdir -p /etc/postgresql-common\n"
        "printf 'create_main_cluster = false\\n' > /etc/postgresql-common/createcluster.conf\n",
    ),
    "redis": (
        Image(f"{REGISTRY}/redis:7", (), ["/usr/local/bin/docker-entrypoint.sh"], ["redis-server"], "999:999",
              workdir="/data", ports=[6379]),
        ["redis-server", "redis-tools"],
        "groupadd -r -g 999 redis; useradd -r -u 999 -g 999 -d /data redis\n",
    ),
    "rabbitmq": (
        Image(
            f"{REGISTRY}/rabbitmq:3", (), ["/usr/local/bin/docker-entrypoint.sh"], ["rabbitmq-server"], "999:999",
            env={
                # Debian's wrappers in /usr/sbin insist on root or on a login shell; a container has neither.
                "PATH": "/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG": "C.UTF-8", "HOME": "/var/lib/rabbitmq",
            },
            ports=[5672, 15672],
        ),
        ["rabbitmq-server"],
        "groupadd -r -g 999 rabbitmq; useradd -r -u 999 -g 999 -d /var/lib/rabbitmq -s /bin/sh rabbitmq\n",
    ),
}  # fmt: skip

# Program of lab/images/go, path in the image, image.
_ADDONS: tuple[tuple[str, str, Image], ...] = (
    ("pause", "pause", Image("docker.io/rancher/mirrored-pause:3.10.2", (), ["/pause"], user="65535:65535")),
    ("coredns", "coredns", Image("docker.io/rancher/mirrored-coredns-coredns:1.14.6", (), ["/coredns"])),
    (
        "local-path-provisioner",
        "usr/bin/local-path-provisioner",
        Image("docker.io/rancher/local-path-provisioner:v0.0.36", (), ["local-path-provisioner"]),
    ),
    (
        "metrics-server",
        "metrics-server",
        Image("docker.io/rancher/mirrored-metrics-server:v0.9.0", (), ["/metrics-server"], user="65534"),
    ),
)
_BUSYBOX = Image("docker.io/rancher/mirrored-library-busybox:1.37.0", (), command=["sh"])


def base_layer() -> Path:
    """Return the layer that the data services share."""

    def build(scratch: Path) -> None:
        write_layer(debian.base(), scratch / "layer.tar")

    return cached("image-base", [debian.LAYOUT, SOURCES / "archive.py"], build) / "layer.tar"


def service(name: str) -> Path:
    """Return the archive of a data service."""
    image, packages, before = _SERVICES[name]

    def build(scratch: Path) -> None:
        folder = IMAGES / name
        upper = debian.layer(scratch, packages, (folder / "setup.sh").read_text(), before=before)
        entrypoint = upper / "usr/local/bin/docker-entrypoint.sh"
        entrypoint.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "entrypoint.sh", entrypoint)
        entrypoint.chmod(0o755)
        for cache in ("var/cache", "var/log"):
            shutil.rmtree(upper / cache / "apt", ignore_errors=True)
        write_layer(upper, scratch / "layer.tar")
        write_archive([replace(image, layers=[base_layer(), scratch / "layer.tar"])], scratch / f"{name}.tar")
        (scratch / "layer.tar").unlink()
        run(["rm", "-rf", str(upper), str(scratch / "merged")])

    return cached(f"image-{name}", [debian.LAYOUT, *_CODE, IMAGES / name], build) / f"{name}.tar"


def sample_app() -> Path:
    """Return the archive of sample-app."""

    def build(scratch: Path) -> None:
        root = scratch / "root"
        root.mkdir()
        run(
            ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(root / "sample-app"), "."],
            cwd=IMAGES / "sample-app",
            env={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"},
            timeout=900,
        )
        (root / "tmp").mkdir(mode=0o1777)
        image = Image(f"{REGISTRY}/sample-app:1.0.0", (), ["/sample-app"], user="10001:10001",
                      env={"APP_VERSION": "1.0.0"}, ports=[8080])  # fmt: skip
        _archive_of(scratch, [(root, image)], scratch / "sample-app.tar")

    return cached("image-sample-app", [*_CODE, IMAGES / "sample-app"], build) / "sample-app.tar"


def addons() -> Path:
    """Return ``k3s-airgap-images-amd64.tar.zst``."""

    def build(scratch: Path) -> None:
        programs = go_programs()
        roots: list[tuple[Path, Image]] = []
        for name, target, image in _ADDONS:
            root = scratch / f"root-{name}"
            (root / target).parent.mkdir(parents=True)
            shutil.copy(programs / name, root / target)
            roots.append((root, image))
        roots.append((_busybox(scratch), _BUSYBOX))
        _archive_of(scratch, roots, scratch / "images.tar")
        target_file = scratch / "k3s-airgap-images-amd64.tar.zst"
        run(
            ["zstd", "-q", "-3", "-T0", "--rm", str(scratch / "images.tar"), "-o", str(target_file)],
            timeout=300,
        )

    return cached("image-addons", [*_CODE, IMAGES / "go"], build) / "k3s-airgap-images-amd64.tar.zst"


def go_programs() -> Path:
    """Return the folder of the add-ons' programs; see ``lab/images/go/README.md``."""

    def build(scratch: Path) -> None:
        run([str(IMAGES / "go" / "build.sh"), str(scratch)], timeout=2400)

    return cached("go-programs", [IMAGES / "go"], build)


def _busybox(scratch: Path) -> Path:
    """Return a root with Debian's static busybox and a link for each of its applets."""
    debian.download("busybox-static", scratch)
    package = next(scratch.glob("busybox-static_*.deb"))
    root = scratch / "root-busybox"
    run(["dpkg-deb", "-x", str(package), str(scratch / "unpacked")])
    package.unlink()
    (root / "bin").mkdir(parents=True)
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    shutil.copy(scratch / "unpacked/bin/busybox", root / "bin/busybox")
    shutil.rmtree(scratch / "unpacked")
    for applet in run([str(root / "bin/busybox"), "--list"]).out.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    return root


def _archive_of(scratch: Path, roots: list[tuple[Path, Image]], tar: Path) -> None:
    """Write one archive with an image of one layer from each root; the roots are removed."""
    images: list[Image] = []
    for number, (root, image) in enumerate(roots):
        layer = scratch / f"layer-{number}.tar"
        write_layer(root, layer)
        shutil.rmtree(root)
        images.append(replace(image, layers=[layer]))
    write_archive(images, tar)
    for image in images:
        for layer in image.layers:
            layer.unlink()


BUILDERS: dict[str, Callable[[], Path]] = {
    **{name: (lambda name=name: service(name)) for name in _SERVICES},  # type: ignore[misc]
    "sample-app": sample_app,
}

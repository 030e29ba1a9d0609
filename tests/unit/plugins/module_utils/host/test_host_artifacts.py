"""Artefacts: verified before anything is replaced, whatever arrives."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.host import artifacts, packages, removal
from ansible_collections.holdfast.k3s.plugins.module_utils.host.artifacts import Source, Staging, make_parents

ROOT = Path(__file__).resolve().parents[5]
GOOD = b"good bytes" * 1000
SHA = hashlib.sha256(GOOD).hexdigest()


def release(tmp_path: Path, content: bytes = GOOD) -> Source:
    """A directory with one artefact."""
    (tmp_path / "release").mkdir()
    (tmp_path / "release/k3s").write_bytes(content)
    return Source(url="", directory=str(tmp_path / "release"), version="v1")


def test_a_verified_file_replaces_the_old_one(tmp_path: Path) -> None:
    staging, target = Staging(release(tmp_path)), tmp_path / "bin/k3s"
    target.parent.mkdir()
    target.write_bytes(b"old")
    staging.add("k3s", SHA, str(target), 0o755)
    assert target.read_bytes() == b"old", "nothing is replaced before commit"
    staging.commit()
    assert target.read_bytes() == GOOD
    assert target.stat().st_mode & 0o777 == 0o755


def test_what_k3s_keeps_for_root_is_made_for_root_alone(tmp_path: Path) -> None:
    """k3s leaves the mode of a directory that it finds, and writes registries' passwords below it with mode 0644."""
    private = tmp_path / "k3s/agent"
    make_parents(private / "images/x.tar.zst", private)
    make_parents(tmp_path / "bin/k3s", private)
    assert private.stat().st_mode & 0o777 == 0o700
    assert (private / "images").is_dir()
    assert (tmp_path / "k3s").stat().st_mode & 0o077 and (tmp_path / "bin").stat().st_mode & 0o077


def test_one_tampered_byte_changes_nothing(tmp_path: Path) -> None:
    staging, target = Staging(release(tmp_path, GOOD[:-1] + b"X")), tmp_path / "k3s"
    target.write_bytes(b"old")
    with pytest.raises(HoldfastError, match="expected " + SHA):
        staging.add("k3s", SHA, str(target), 0o755)
    staging.discard()
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k3s", "release"], "no temporary file is left"


class Short(http.server.BaseHTTPRequestHandler):
    """Announces more bytes than it sends."""

    def do_GET(self) -> None:
        if self.path.endswith("%2Bk3s1/k3s"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(GOOD)))
            self.end_headers()
            self.wfile.write(GOOD[:100])
        else:
            self.send_error(404)

    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def short_server() -> Iterator[str]:
    """A server whose downloads break off."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Short)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_truncated_download_is_named(tmp_path: Path, short_server: str) -> None:
    staging = Staging(Source(url=short_server, directory="", version="v1+k3s1", timeout=5))
    with pytest.raises(HoldfastError, match=f"100 of {len(GOOD)} bytes|broke off"):
        staging.add("k3s", SHA, str(tmp_path / "k3s"), 0o755)
    staging.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_names_the_address(short_server: str) -> None:
    source = Source(url=short_server, directory="", version="v2", timeout=5)
    with pytest.raises(HoldfastError, match=r"v2/k3s.*404"):
        source.text("k3s")


def test_plan_compares_digests() -> None:
    wanted = artifacts.wanted("arm64", binary_sha256=SHA.upper(), images_sha256="", images=True)
    assert [artifact.name for artifact in wanted] == ["k3s-airgap-images-arm64.tar.zst", "k3s-arm64"]
    pins = {artifact.name: SHA for artifact in wanted}
    assert artifacts.plan(wanted, pins, {artifact.dest: SHA for artifact in wanted}) == []
    found = artifacts.plan(wanted, pins, {artifacts.BINARY: "0" * 64})
    assert [(action.target, action.why.split()[0]) for action in found] == [
        (wanted[0].dest, "missing"),
        (artifacts.BINARY, "has"),
    ]


def test_a_wrong_pin_and_the_release_list() -> None:
    with pytest.raises(HoldfastError, match="sha256"):
        artifacts.wanted("amd64", binary_sha256="abc", images_sha256="", images=False)
    assert artifacts.parse_sums(f"{SHA}  k3s\n{SHA} *k3s.tar\nnoise\n") == {"k3s": SHA, "k3s.tar": SHA}


def test_packages_that_dpkg_knows() -> None:
    assert packages.parse_dpkg("a installed\nb config-files\nc not-installed\n") == {"a"}


def test_removal_needs_the_name_and_copies_first() -> None:
    present = {"installed": True, "datastore": True, "own_files": True}
    kinds = [action.kind for action in removal.plan(present, keep_storage=True)]
    assert kinds == ["copy_state", "uninstall", "remove_own_files"]
    assert removal.plan(dict.fromkeys(present, False), keep_storage=True) == []
    removal.confirm("box", "box")
    with pytest.raises(HoldfastError, match="k3s_uninstall_confirm: box"):
        removal.confirm("", "box")


@pytest.mark.parametrize(
    ("script", "keep_storage", "refusal"),
    [
        ((ROOT / "roles/k3s/files/k3s-uninstall.sh").read_text(), True, ""),
        ("#!/bin/sh\nrm -rf /var/lib/rancher/k3s\n", True, "k3s_uninstall_keep_storage: false"),
        ("#!/bin/sh\nrm -rf /var/lib/rancher/k3s\n", False, ""),
        (None, False, "run role k3s once"),
    ],
)
def test_a_script_that_cannot_keep_the_volumes_is_not_run(
    script: Optional[str], keep_storage: bool, refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """k3s's own installer writes a script of the same name that deletes them."""
    place = tmp_path / "k3s-uninstall.sh"
    if script is not None:
        place.write_text(script)
    monkeypatch.setattr(removal, "UNINSTALL", str(place))
    commands = Quiet()
    if refusal:
        with pytest.raises(HoldfastError, match=refusal):
            removal.uninstall(commands, keep_storage)
    else:
        removal.uninstall(commands, keep_storage)
    assert commands.asked == ([] if refusal else [str(place)])


class Quiet:
    """Commands that answer nothing and remember what was asked."""

    def __init__(self, out: str = "") -> None:
        self.asked: list[str] = []
        self.out = out

    def run(self, argv: list[str], **_options: object) -> Result:
        self.asked.append(" ".join(argv))
        return Result(argv, 0, self.out)


class Etcd(Quiet):
    """A server with embedded etcd; `active` says whether it runs, `saves` whether its snapshot works."""

    def __init__(self, active: bool, saves: bool = True) -> None:
        super().__init__()
        self.active, self.saves = active, saves

    def run(self, argv: list[str], **options: object) -> Result:
        super().run(argv, **options)
        if argv[:2] == ["systemctl", "is-active"]:
            return Result(argv, 0 if self.active else 3, "active\n" if self.active else "activating\n")
        if "etcd-snapshot" in argv and self.saves:
            (Path(argv[argv.index("--dir") + 1]) / f"{argv[argv.index('--name') + 1]}-box-17").write_text(
                "all"
            )
        return Result(argv, 0 if self.saves else 1, err="" if self.saves else "level=fatal msg=late")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's directory of k3s with embedded etcd and a token."""
    (tmp_path / "server/db/etcd/member").mkdir(parents=True)
    (tmp_path / "server/db/etcd/member/db").write_text("raw")
    (tmp_path / "server/token").write_text("t")
    monkeypatch.setattr(removal, "SERVER", tmp_path / "server")
    monkeypatch.setattr(removal, "DATASTORE", tmp_path / "server/db/state.db")
    monkeypatch.setattr(removal, "ETCD", tmp_path / "server/db/etcd")
    monkeypatch.setattr(removal, "KUBECONFIG", str(tmp_path / "k3s.yaml"))
    monkeypatch.setattr(removal, "IDENTITY", (str(tmp_path / "server/token"),))
    return tmp_path / "server"


def test_a_running_etcd_is_copied_by_a_snapshot_of_its_own_server(server: Path, tmp_path: Path) -> None:
    (tmp_path / "k3s.yaml").write_text("    server: https://127.0.0.1:7443\n")
    target, commands = tmp_path / "final", Etcd(active=True)
    copied = removal.copy_state(target, commands)
    assert (target / "holdfast-final-box-17").read_text() == "all"
    assert copied[0] == str(target / "holdfast-final-box-17") and copied[1].endswith("server/token")
    assert commands.asked[-1].endswith("--etcd-server https://127.0.0.1:7443")
    assert removal.datastore_in(target)


def test_an_etcd_that_is_down_is_stopped_for_good_and_its_directory_copied(
    server: Path, tmp_path: Path
) -> None:
    target, commands = tmp_path / "final", Etcd(active=False)
    removal.copy_state(target, commands)
    assert commands.asked[-1] == "systemctl stop k3s.service", "systemd might start it again amid the copy"
    assert (target / "etcd/member/db").read_text() == "raw"
    assert removal.datastore_in(target)


def test_without_a_snapshot_nothing_is_removed_and_no_copy_is_claimed(server: Path, tmp_path: Path) -> None:
    target = tmp_path / "final"
    with pytest.raises(HoldfastError, match=r"level=fatal msg=late.*systemctl stop k3s"):
        removal.copy_state(target, Etcd(active=True, saves=False))
    assert not removal.datastore_in(target)


def test_a_disk_that_takes_no_copy_is_told_before_anything_is_removed(server: Path, tmp_path: Path) -> None:
    (tmp_path / "final").write_text("in the way")
    with pytest.raises(HoldfastError, match=r"so nothing was removed: .*name another directory"):
        removal.copy_state(tmp_path / "final", Etcd(active=False))


def test_a_copy_of_the_identity_alone_is_no_copy_of_the_state(server: Path, tmp_path: Path) -> None:
    (server / "db/etcd/member/db").unlink()
    (server / "db/etcd/member").rmdir()
    (server / "db/etcd").rmdir()
    target = tmp_path / "final"
    assert len(removal.copy_state(target, Quiet())) == 1
    assert not removal.datastore_in(target)


def test_removal_takes_our_files_and_leaves_those_of_others(tmp_path: Path) -> None:
    ours = [*removal.OWN_FILES, "/usr/local/lib/holdfast/ansible_collections/holdfast/x.py"]
    others = [
        "/usr/local/lib/holdfast/registry-gc",
        "/etc/systemd/system/other.service",
        "/etc/rancher/rke2/x",
    ]
    for path in [*ours, *others]:
        place = tmp_path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x")
    commands = Quiet()
    removal.remove_own_files(commands, tmp_path)
    assert sorted("/" + str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(
        others
    )
    assert not (tmp_path / "etc/holdfast").exists(), "an empty directory of ours is left"
    assert commands.asked[0].startswith("systemctl disable --now holdfast-boot.service")


def test_what_is_still_alive_after_a_removal_is_named(tmp_path: Path) -> None:
    for number, words in enumerate(
        (
            ["/var/lib/rancher/k3s/data/ab/bin/containerd-shim-runc-v2", "-id", "x"],
            ["/usr/local/bin/k3s", "server"],
            ["k3s", "kubectl", "get", "pods"],
            ["/usr/bin/containerd-shim-runc-v2", "-id", "x"],
        ),
        start=10,
    ):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_text("\0".join(words) + "\0")
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mounts").write_text("tmpfs /run/k3s/x tmpfs rw 0 0\ntmpfs /run tmpfs rw 0 0\n")
    found = removal.left(Quiet("7: cni0: <UP>\n8: eth0: <UP>\n"), tmp_path)
    assert sorted(found) == ["interface cni0", "mount /run/k3s/x", "process 10", "process 11"]

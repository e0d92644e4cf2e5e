"""The guest image is plain Debian 13: packages and boot files of its manifest, without anything of the classroom."""

import subprocess
from pathlib import Path

import pytest

from rehearsal.folders import HERE
from rehearsal.rootfs import guest_manifest, guest_root
from tests.rehearsal.command import rehearsal

FOLDERS = (
    "etc/apt",
    "etc/cloud",
    "etc/cron.d",
    "etc/sudoers.d",
    "etc/profile.d",
    "opt",
    "srv",
    "home",
    "root",
    "usr/local",
    "usr/bin",
    "usr/sbin",
)
"""Folders in which every file must come from a package or the manifest."""


@pytest.fixture(scope="module")
def root(cloud: dict[str, str]) -> Path:
    return guest_root()


def output_lines(root: Path, *argv: str) -> list[str]:
    return subprocess.run(["chroot", root, *argv], capture_output=True, text=True, check=True).stdout.splitlines()


def names(relation: str) -> set[str]:
    """Return the package names in a dependency field, including alternatives."""
    return {word.split()[0].partition(":")[0] for word in relation.replace("|", ",").split(",") if word.strip()}


def test_packages_are_the_manifests_and_their_dependencies(root: Path) -> None:
    """Every package is in the manifest, in the minimal system, or a dependency of these."""
    form = "${Package}\t${Essential} ${Priority}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
    rows = [line.split("\t") for line in output_lines(root, "dpkg-query", "-W", "-f", form)]
    needs = {name: names(relation) for name, _, relation, _ in rows}
    provided = {name: {name, *names(provides)} for name, _, _, provides in rows}
    wanted = set(guest_manifest()["packages"])
    assert wanted <= needs.keys()
    explained = wanted | {"apt"} | {name for name, mark, _, _ in rows if mark.split()[0] == "yes" or "required" in mark}
    while more := {n for n, p in provided.items() if any(p & needs[e] for e in explained)} - explained:
        explained |= more
    assert set(needs) - explained == set()


def test_files_come_from_packages_or_the_manifest(root: Path) -> None:
    manifest = guest_manifest()
    for name, mode in manifest["files"].items():
        path = root / name.removeprefix("/")
        assert path.stat().st_mode & 0o7777 == int(mode, 8)
        first = (HERE / "guest" / path.name).read_text().splitlines()[0]
        assert path.read_text().splitlines()[0] == first
    assert (root / "usr/sbin/init").read_bytes() == (HERE / "guest/guest-init").read_bytes()
    owned = {line for path in (root / "var/lib/dpkg/info").glob("*.list") for line in path.read_text().splitlines()}
    unowned = {
        f"/{path.relative_to(root)}"
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.is_file() and not path.is_symlink()
    } - owned
    known = {"/usr/sbin/init", "/usr/sbin/init.systemd", "/root/.bashrc", "/root/.profile"}  # diverted; from base-files
    left = unowned - known - set(manifest["files"])
    assert left == set()


def test_the_image_contains_nothing_of_the_classroom(root: Path) -> None:
    words = ("classroom", "livekit", "valkey", "nginx", "unbound")
    found = [str(p) for p in root.rglob("*") if any(word in p.name.lower() for word in words)]
    assert found == []


def test_the_cloud_offers_exactly_this_image(cloud: dict[str, str]) -> None:
    """Glance serves the image that the other tests inspect."""
    answer = rehearsal(
        "exec",
        "--",
        "python",
        "-c",
        "import openstack; print(openstack.connect().image.find_image('debian-13').properties['made_from'])",
        env=cloud,
    )
    assert answer.stdout.strip() == guest_root().parent.name, answer.stderr

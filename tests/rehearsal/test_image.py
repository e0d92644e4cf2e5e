"""The guest image is plain Debian 13: the packages and boot files of its manifest, and nothing of the classroom."""

import subprocess
from pathlib import Path

import pytest

from rehearsal.folders import HERE
from rehearsal.rootfs import guest_manifest, guest_root
from tests.rehearsal.command import rehearsal

PLACES = (
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
"""Where somebody who adds something would put it: no file here comes from anywhere but packages and manifest."""


@pytest.fixture(scope="module")
def root(cloud: dict[str, str]) -> Path:
    return guest_root()


def said(root: Path, *argv: str) -> list[str]:
    return subprocess.run(["chroot", root, *argv], capture_output=True, text=True, check=True).stdout.splitlines()


def names(relation: str) -> set[str]:
    """Return the package names in a relation field, alternatives included."""
    return {word.split()[0].partition(":")[0] for word in relation.replace("|", ",").split(",") if word.strip()}


def test_packages_are_the_manifests_and_what_they_need(root: Path) -> None:
    """Every package is the manifest's or the smallest system's, or one of these needs it."""
    form = "${Package}\t${Essential} ${Priority}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
    rows = [line.split("\t") for line in said(root, "dpkg-query", "-W", "-f", form)]
    needs = {name: names(relation) for name, _, relation, _ in rows}
    provided = {name: {name, *names(provides)} for name, _, _, provides in rows}
    wanted = set(guest_manifest()["packages"])
    assert wanted <= needs.keys()
    explained = wanted | {"apt"} | {name for name, mark, _, _ in rows if mark.split()[0] == "yes" or "required" in mark}
    while more := {n for n, p in provided.items() if any(p & needs[e] for e in explained)} - explained:
        explained |= more
    assert set(needs) - explained == set()


def test_files_are_the_packages_and_the_manifests(root: Path) -> None:
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
        for folder in PLACES
        for path in (root / folder).rglob("*")
        if path.is_file() and not path.is_symlink()
    } - owned
    known = {"/usr/sbin/init", "/usr/sbin/init.systemd", "/root/.bashrc", "/root/.profile"}  # diverted; of base-files
    left = unowned - known - set(manifest["files"])
    assert left == set()


def test_nothing_of_the_classroom_is_in_it(root: Path) -> None:
    words = ("classroom", "livekit", "valkey", "nginx", "unbound")
    found = [str(p) for p in root.rglob("*") if any(word in p.name.lower() for word in words)]
    assert found == []


def test_a_machine_starts_with_exactly_it(cloud: dict[str, str]) -> None:
    """What Glance hands out is the image that was compared."""
    answer = rehearsal(
        "exec",
        "--",
        "python",
        "-c",
        "import openstack; print(openstack.connect().image.find_image('debian-13').properties['made_from'])",
        env=cloud,
    )
    assert answer.stdout.strip() == guest_root().parent.name, answer.stderr

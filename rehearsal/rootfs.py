"""Builds the two root file systems: the tools root (Debian 12, the lab's daemons) and the guest image (Debian 13).

Both come from the Debian mirror in the machine's apt sources, are cached under a digest of their inputs, and are moved into
place atomically. Nothing is installed, enabled or started on the machine itself.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, SYSTEM_PROGRAMS, digest
from classroom.common.progress import run, say
from rehearsal.folders import HERE, LOGS

APT_SOURCES = Path("/etc/apt")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
TRIMMED = ["path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*"]


def mirrors() -> tuple[str, str]:
    """Return the URLs of the Debian archive and security archive in the machine's apt sources.

    Raises ClassroomError if the sources name no Debian archive.
    """
    found: dict[str, str] = {}
    files = [APT_SOURCES / "sources.list", *sorted((APT_SOURCES / "sources.list.d").glob("*"))]
    for path in (p for p in files if p.is_file()):
        for line in path.read_text(errors="replace").splitlines():
            match = re.match(r"(?:deb\s+(?:\[[^]]*\]\s+)?|URIs:\s*)(https?://\S+?)/?(?:\s|$)", line)
            if match and match.group(1).endswith("/debian-security"):
                found.setdefault("security", match.group(1))
            elif match and match.group(1).endswith("/debian"):
                found.setdefault("debian", match.group(1))
    if "debian" not in found:
        raise ClassroomError(
            f"{APT_SOURCES}/sources.list*: no Debian archive found; add a source whose URL ends in /debian"
        )
    return found["debian"], found.get("security", found["debian"] + "-security")


def bootstrap(label: str, suite: str, packages: list[str], root: Path, log: Path) -> None:
    """Install Debian packages into a new root file system; ClassroomError with the log's path if that fails."""
    archive, security = mirrors()
    options = [f"--dpkgopt={o}" for o in TRIMMED]
    lines = [
        f"deb {archive} {suite} main",
        f"deb {archive} {suite}-updates main",
        f"deb {security} {suite}-security main",
    ]
    # The build uses the machine's proxies and certificate authorities; the result contains neither.
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--skip=check/empty", f"--include={','.join(packages)}"]
    run(label, [*argv, *options, suite, root, *lines], log=log)


def tools_root() -> Path:
    """Return the path of the tools root, built or not."""
    sources = [HERE / "tools.toml", HERE / "requirements.lock"]
    return CACHE / "tools" / digest(sources) / "rootfs"


def build_tools() -> Path:
    """Return the tools root, built if missing (about two minutes; network needed)."""
    root = tools_root()
    if root.exists():
        return root
    manifest = tomllib.loads((HERE / "tools.toml").read_text())
    with tempfile.TemporaryDirectory(prefix="building-", dir=_ensure_folder(root.parent.parent)) as scratch:
        new = Path(scratch) / "rootfs"
        log = LOGS / "tools.log"
        bootstrap("tools root: Debian packages", manifest["suite"], manifest["packages"] + manifest["build"], new, log)
        shutil.copyfile(HERE / "requirements.lock", new / "root" / "requirements.lock")
        shutil.copyfile("/etc/resolv.conf", new / "etc" / "resolv.conf")
        if CA_BUNDLE.exists():
            shutil.copyfile(CA_BUNDLE, new / "root" / "ca.crt")
        keep = {k: v for k, v in os.environ.items() if k.startswith("PIP_") and k not in {"PIP_CERT", "PIP_FIND_LINKS"}}
        keep |= {
            "PATH": SYSTEM_PROGRAMS,
            "HOME": "/root",
            "PIP_CERT": "/root/ca.crt",
            "LC_ALL": "C.UTF-8",
        }
        inside = ["chroot", new, "/bin/sh", "-c"]
        script = (
            "python3 -m venv /opt/openstack && "
            "/opt/openstack/bin/pip install -q --no-cache-dir --no-deps --require-hashes --no-build-isolation"
            " -r /root/setuptools.lock && "
            "/opt/openstack/bin/pip install -q --no-cache-dir --no-deps --require-hashes --no-build-isolation"
            " -r /root/requirements.lock && "
            "/opt/openstack/bin/python -m compileall -q -j 2 /opt/openstack/lib || true"
        )
        lock = (new / "root" / "requirements.lock").read_text()
        first = re.findall(r"^(?:setuptools|wheel|pbr)==.*?(?=^[a-z]|\Z)", lock, re.M | re.S)
        (new / "root" / "setuptools.lock").write_text("".join(first))
        run("tools root: OpenStack", [*inside, script], log=log, env=keep)
        if not (new / "opt/openstack/bin/nova-compute").exists():
            raise ClassroomError(f"installing OpenStack into the tools root failed: see {log}")
        _write_helpers(new)
        for name in ("etc/resolv.conf", "root/ca.crt", "root/requirements.lock", "root/setuptools.lock"):
            (new / name).unlink(missing_ok=True)
        _move_into_place(Path(scratch), root.parent)
    return root


def _write_helpers(root: Path) -> None:
    # Nova, Neutron and os-vif call sudo although they run as root.
    sudo = root / "usr/local/bin/sudo"
    sudo.write_text(
        "#!/bin/sh\n"
        'while :; do case "$1" in -n|-E|-H) shift;; *=*) export "$1"; shift;; *) break;; esac; done\n'
        'exec "$@"\n'
    )
    sudo.chmod(0o755)


def _ensure_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _move_into_place(scratch: Path, target: Path) -> None:
    """Move the parts of a finished build to `target`, unless another build created it first."""
    try:
        target.mkdir()
    except FileExistsError:
        return  # another build finished first
    for part in scratch.iterdir():
        part.rename(target / part.name)


def guest_manifest() -> dict[str, Any]:
    """Return the guest image's manifest: suite, packages, masked units, size and the folder of its boot files."""
    return tomllib.loads((HERE / "guest" / "manifest.toml").read_text())


def image_files() -> list[dict[str, str]]:
    """Return the files of the guest image that no package brings, as the setting `image_files` names them."""
    manifest = guest_manifest()
    boot = {name: mode for name, mode in manifest["files"].items() if not name.startswith("/etc/apt/")}
    trimmed = "".join(f"{line}\n" for line in TRIMMED)
    found = [
        {
            "path": name,
            "sha256": _sha256((HERE / "guest" / Path(name).name).read_bytes()),
            "mode": mode,
            "reason": "boot",
        }
        for name, mode in boot.items()
    ]
    init = (HERE / "guest" / "guest-init").read_bytes()
    found += [
        {"path": "/usr/sbin/init", "sha256": _sha256(init), "mode": "0755", "reason": "starts systemd in a container"},
        {"path": "/usr/sbin/init.systemd", "link": "../lib/systemd/systemd", "reason": "the packaged file"},
        {
            "path": "/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
            "sha256": _sha256(trimmed.encode()),
            "reason": "no documentation",
        },
    ]
    # The roles start the timers of security updates again.
    masked = [name for name in manifest["masked"] if not name.startswith("apt-daily")]
    return found + [
        {"path": f"/etc/systemd/system/{name}", "link": "/dev/null", "reason": "not needed in a container"}
        for name in masked
    ]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def guest_root() -> Path:
    """Return the path of the guest image's root file system, built or not."""
    return CACHE / "image" / digest([HERE / "guest"]) / "rootfs"


def guest_image() -> Path:
    """Return the path of the guest image (qcow2, one ext4 on the whole disk), built or not."""
    return guest_root().parent / "guest.qcow2"


def build_guest() -> Path:
    """Return the guest image, built if missing (about a minute; network needed)."""
    image = guest_image()
    if image.exists():
        return image
    tools = build_tools()
    manifest = guest_manifest()
    with tempfile.TemporaryDirectory(prefix="building-", dir=_ensure_folder(image.parent.parent)) as scratch:
        root, log = Path(scratch) / "rootfs", LOGS / "image.log"
        bootstrap("guest image: Debian packages", manifest["suite"], manifest["packages"], root, log)
        _boot_files(root, manifest)
        say("guest image: disk …")
        raw = Path(scratch) / "guest.raw"
        with raw.open("wb") as disk:
            disk.truncate(manifest["disk_mib"] * 1024 * 1024)
        options = ["-q", "-t", "ext4", "-L", "root", "-O", "^has_journal", "-m", "0", "-E", "lazy_itable_init=0"]
        run("guest image: file system", ["mke2fs", *options, "-d", root, raw], log=log)
        convert = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mount --bind "$1" "$0/mnt" && exec chroot "$0" qemu-img convert'
            " -O qcow2 -c /mnt/guest.raw /mnt/guest.qcow2",
            tools,
            scratch,
        ]
        run("guest image: qcow2", convert, log=log)
        raw.unlink()
        _move_into_place(Path(scratch), image.parent)
    return image


def _boot_files(root: Path, manifest: dict[str, Any]) -> None:
    """Copy the manifest's boot files to the root file system, and remove what must differ between machines."""
    archive, security = (re.sub(r"^https?://", f"http://{manifest['package_proxy']}/", m) for m in mirrors())
    for name, mode in manifest["files"].items():
        target = root / name.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (HERE / "guest" / Path(name).name).read_text()
        target.write_text(text.replace("@ARCHIVE@", archive).replace("@SECURITY@", security))
        target.chmod(int(mode, 8))
    chroot = ["chroot", str(root)]
    subprocess.run([*chroot, "systemctl", "enable", *manifest["enabled"]], check=True, capture_output=True)
    subprocess.run([*chroot, "systemctl", "mask", *manifest["masked"]], check=True, capture_output=True)
    divert = ["dpkg-divert", "--local", "--quiet", "--divert", "/usr/sbin/init.systemd", "--rename", "--add"]
    subprocess.run([*chroot, *divert, "/usr/sbin/init"], check=True)
    shutil.copyfile(HERE / "guest" / "guest-init", root / "usr/sbin/init")
    (root / "usr/sbin/init").chmod(0o755)
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    resolv = root / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    resolv.symlink_to("/run/systemd/resolve/stub-resolv.conf")
    for path in [*root.glob("etc/ssh/ssh_host_*"), root / "var/lib/dbus/machine-id"]:
        path.unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").write_text("debian\n")
    (root / "etc/fstab").write_text("")
    subprocess.run([*chroot, "apt-get", "clean"], check=True)
    for folder in ("var/lib/apt/lists", "dev", "run", "tmp"):
        for path in (root / folder).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    # An old date, or Ansible's apt module takes the empty index for a fresh one.
    os.utime(root / "var/lib/apt/lists", (946684800, 946684800))


def main() -> None:
    """Build what is missing."""
    print(build_tools())
    print(build_guest())


if __name__ == "__main__":
    try:
        main()
    except ClassroomError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)

"""A disk in memory from which a machine could start, with Debian's kernel, initial file system and GRUB, and surveys of it.

Run as a program in a mount namespace of its own: it gets a root file system, an empty folder, and on standard input a list
of shell scripts that change the disk, as JSON. It prints the survey of the sound disk, and that with all changes, one line each.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from classroom.common.paths import CACHE
from classroom.verify.hosts.accounting import SOURCE
from rehearsal.folders import LOGS
from rehearsal.rootfs import bootstrap, guest_manifest

PACKAGES = (
    "linux-image-cloud-amd64", "grub-cloud-amd64", "grub-efi-amd64-signed", "shim-signed", "initramfs-tools", "zstd",
    "cloud-initramfs-growroot", "cloud-guest-utils", "netplan.io", "libnss-resolve", "libnss-myhostname", "apparmor",
    "locales", "man-db", "polkitd", "uuid-runtime", "tcpdump", "dhcpcd-base",
    "bash-completion", "vim", "nano", "wget", "screen", "tmux",
    "socat", "file", "dosfstools", "fdisk", "ethtool", "pciutils",
    "bind9-host", "logrotate", "qemu-guest-agent",
)  # fmt: skip
"""Packages that Debian's images for clouds have besides those of the rehearsal's guest: of the start, of networks, and tools."""
CONTROL = Path("/sys/class/zram-control")
SIZE = "3G"
PROGRAMS = "PATH=/usr/sbin:/usr/bin"
LIST = """
found = listed()
print(json.dumps({"files": found.files, "errors": found.errors, "packages": packages(), "lists": lists(), "alternatives": alternatives(),
  "texts": {path: text(path) for path in TEXTS}, "diversions": text("/var/lib/dpkg/diversions"), "mounts": text("/proc/self/mountinfo")}))
"""


def root() -> Path:
    """Return a root file system with the packages of a cloud image, built if missing (two minutes; network needed)."""
    manifest = guest_manifest()
    packages = [*manifest["packages"], *PACKAGES]
    name = hashlib.sha256(" ".join([manifest["suite"], *packages]).encode()).hexdigest()[:16]
    target = CACHE / "start" / name / "rootfs"
    if not target.exists():
        new = target.with_name("building")
        shutil.rmtree(new, ignore_errors=True)
        new.parent.mkdir(parents=True, exist_ok=True)
        bootstrap("cloud image: Debian packages", manifest["suite"], packages, new, LOGS / "start.log")
        new.rename(target)
    return target


def run(*words: object, given: str | None = None) -> str:
    """Run a command and return its output; RuntimeError with its messages if it fails."""
    answer = subprocess.run([str(word) for word in words], input=given, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"{words}: {answer.stderr[-2000:]}")
    return answer.stdout


@contextlib.contextmanager
def disk() -> Iterator[Path]:
    """Add a disk in memory; remove it at the end."""
    number = (CONTROL / "hot_add").read_text().strip()
    try:
        block = Path("/sys/block") / f"zram{number}"
        (block / "disksize").write_text(SIZE)
        yield Path("/dev") / block.name
    finally:
        (CONTROL / "hot_remove").write_text(number)


@contextlib.contextmanager
def mounted(device: Path, place: Path) -> Iterator[None]:
    """Mount a disk, with what a chroot needs."""
    run("mount", device, place)
    try:
        run("mount", "--bind", "/dev", place / "dev")
        for kind, folder in (("proc", "proc"), ("sysfs", "sys"), ("tmpfs", "run"), ("tmpfs", "dev/shm")):
            run("mount", "-t", kind, "-o", "mode=755" if folder == "run" else "rw", kind, place / folder)
        yield
    finally:
        run("umount", "--recursive", place)


def main(files: Path, place: Path) -> None:
    """Print the surveys."""
    changes: list[str] = json.load(sys.stdin)
    program = SOURCE.read_text().partition("if __name__ ==")[0] + LIST
    with disk() as device:
        run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", files, device)
        with mounted(device, place):

            def inside(*words: object, given: str | None = None) -> str:
                return run("chroot", place, "/usr/bin/env", "-i", PROGRAMS, *words, given=given)

            inside("grub-install", "--target=i386-pc", "--grub-setup=/bin/true", device)
            inside("update-grub")
            print(inside("python3", "-ISB", "-", given=program).strip(), flush=True)
            for change in changes:
                inside("sh", "-e", "-c", change)
            print(inside("python3", "-ISB", "-", given=program).strip(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

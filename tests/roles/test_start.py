"""Files from which a machine with its own kernel starts are accounted for; changes of them are named.

The disk has the packages of Debian's cloud images, a real initial file system and GRUB, but no machine starts from it here: the
rehearsal's guests share the kernel of this machine. GRUB's files on an EFI partition have unit tests only, as no FAT file system can be
mounted here.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from classroom.common.paths import REPO
from classroom.configure.role_files import RoleState
from classroom.verify.hosts.boot_judgement import BOOT_LOADER
from classroom.verify.hosts.debian_archive import Mirror, PackageKey, Proven, prove, suites
from classroom.verify.hosts.file_judgement import FileFindings, Known, judge_files
from classroom.verify.hosts.host_survey import Survey
from classroom.verify.hosts.written_files import load_rules
from rehearsal.rootfs import mirrors
from tests.roles.fleet import machine_network
from tests.roles.start_disk import root

BEFORE_THE_ROLES = {
    "/etc/apt/sources.list",
    "/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "/etc/resolv.conf",
    "/var/cache/apt/archives/partial",
    "/var/lib/apt/lists/partial",
    *(f"/etc/ssh/ssh_host_{kind}_key{end}" for kind in ("ecdsa", "rsa") for end in ("", ".pub")),
}
"""Files that the roles and cloud-init replace or remove, neither of which ran on this disk."""
REBUILD = "update-initramfs -u >/dev/null"
CHANGES = {
    "a script in the initial file system": (
        f"printf '#!/bin/sh\\n' > /etc/initramfs-tools/scripts/init-top/more && chmod +x /etc/initramfs-tools/scripts/init-top/more && {REBUILD}",
        {
            "/boot/initrd.img-{kernel}: has the member scripts/init-top/more",
            "/etc/initramfs-tools/scripts/init-top/more: no package",
            "/initrd.img: leads",
            "/initrd.img.old: leads",
        },
    ),
    "a module that no package brings": (
        "cp $(find /usr/lib/modules -name '*.ko*' | sort | head -1) /usr/lib/modules/{kernel}/more.ko.xz",
        {"/usr/lib/modules/{kernel}/more.ko.xz: no package", "/usr/lib/modules/{kernel}/modules."},
    ),
    "another index of modules": (
        "echo x >> /usr/lib/modules/{kernel}/modules.softdep",
        {"/usr/lib/modules/{kernel}/modules.softdep: is not what"},
    ),
    "a parameter of the kernel": (
        "sed -i 's/ro console/init=\\/bin\\/sh &/; s/ quiet/ init=\\/bin\\/sh&/' /boot/grub/grub.cfg; echo '# more' >> /boot/grub/grub.cfg",
        {"/boot/grub/grub.cfg: is not what"},
    ),
    "a module of GRUB": ("echo x >> /boot/grub/i386-pc/ext2.mod", {"/boot/grub/i386-pc/ext2.mod: is no copy"}),
    "settings that GRUB's own include": ("echo x > /boot/grub/custom.cfg", {"/boot/grub/custom.cfg: no package"}),
    "another database of devices": ("echo x >> /usr/lib/udev/hwdb.bin", {"/usr/lib/udev/hwdb.bin: is not what"}),
    "another kernel": (
        "echo x >> /boot/vmlinuz-{kernel}",
        {"/boot/vmlinuz-{kernel}: was changed", "/vmlinuz: leads", "/vmlinuz.old: leads"},
    ),
}  # fmt: skip
"""Changes, each with the beginnings of the lines that must name it."""


@pytest.fixture(scope="module")
def surveys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Survey, Survey, str]:
    """Return the survey of the sound disk, that with all changes, and the kernel's version."""
    files = root()
    kernel = next((files / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    changes = [change.replace("{kernel}", kernel) for change, _ in CHANGES.values()]
    words = [sys.executable, "-m", "tests.roles.start_disk", str(files), str(tmp_path_factory.mktemp("disk"))]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", *words],
        cwd=REPO,
        input=json.dumps(changes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    empty = {
        "format": 1,
        "overrides": "",
        "units": "",
        "processes": [],
        "modules": "",
        "tainted": "0",
        "kernel": kernel,
    }
    first, second = (
        Survey.model_validate({**empty, "sockets": {}, **json.loads(line)}) for line in done.stdout.splitlines()
    )
    return first, second, kernel  # fmt: skip


@pytest.fixture(scope="module")
def proven(surveys: tuple[Survey, Survey, str]) -> Proven:
    with machine_network():
        found = prove([PackageKey(*p) for p in surveys[0].installed], Mirror(suites(*mirrors())), "amd64")
    assert not found.unproven
    return found


def judged(survey: Survey, proven: Proven) -> FileFindings:
    return judge_files(survey, Known(proven, RoleState(), load_rules()))


def test_a_sound_disk_has_no_fault(surveys: tuple[Survey, Survey, str], proven: Proven) -> None:
    sound, _, kernel = surveys
    assert {f"/boot/initrd.img-{kernel}", "/boot/grub/grub.cfg", "/boot/grub/i386-pc/ext2.mod"} <= sound.by_path.keys()
    assert len(sound.by_path[f"/boot/initrd.img-{kernel}"].more["members"]) > 200
    found = judged(sound, proven)
    assert {line.partition(": ")[0] for line in found.faults} == BEFORE_THE_ROLES, found.faults
    assert {about: [Path(path).name for path in paths] for about, paths in found.unproven.items()} == {
        BOOT_LOADER: ["core.img"]
    }


def test_each_change_is_named_by_exactly_its_lines(surveys: tuple[Survey, Survey, str], proven: Proven) -> None:
    _, changed, kernel = surveys
    found = [line for line in judged(changed, proven).faults if line.partition(": ")[0] not in BEFORE_THE_ROLES]
    expected = {begin.replace("{kernel}", kernel): name for name, (_, lines) in CHANGES.items() for begin in lines}
    assert {name for begin, name in expected.items() if not any(line.startswith(begin) for line in found)} == set()
    assert [line for line in found if not line.startswith(tuple(expected))] == []

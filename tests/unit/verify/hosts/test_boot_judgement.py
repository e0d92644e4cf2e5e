"""Files from which a machine starts: what packages' scripts compose is accepted, each change of it is named."""

import gzip
import hashlib
import lzma
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classroom.verify.hosts.boot_judgement import BootFiles
from classroom.verify.hosts.file_judgement import loader_entries
from classroom.verify.hosts.host_survey import SurveyedFile
from tests.unit.verify.hosts.test_host_survey import program
from tests.unit.verify.hosts.world import loader_cache

KMOD = b"a program"
INIT = b"#!/bin/sh\n"
ORDER = b'/scripts/init-top/udev "$@"\n[ -e /conf/param.conf ] && . /conf/param.conf\n'
CACHE = loader_cache({"libc.so.6": "/lib/x86_64-linux-gnu/libc.so.6"})
PACKAGED = {
    "/usr/share/initramfs-tools/init": INIT,
    "/usr/share/initramfs-tools/scripts/init-top/udev": b"udev",
    "/usr/bin/kmod": KMOD,
    "/usr/lib/x86_64-linux-gnu/libc.so.6": b"libc",
    "/usr/lib/modules/6.12/kernel/fs/ext4/ext4.ko.xz": b"module",
    "/boot/vmlinuz-6.12": b"kernel",
    "/usr/lib/grub/x86_64-efi/normal.mod": b"normal",
    "/usr/lib/shim/shimx64.efi.signed": b"shim",
}
MEMBERS = {
    "conf/arch.conf": b"DPKG_ARCH=amd64\n",
    "conf/initramfs.conf": b"# text\nMODULES=most\nBOOT=local\n",
    "init": INIT,
    "scripts/init-top/ORDER": ORDER,
    "scripts/init-top/udev": b"udev",
    "usr/bin/kmod": KMOD,
    "etc/ld.so.cache": CACHE,
    "usr/lib/x86_64-linux-gnu/libc.so.6": b"libc",
    "usr/lib/modules/6.12/kernel/fs/ext4/ext4.ko.xz": b"module",
    "usr/lib/modules/6.12/modules.dep": b"kernel/fs/ext4/ext4.ko.xz:\n",
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(*rows: tuple[str, int, bytes] | tuple[str, int, bytes, int, int]) -> bytes:
    """Return an archive in cpio's format newc: name, mode with kind, content, and inode and number of links if it has several."""
    found = b""
    for number, row in enumerate([*rows, ("TRAILER!!!", 0, b"")], 1):
        name, mode, content, inode, links = (*row, number, 1)[:5]
        fields = [inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        found += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        found += b"\0" * (-len(found) % 4) + content
        found += b"\0" * (-len(found) % 4)
    return found


def image(members: dict[str, bytes]) -> bytes:
    links = [("bin", 0o120777, b"usr/bin"), ("usr", 0o40755, b"")]
    return archive(*links, *((name, 0o100755, content) for name, content in members.items()))


def initrd(data: bytes, path: str = "/boot/initrd.img-6.12", **changes: object) -> SurveyedFile:
    more = {"members": [list(row) for row in program.members(data)]}
    return SurveyedFile(path, "f", 0o644, 0, 0, len(data), sha(data), more)._replace(**changes)  # type: ignore[arg-type]


BOOT = BootFiles(
    {}, {path: sha(content) for path, content in PACKAGED.items()}, lambda path: path in PACKAGED, loader_entries
)


@pytest.mark.parametrize("packed", [bytes, gzip.compress, lzma.compress])
def test_a_composed_image_is_accepted(packed: Callable[[bytes], bytes]) -> None:
    first = archive(("kernel", 0o40755, b"")) + b"\0" * 372
    assert BOOT.judge(initrd(first + packed(image(MEMBERS)))) is None


CHANGES = {
    "a member more": {"usr/bin/more": b"x"},
    "another program": {"usr/bin/kmod": b"x"},
    "a packaged program under the name of another": {"usr/bin/more": KMOD},
    "another start script": {"init": b"#!/bin/sh\nevil\n"},
    "a script that is not in its order": {"scripts/init-top/more": b"x"},
    "a line more in the order": {"scripts/init-top/ORDER": ORDER + b"evil &\n"},
    "a setting that is a command": {"conf/initramfs.conf": b"MODULES=$(evil)\n"},
    "a library elsewhere": {"etc/ld.so.cache": loader_cache({"libc.so.6": "/tmp/libc.so.6"})},
    "a cache that cannot be read": {"etc/ld.so.cache": b"x"},
    "another module": {"usr/lib/modules/6.12/kernel/fs/ext4/ext4.ko.xz": b"x"},
    "a module more": {"usr/lib/modules/6.12/kernel/more.ko": b"x"},
    "a command when a module is loaded": {"etc/modprobe.d/more.conf": b"install ext4 /bin/evil\n"},
    "an order too large to show": {"scripts/init-top/ORDER": ORDER * 2000},
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_of_a_member_is_named(name: str) -> None:
    (path,) = CHANGES[name]
    assert f"has the member {path}, which " in str(BOOT.judge(initrd(image(MEMBERS | CHANGES[name]))))


def test_rights_and_kinds_of_members_are_named() -> None:
    for state in (0o104755, 0o20600):
        data = archive(("init", state, INIT if state > 0o100000 else b""))
        assert "has the member init" in str(BOOT.judge(initrd(data)))


def test_names_of_one_file_have_its_content() -> None:
    rows = [("usr/bin/kmod", 0o100755, b"", 7, 2), ("other/kmod", 0o100755, KMOD, 7, 2)]
    assert [row[:4] for row in program.members(archive(*rows))] == [
        ["usr/bin/kmod", "f", 0o755, sha(KMOD)],
        ["other/kmod", "f", 0o755, sha(KMOD)],
    ]
    assert program.members(archive(rows[0])) == []


@settings(deadline=None, max_examples=100)
@given(st.integers(1, len(image(MEMBERS)) - 130), st.sampled_from([b"", b"x", b"070701"]))
def test_an_image_that_is_cut_off_or_continued_is_named(length: int, tail: bytes) -> None:
    data = image(MEMBERS)
    assert BOOT.judge(initrd(data[:length] + (tail or b"x"))) not in {None, ""}
    assert BOOT.judge(initrd(data + b"x" + tail)) not in {None, ""}


@pytest.mark.parametrize(
    "change",
    [
        {"mode": 0o666},
        {"uid": 1000},
        {"kind": "l", "content": "/tmp/x"},
        {"path": "/boot/initrd.img-6.13"},
        {"more": {}},
    ],
)
def test_another_file_in_place_of_the_image_is_named(change: dict[str, object]) -> None:
    assert BOOT.judge(initrd(image(MEMBERS))._replace(**change)) not in {None, ""}  # type: ignore[arg-type]


def written(path: str, content: str, **more: object) -> SurveyedFile:
    return SurveyedFile(path, "f", 0o644, 0, 0, 1, content, more)


EFI = b"search.fs_uuid 1b2c-3d root hd0,gpt1\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"


@pytest.mark.parametrize(
    ("file", "good"),
    [
        (written("/usr/lib/modules/6.12/modules.dep.bin", "a", made="a"), True),
        (written("/usr/lib/modules/6.12/modules.dep.bin", "a", made="b"), False),
        (written("/usr/lib/modules/6.12/modules.dep.bin", "a"), False),
        (written("/boot/grub/grub.cfg", "a", made="a"), True),
        (written("/boot/grub/grub.cfg", "a", made="b"), False),
        (written("/boot/grub/x86_64-efi/normal.mod", sha(b"normal")), True),
        (written("/boot/grub/x86_64-efi/normal.mod", sha(b"x")), False),
        (written("/boot/efi/EFI/debian/shimx64.efi", sha(b"shim")), True),
        (written("/boot/efi/EFI/debian/shimx64.efi", sha(b"kernel")), False),
        (written("/boot/efi/EFI/debian/grub.cfg", "a", hex=EFI.hex()), True),
        (written("/boot/efi/EFI/debian/grub.cfg", "a", hex=(EFI + b"chainloader /evil\n").hex()), False),
        (written("/boot/efi/EFI/debian/grub.cfg", "a"), False),
    ],
)
def test_files_of_grub_and_indexes_of_modules(file: SurveyedFile, good: bool) -> None:
    answer = BOOT.judge(file)
    assert (answer is None) is good and answer != ""


def test_other_files_are_not_judged() -> None:
    for path in ("/boot/vmlinuz-6.12", "/usr/lib/modules/6.12/extra/more.ko", "/boot/grub/custom.cfg", "/boot/more"):
        assert BOOT.judge(written(path, "a")) == ""

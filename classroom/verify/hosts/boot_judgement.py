"""Judge the files from which a machine starts, as scripts of packages compose them: of the kernel, its modules, and GRUB.

The boot sector and the images that GRUB writes beside it lie outside what a survey can prove; they are named as not proven.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from classroom.verify.hosts.host_survey import SurveyedFile

BOOT_LOADER = "images of the boot loader"
"""Key of the files in `FileFindings.unproven` that grub-install composes for one disk."""
KERNEL = "/boot/vmlinuz-"
INITRD = "/boot/initrd.img-"
MODULE_INDEX = re.compile(r"^/usr/lib/modules/[^/]+/modules\.[\w.]+$")
TOP_LINK = re.compile(r"^/(vmlinuz|initrd\.img)(\.old)?$")
HARDWARE = "/usr/lib/udev/hwdb.bin"
GRUB_SETTINGS = "/boot/grub/grub.cfg"
GRUB_COPY = re.compile(r"^/boot/grub/([a-z0-9_]+-[a-z0-9]+/[\w.-]+|fonts/[\w.-]+|unicode\.pf2|locale/[\w@.-]+\.mo)$")
GRUB_IMAGE = re.compile(r"^/boot/grub/[a-z0-9_]+-[a-z0-9]+/(core\.(img|efi)|grub\.efi|load\.cfg)$")
EFI_COPY = re.compile(r"^/boot/efi/EFI/[\w-]+/[\w-]+\.(efi|EFI|CSV)$")
EFI_SETTINGS = re.compile(r"^/boot/efi/EFI/[\w-]+/grub\.cfg$")
EFI_LINE = re.compile(
    r"search\.fs_uuid [\w-]+ root( [\w,-]+)*|set prefix=\(\$root\)'/boot/grub'|configfile \$prefix/grub\.cfg"
)
"""Lines of GRUB's settings on the EFI partition: they lead to those in /boot."""
MEMBER_INDEX = re.compile(r"^(usr/)?lib/modules/[^/]+/modules\.[\w.]+$")
"""Indexes of the modules in an initial file system: they lead to members only, each of which is judged."""
COMPOSED: Mapping[str, str] = {
    r"conf/arch\.conf": r"DPKG_ARCH=\w+",
    r"conf/conf\.d/[\w.-]+|conf/initramfs\.conf|conf/param\.conf": r"(export )?[A-Z_]+=[\w./:-]*|#.*",
    r"scripts/[\w-]+/ORDER": r'/scripts/[\w-]+/[\w.-]+ "\$@"|\[ -e /conf/param\.conf \] && \. /conf/param\.conf',
    r"etc/ld\.so\.conf(\.d/[\w.-]+)?": r"include /etc/ld\.so\.conf\.d/\*\.conf|/(usr/)?(local/)?lib[\w/-]*|#.*",
    r"etc/fstab": r"#.*|\S+ / \S+ \S+ 0 0",
}
"""Members whose lines scripts compose: pattern of the path → pattern of each line that is not empty."""


@dataclass(frozen=True)
class BootFiles:
    """What judges the files of a start: a host's files and the digests of packaged ones by path, what says whether a path is
    accounted for, and what reads a loader's cache.
    """

    files: Mapping[str, SurveyedFile]
    digests: Mapping[str, str]
    accounted: Callable[[str], bool]
    entries: Callable[[bytes], Iterable[tuple[str, str]]]

    @cached_property
    def by_name(self) -> Mapping[str, frozenset[str]]:
        """Digests of the packaged files by the last part of their paths."""
        found: dict[str, set[str]] = {}
        for path, digest in self.digests.items():
            found.setdefault(PurePosixPath(path).name, set()).add(digest)
        return {name: frozenset(digests) for name, digests in found.items()}

    def judge(self, file: SurveyedFile) -> str | None:
        """Return None if a file is right, its fault, or an empty string if it is another file."""
        judges = (
            (file.path.startswith(INITRD), self._initrd),
            (bool(MODULE_INDEX.match(file.path)) and file.path not in self.digests, self._made_again),
            (file.path in {GRUB_SETTINGS, HARDWARE}, self._made_again),
            (bool(GRUB_COPY.match(file.path)) and not GRUB_IMAGE.match(file.path), self._copy),
            (bool(EFI_COPY.match(file.path)), self._copy),
            (bool(EFI_SETTINGS.match(file.path)), self._efi_settings),
        )
        if file.kind == "l" and TOP_LINK.match(file.path):
            leads = file.content.startswith("boot/") and self.accounted(f"/{file.content}")
            return None if leads else f"leads to {file.content}"
        for fits, judge in judges:
            if fits and file.kind != "d":
                if not file.only_root_writes:
                    return "is no file that root alone can write"
                return judge(file)
        return ""

    def _made_again(self, file: SurveyedFile) -> str | None:
        made = file.more.get("made")
        if made is None:
            return "cannot be compared, as Debian's program does not make it again"
        return None if made == file.content else "is not what Debian's program makes"

    def _copy(self, file: SurveyedFile) -> str | None:
        return None if file.content in self.copied else "is no copy of a packaged file"

    def _efi_settings(self, file: SurveyedFile) -> str | None:
        text = bytes.fromhex(str(file.more.get("hex", "")))
        return (odd_line(text, EFI_LINE) or None) if text else "cannot be read"

    @cached_property
    def copied(self) -> frozenset[str]:
        """Digests of the packaged files that grub-install copies."""
        tops = ("/usr/lib/grub/", "/usr/share/grub/", "/usr/lib/shim/", "/usr/share/locale/")
        return frozenset(digest for path, digest in self.digests.items() if path.startswith(tops))

    def _initrd(self, file: SurveyedFile) -> str | None:
        members = file.more.get("members") or []
        if not members:
            return "cannot be read as the initial file system of a kernel"
        paths = {str(member[0]) for member in members}
        # Links at the top of the file system lead to the folders in /usr.
        paths |= {path.removeprefix("usr/") for path in paths}
        for member in members:
            if fault := self._member(paths, *member):
                return f"has the member {member[0]}, which {fault}"
        kernel = KERNEL + file.path.removeprefix(INITRD)
        return None if self.accounted(kernel) else f"is of the kernel {kernel}, which is not accounted for"

    def _member(
        self, paths: set[str], path: str, kind: str, mode: int, content: str, composed: str | None = None
    ) -> str:
        """Return the fault of a member of an initial file system; empty if there is none."""
        if mode & 0o6000:
            return "has the right of another account"
        if kind in {"d", "l"}:
            return ""
        if kind != "f":
            return "is neither file, folder nor link"
        if content in self.by_name.get(PurePosixPath(path).name, ()) or MEMBER_INDEX.match(path):
            return ""
        same = self.files.get(f"/{path}")
        if same is not None and same.content == content and self.accounted(f"/{path}"):
            return ""
        if composed is None:
            return "is no file of a package"
        text = bytes.fromhex(composed)
        if path == "etc/ld.so.cache":
            try:
                outside = [to for _, to in self.entries(text) if to.lstrip("/") not in paths]
            except (ValueError, IndexError):
                return "cannot be read as the loader's cache"
            return f"leads to {outside[0]}" if outside else ""
        for pattern, line in COMPOSED.items():
            if re.fullmatch(pattern, path):
                return odd_line(text, line)
        return "is no file of a package"


def odd_line(data: bytes, pattern: str | re.Pattern[str]) -> str:
    """Return a fault that shows the first line of a text that is neither empty nor matches a pattern; empty if there is none."""
    lines = filter(None, map(str.strip, data.decode(errors="replace").splitlines()))
    odd = next((line for line in lines if not re.fullmatch(pattern, line)), None)
    return f"has the line '{odd[:60]}'" if odd else ""

#!/usr/bin/python3 -ISB
"""Print what is on this host as one JSON object, compressed by gzip, for the verifier; change nothing and take no argument.

It only collects: what is right is judged on the machine of the operations team. Runs as root, by a rule of sudo without
arguments. Keys of the object: see `survey`.
"""

import sys

sys.pycache_prefix = "/nonexistent"  # modules come from their sources, whose digests are judged, and not from bytecode

import contextlib
import errno
import gzip
import hashlib
import json
import lzma
import marshal
import os
import pickletools
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator

PSEUDO = {
    *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "efivarfs", "fusectl"),
    *("hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "securityfs", "selinuxfs", "sysfs", "tracefs", "rpc_pipefs"),
}
"""File systems without files of their own, which are not walked."""
LARGEST = 512 * 1024 * 1024
"""Files with more bytes are listed without a digest, which fails wherever a digest matters."""
TEXTS = (
    "/etc/passwd",
    "/etc/group",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/machine-id",
    "/etc/fstab",
)
HASHES = ("/etc/shadow", "/etc/gshadow")
"""Files of which only the first sign of each password field is printed: `!` and `*` are locked."""
BUNDLES = {"/etc/ssl/certs/ca-certificates.crt"}
"""Files that consist of certificates of packages, whose digests are printed one by one."""
LOADER_CACHE = "/etc/ld.so.cache"
RUN_TIME_UNITS = re.compile(r"^/run/(systemd|user/\d+/systemd)/(generator(\.early|\.late)?|transient)/")
UNIT_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,FragmentPath,SourcePath,DropInPaths,NeedDaemonReload,Transient"
    ",ControlGroup,ExecStart"
)
NETWORK_TABLES = ("raw", "raw6", "icmp", "icmp6", "udplite", "udplite6", "packet", "unix", "sctp/eps", "vsock")
PICKLE = re.compile(r"^/var/lib/cloud/instances/[^/]+/obj\.pkl$")
"""What cloud-init stored about the cloud, and loads at each boot."""
INITRD = re.compile(r"^/boot/initrd\.img-[^/]+$")
"""The file system in memory from which a kernel starts; the package scripts put it together."""
COMPOSED = re.compile(r"^(conf/|scripts/[\w-]+/ORDER$|etc/ld\.so\.(cache|conf)|etc/fstab$)")
"""Members of it whose text the scripts compose."""
LARGEST_TEXT = 64 * 1024
MODULE_INDEX = re.compile(r"^/usr/lib/modules/([^/]+)/(modules\.[\w.]+)$")
GRUB_SETTINGS = "/boot/grub/grub.cfg"
EFI_SETTINGS = re.compile(r"^/boot/efi/EFI/[\w-]+/grub\.cfg$")
HARDWARE = "/usr/lib/udev/hwdb.bin"
HARDWARE_AGAIN = """mount -t tmpfs tmpfs /dev/shm; cd /dev/shm; mkdir new work; f=/usr/lib/udev
mount -t overlay -o lowerdir=$f,upperdir=new,workdir=work overlay $f; systemd-hwdb update --usr; sha256sum $f/hwdb.bin"""
"""Make the database of devices again, in a mount namespace of its own and in memory."""
COMPRESSED = {b"\x1f\x8b": gzip.decompress, b"\xfd7zXZ": lzma.decompress, b"]\0\0": lzma.decompress}
ZSTD = b"\x28\xb5\x2f\xfd"
BYTECODE = re.compile(r"^(.*)/__pycache__/([^/]+)\.cpython-\d+(?:\.opt-([12]))?\.pyc$")


def mount_points() -> dict[str, str]:
    """Return the file system type of each mount point; the last mount at a place counts."""
    found = {}
    for line in open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape"):
        fields = line.split()
        found[unescaped(fields[4])] = fields[fields.index("-") + 1]
    return found


def unescaped(text: str) -> str:
    """Return a path of the kernel's tables with its octal escapes replaced."""
    return re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits.group(1), 8)), text)


class Walk:
    """Lists and reads all files below `/`, on all file systems that have files of their own."""

    def __init__(self) -> None:
        self.files: list[list[object]] = []
        self.errors: list[list[str]] = []
        self.types = mount_points()
        self._seen: dict[tuple[int, int], str] = {}

    def fail(self, path: str, error: OSError) -> None:
        """Record what could not be read, except files that have gone in the meantime."""
        if error.errno not in {errno.ENOENT, errno.ESRCH}:
            self.errors.append([path, os.strerror(error.errno or 0)])

    def go(self, top: str) -> None:
        """List everything below `top`."""
        todo = [top]
        while todo:
            folder = todo.pop()
            try:
                with os.scandir(folder) as entries:
                    names = sorted(entry.name for entry in entries)
            except OSError as error:
                self.fail(folder, error)
                continue
            for name in names:
                path = folder.rstrip("/") + "/" + name
                try:
                    state = os.lstat(path)
                    self.add(path, state)
                except OSError as error:
                    self.fail(path, error)
                    continue
                if stat.S_ISDIR(state.st_mode) and self.types.get(path) not in PSEUDO:
                    todo.append(path)

    def add(self, path: str, state: os.stat_result) -> None:
        """Add one file: path, kind, mode, owner, group, size, digest or link, and what else is special about it."""
        kind, content, more = stat.S_IFMT(state.st_mode), "", {}
        letter = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p", stat.S_IFSOCK: "s"}.get(
            kind, "b" if stat.S_ISBLK(state.st_mode) else "c"
        )
        if letter == "l":
            content = os.readlink(path)
        elif letter == "f":
            content, state, more = self.read(path)
        if letter in "fd":
            for name in os.listxattr(path, follow_symlinks=False):
                # What systemd and the kernel note about journals and control groups has no effect on rights.
                if not name.startswith(("user.", "trusted.overlay.", "security.selinux")):
                    more[name] = os.getxattr(path, name, follow_symlinks=False).hex()
        row = [path, letter, stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid, state.st_size, content]
        self.files.append([*row, more] if more else row)

    def read(self, path: str) -> tuple[str, os.stat_result, dict[str, object]]:
        """Return the digest of a file, its state, and notes; an empty digest if it changed meanwhile or is too large."""
        more: dict[str, object] = {}
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            key = (before.st_dev, before.st_ino)
            if before.st_size > LARGEST:
                return "", before, {"note": "large"}
            keep = (
                path.endswith(".pyc")
                or path in BUNDLES
                or path == LOADER_CACHE
                or any_of(path, PICKLE, INITRD, EFI_SETTINGS)
            )
            if key in self._seen and not keep:
                return self._seen[key], before, more
            seen, parts, count = hashlib.sha256(), [], 0
            while part := os.read(descriptor, 1 << 20):
                seen.update(part)
                count += len(part)
                if keep:
                    parts.append(part)
                if count > LARGEST:
                    return "", before, {"note": "large"}
            after = os.fstat(descriptor)
            # The digest of what was there is printed too, as a log may change all the time.
            if count != after.st_size or (before.st_mtime_ns, before.st_ctime_ns) != (
                after.st_mtime_ns,
                after.st_ctime_ns,
            ):
                more["note"] = "changed while it was read"
            else:
                self._seen[key] = seen.hexdigest()
            data = b"".join(parts)
            if path in BUNDLES:
                more["parts"] = certificates(data)
            elif path == LOADER_CACHE or EFI_SETTINGS.match(path):
                more["hex"] = data.hex()
            elif PICKLE.match(path):
                more["names"] = names_in(data)
            elif INITRD.match(path):
                more["members"] = members(data)
            elif path.endswith(".pyc"):
                more["source"] = source_of(path, data)
            return seen.hexdigest(), after, more
        finally:
            os.close(descriptor)


def certificates(data: bytes) -> list[str]:
    """Return the digests of the certificates in a bundle, and of what is after the last one if there is anything."""
    end = b"-----END CERTIFICATE-----\n"
    *blocks, rest = data.split(end)
    return [hashlib.sha256(block + end).hexdigest() for block in blocks] + (
        [hashlib.sha256(rest).hexdigest()] if rest else []
    )


def source_of(path: str, data: bytes) -> str:
    """Return the source file from which this host's Python compiles exactly this bytecode; empty if there is none."""
    found = BYTECODE.match(path)
    if not found:
        return ""
    source = f"{found.group(1)}/{found.group(2)}.py"
    try:
        with open(source, "rb") as file:
            text = file.read()
        code = compile(text, source, "exec", dont_inherit=True, optimize=int(found.group(3) or 0))
        return source if marshal.loads(data[16:]) == code else ""  # noqa: S302 -- compared, not run
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, RecursionError):
        return ""


def names_in(data: bytes) -> list[str]:
    """Return the names of modules and objects that a stored object loads; `?` if it cannot be read to its end."""
    found, words = set(), []
    try:
        for code, value, _ in pickletools.genops(data):
            if code.name == "GLOBAL":
                found.add(str(value).replace(" ", "."))
            elif code.name == "STACK_GLOBAL":
                found.add(".".join(words[-2:]))
            elif isinstance(value, str):
                words.append(value)
            elif code.name in {"BINGET", "LONG_BINGET", "GET"}:
                words.append("?")  # a word that was used before: which one is not followed
    except (ValueError, IndexError):
        found.add("?")
    return sorted(found)


def any_of(path: str, *patterns: re.Pattern[str]) -> bool:
    """Whether a path matches one of the patterns."""
    return any(pattern.match(path) for pattern in patterns)


def members(data: bytes) -> list[list[object]]:
    """Return path, kind, mode and digest or target of each member of an initial file system; an empty list if it cannot be read.

    It is one or more archives in cpio's format `newc`, the last of which may be compressed. Small members that packages' scripts
    compose have their text, too.
    """
    try:
        return list(archives(data))
    except (ValueError, IndexError, EOFError, OSError, lzma.LZMAError, subprocess.CalledProcessError):
        return []


def archives(data: bytes) -> Iterator[list[object]]:
    """Yield the members of all archives in `data`; ValueError if there is something else between or after them."""
    place, ended = 0, True
    linked: dict[int, list[list[object]]] = {}
    while place < len(data):
        if data[place] == 0:
            place += 1  # archives are padded
            continue
        if data[place : place + 6] not in {b"070701", b"070702"}:
            if not ended:
                raise ValueError("an archive without an end")
            yield from archives(decompressed(data[place:]))
            return
        fields = [int(data[place + 6 + 8 * number : place + 14 + 8 * number], 16) for number in range(13)]
        inode, state, links, size, length = fields[0], fields[1], fields[4], fields[6], fields[11]
        name = data[place + 110 : place + 109 + length].decode("utf-8", "surrogateescape")
        begin = place + 110 + length
        begin += -begin % 4
        content = data[begin : begin + size]
        if len(content) != size or len(data) < begin or length < 2:
            raise ValueError("cut off")
        place = begin + size + -size % 4
        ended = name == "TRAILER!!!"
        if ended:
            if any(linked.values()):
                raise ValueError("a link without its file")
            continue
        letter = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}.get(stat.S_IFMT(state), "?")
        row: list[object] = [name, letter, stat.S_IMODE(state), ""]
        if letter == "l":
            row[3] = content.decode("utf-8", "surrogateescape")
        elif letter == "f" and links > 1 and not size:
            linked.setdefault(inode, []).append(row)  # its content follows with the last of its names
            continue
        elif letter == "f":
            row[3] = hashlib.sha256(content).hexdigest()
            if COMPOSED.match(name) and size <= LARGEST_TEXT:
                row.append(content.hex())
            for other in linked.pop(inode, []) if links > 1 else []:
                yield [*other[:3], *row[3:]]
        yield row
    if not ended:
        raise ValueError("an archive without an end")


def decompressed(data: bytes) -> bytes:
    """Return decompressed data; ValueError if the format is unknown."""
    if data.startswith(ZSTD):
        return subprocess.run(["/usr/bin/zstd", "-dcq"], input=data, capture_output=True, check=True).stdout
    for sign, unpack in COMPRESSED.items():
        if data.startswith(sign):
            return unpack(data)
    raise ValueError("unknown compression")


def made_again(files: list[list[object]]) -> dict[str, str]:
    """Return the digests of the indexes of kernel modules and of GRUB's settings, as Debian's programs make them now, by path."""
    paths = [str(path) for path, kind, *_ in files if kind == "f"]
    found = {}
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        if GRUB_SETTINGS in paths:
            found[GRUB_SETTINGS] = hashlib.sha256(command("/usr/sbin/grub-mkconfig").encode()).hexdigest()
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        if HARDWARE in paths:
            found[HARDWARE] = command("unshare", "--mount", "sh", "-ec", HARDWARE_AGAIN).split()[0]
    for kernel in sorted({match.group(1) for path in paths if (match := MODULE_INDEX.match(path))}):
        with (
            contextlib.suppress(OSError, subprocess.CalledProcessError),
            tempfile.TemporaryDirectory(dir="/dev/shm") as scratch,
        ):
            command("/usr/sbin/depmod", "--outdir", scratch, kernel)
            for folder, _, names in os.walk(scratch):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        digest = hashlib.file_digest(file, "sha256").hexdigest()
                    found[f"/usr/lib/modules/{kernel}/{name}"] = digest
    return found


def text(path: str) -> str:
    """Return a file's text, or an empty one if there is no such file."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
    return ""


def masked(path: str) -> str:
    """Return a file of password hashes with the first sign of each hash alone."""
    rows = [line.split(":") for line in text(path).splitlines()]
    return "\n".join(":".join([row[0], row[1][:1], *row[2:]]) for row in rows if len(row) > 1)


def packages() -> list[list[str]]:
    """Return name, version, architecture and state of each package that dpkg knows, and what it needs of other accounts."""
    found = []
    for block in text("/var/lib/dpkg/status").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", block, re.M))
        if "Package" in fields:
            found.append([fields.get(key, "") for key in ("Package", "Version", "Architecture", "Status")])
    return found


def lists() -> dict[str, list[str]]:
    """Return the paths that dpkg lists for each package."""
    folder = "/var/lib/dpkg/info"
    return {
        name[:-5]: text(f"{folder}/{name}").splitlines()
        for name in sorted(os.listdir(folder))
        if name.endswith(".list")
    }


def alternatives() -> dict[str, str]:
    """Return dpkg's record of each alternative."""
    folder = "/var/lib/dpkg/alternatives"
    return {name: text(f"{folder}/{name}") for name in sorted(os.listdir(folder))}


def processes(errors: list[list[str]]) -> list[dict[str, object]]:
    """Return the processes with a program: its file, arguments, account, control group and the files that it has mapped to run."""
    found = []
    own = os.getpid()
    for name in filter(str.isdigit, os.listdir("/proc")):
        top = f"/proc/{name}"
        try:
            program = os.readlink(f"{top}/exe")
        except OSError as error:
            # A kernel thread has no program; a process may have ended.
            if error.errno not in {errno.ENOENT, errno.ESRCH}:
                errors.append([top, os.strerror(error.errno or 0)])
            continue
        try:
            state = dict(line.split(":\t", 1) for line in text(f"{top}/status").splitlines() if ":\t" in line)
            maps = (line.split(None, 5) for line in text(f"{top}/maps").splitlines())
            mapped = sorted({fields[5] for fields in maps if len(fields) > 5 and "x" in fields[1]})
            entry: dict[str, object] = {
                "pid": int(name),
                "parent": int(state["PPid"]),
                "program": program,
                "arguments": text(f"{top}/cmdline").rstrip("\0").split("\0"),
                "uid": [int(word) for word in state["Uid"].split()],
                "group": text(f"{top}/cgroup").strip().rpartition("::")[2],
                "capabilities": [state["CapPrm"], state["CapEff"], state["CapBnd"], state["CapAmb"]],
                "mapped": [path for path in mapped if path not in {"[vdso]", "[vsyscall]"}],
                "self": int(name) == own,
            }
            if program.endswith(" (deleted)"):
                # The file can still be read: after an update it is the former version.
                with open(f"{top}/exe", "rb") as file:
                    entry["digest"] = hashlib.file_digest(file, "sha256").hexdigest()
            found.append(entry)
        except (OSError, KeyError):
            continue  # it has ended
    return found


def made_at_run_time(files: list[list[object]]) -> list[str]:
    """Return the paths of units that generators and logins made."""
    return [str(path) for path, kind, *_ in files if kind == "f" and RUN_TIME_UNITS.match(str(path))]


def command(*words: str) -> str:
    """Return the output of a program; CalledProcessError if it fails."""
    environment = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": ""}
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape")


def listed() -> Walk:
    """Return all files, with the digests of those that Debian's programs make again."""
    walk = Walk()
    walk.add("/", os.lstat("/"))
    walk.go("/")
    again = made_again(walk.files)
    for row in walk.files:
        if row[0] in again:
            row[7:] = [{**(row[7] if len(row) > 7 else {}), "made": again[str(row[0])]}]  # type: ignore[dict-item]
    return walk


def survey() -> dict[str, object]:
    """Return files, packages, units, processes, mounts, kernel modules, sockets, accounts, and what could not be read."""
    walk = listed()
    running = processes(walk.errors)
    return {
        "format": 1,
        "files": walk.files,
        "packages": packages(),
        "lists": lists(),
        "alternatives": alternatives(),
        "texts": {path: text(path) for path in [*TEXTS, *made_at_run_time(walk.files)]}
        | {path: masked(path) for path in HASHES},
        "diversions": text("/var/lib/dpkg/diversions"),
        "overrides": text("/var/lib/dpkg/statoverride"),
        "units": command("systemctl", "show", "--all", "--no-pager", f"--property={UNIT_PROPERTIES}", "*"),
        "processes": running,
        "mounts": text("/proc/1/mountinfo"),
        "modules": text("/proc/modules"),
        "tainted": text("/proc/sys/kernel/tainted").strip(),
        "kernel": os.uname().release,
        "sockets": {table: text(f"/proc/net/{table}") for table in NETWORK_TABLES},
        "errors": walk.errors,
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("usage: classroom-survey (it takes no argument)")
    with gzip.GzipFile(fileobj=sys.stdout.buffer, mode="wb", compresslevel=4, mtime=0) as out:
        out.write(json.dumps(survey()).encode())

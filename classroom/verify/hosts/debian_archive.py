"""Fetch Debian packages from the deployment's own mirror, check them against the signed lists, and keep their files' digests.

Nothing here comes from a host: a host only says which versions it has installed.
"""

import hashlib
import io
import json
import lzma
import re
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

import httpx
from debian.arfile import ArError, ArFile
from debian.debian_support import NativeVersion

from classroom.common.errors import UnknownError
from classroom.common.paths import CACHE
from classroom.common.whole_files import write_whole
from classroom.config import guest

KEPT = CACHE / "debian-packages"
"""Folder of fetched lists and of what is known of each package."""
KEYRINGS = tuple(Path("/usr/share/keyrings") / f"debian-archive-keyring.{end}" for end in ("pgp", "gpg"))
"""Debian's public keys on the operations team's machine, from its own package debian-archive-keyring."""
SECONDS = 30.0
LARGEST_TEXT = 256 * 1024
MERGED = re.compile(r"^/(bin|sbin|lib|lib64)/")
"""Folders at the top of a file system that are links to those in /usr."""
READ = re.compile(
    r"^/usr/lib/(sysusers\.d|tmpfiles\.d|systemd/(system|user)(-preset)?)/.*\.(conf|preset|service|socket|timer|path|mount|target)$"
    r"|^/usr/share/base-passwd/(passwd|group)\.master$"
)
"""Files of packages whose text is kept, because other files of a host follow from it."""
SCRIPTS = {
    "preinst",
    "postinst",
    "prerm",
    "postrm",
    "config",
    "triggers",
    "conffiles",
    "templates",
    "shlibs",
    "symbols",
    "md5sums",
}
"""Members of a package's control archive that dpkg keeps on the host."""


class PackageKey(NamedTuple):
    """Name, version and architecture of a package."""

    name: str
    version: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.architecture})"


class FileFact(NamedTuple):
    """What a file must be: its kind (f: file, d: folder, l: link), mode, owner, group, and its digest or the link's target."""

    kind: str
    mode: int
    owner: str
    group: str
    content: str


@dataclass(frozen=True)
class Contents:
    """What a package installs: its files by path, digests of its control files by name, and texts that other files follow from."""

    files: Mapping[str, FileFact]
    control: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    conffiles: frozenset[str] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it is kept."""
        return {
            "files": self.files,
            "control": self.control,
            "texts": self.texts,
            "conffiles": sorted(self.conffiles),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Contents":
        """Return what `as_json` has returned; KeyError or TypeError if it is something else."""
        files = {path: FileFact(*values) for path, values in data["files"].items()}
        return cls(files, data["control"], data["texts"], frozenset(data["conffiles"]))


class Listed(NamedTuple):
    """A package in a signed list: path below the archive's URL, SHA-256, size in bytes."""

    filename: str
    sha256: str
    size: int


class ArchiveError(Exception):
    """The archive cannot prove what a package contains; the message says why."""


def canonical(path: str) -> str:
    """Return a package's path as it is on a host with merged /usr, without a slash at its end."""
    path = "/" + path.removeprefix(".").strip("/")
    return "/usr" + path if MERGED.match(path + "/") and path.count("/") > 1 else path


def contents_of(package: BinaryIO) -> Contents:
    """Read a binary package; ArchiveError if it is damaged or of an unknown form."""
    try:
        members = {member.name: member for member in ArFile(fileobj=package).getmembers()}
        control: dict[str, str] = {}
        conffiles: frozenset[str] = frozenset()
        with _tar(members, "control.tar") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isfile() and (file := archive.extractfile(member)):
                    data = file.read()
                    control[name] = hashlib.sha256(data).hexdigest()
                    if name == "conffiles":
                        words = (line.split() for line in data.decode().splitlines())
                        conffiles = frozenset(canonical(w[0]) for w in words if len(w) == 1)
                    elif name == "postinst":
                        control["postinst-text"] = data.decode(errors="replace")
        files: dict[str, FileFact] = {}
        texts: dict[str, str] = {}
        with _tar(members, "data.tar") as archive:
            for member in archive:
                path = canonical(member.name)
                fact, text = _fact(archive, member, path, files)
                files[path] = fact
                if text is not None:
                    texts[path] = text
    except (ArError, tarfile.TarError, lzma.LZMAError, EOFError, OSError, UnicodeDecodeError, KeyError) as error:
        raise ArchiveError(f"the package is damaged or of an unknown form ({error!r})") from None
    texts["postinst"] = control.pop("postinst-text", "")
    return Contents(files, control, texts, conffiles)


def _tar(members: Mapping[str, Any], name: str) -> tarfile.TarFile:
    found = next((member for key, member in members.items() if key.startswith(f"{name}")), None)
    if found is None:
        raise ArchiveError(f"the package has no {name}")
    return tarfile.open(fileobj=io.BytesIO(found.read()), mode="r:*")


def _fact(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, before: Mapping[str, FileFact]
) -> tuple[FileFact, str | None]:
    mode, owner, group = stat.S_IMODE(member.mode), member.uname or str(member.uid), member.gname or str(member.gid)
    if member.isdir():
        return FileFact("d", mode, owner, group, ""), None
    if member.issym():
        return FileFact("l", 0o777, owner, group, member.linkname), None
    if member.islnk():
        return before[canonical(member.linkname)], None
    if not member.isfile():
        raise ArchiveError(f"{path} is neither file, folder nor link")
    file = archive.extractfile(member)
    assert file
    data = file.read()
    text = data.decode(errors="replace") if READ.match(path) and len(data) < LARGEST_TEXT else None
    return FileFact("f", mode, owner, group, hashlib.sha256(data).hexdigest()), text


def parse_packages(text: str, wanted: Callable[[str], bool]) -> dict[PackageKey, Listed]:
    """Return the packages of a list of an archive whose name is `wanted`."""
    found = {}
    for block in text.split("\n\n"):
        first = block.lstrip("\n").partition("\n")[0]
        if not wanted(first.removeprefix("Package: ")):
            continue
        fields = dict(re.findall(r"^(Package|Version|Architecture|Filename|Size|SHA256): (.*)$", block, re.M))
        key = PackageKey(fields["Package"], fields["Version"], fields["Architecture"])
        found[key] = Listed(fields["Filename"], fields["SHA256"], int(fields["Size"]))
    return found


def parse_release(text: str, suite: str, now: datetime) -> dict[str, tuple[str, int]]:
    """Return the files that a release names: path → (SHA-256, size); ArchiveError if it is of another suite or expired."""
    head, _, rest = text.partition("\nSHA256:\n")
    fields = dict(re.findall(r"^([\w-]+): (.*)$", head, re.M))
    if suite not in (fields.get("Codename"), fields.get("Suite")):
        raise ArchiveError(f"its release is of '{fields.get('Codename', '?')}', not of '{suite}'")
    if until := fields.get("Valid-Until"):
        # Debian writes UTC, which the format of dates in e-mails leaves without an offset.
        ends = parsedate_to_datetime(until.replace("UTC", "+0000"))
        if ends < now:
            raise ArchiveError(f"its release of '{suite}' expired on {ends:%Y-%m-%d}; the mirror is out of date")
    lines = re.findall(r"^ ([0-9a-f]{64}) +(\d+) (\S+)$", rest, re.M)
    if not lines:
        raise ArchiveError(f"its release of '{suite}' lists no file")
    return {path: (digest, int(size)) for digest, size, path in lines}


def verified(signed: bytes, keyring: Path) -> str:
    """Return the text that Debian signed; ArchiveError unless one of the keys in `keyring` made a signature."""
    with tempfile.TemporaryDirectory() as scratch:
        file, out = Path(scratch, "InRelease"), Path(scratch, "text")
        file.write_bytes(signed)
        command = ["gpgv", "--status-fd", "1", "--keyring", keyring, "--output", out, file]
        done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
        # Debian signs with several keys; this machine may not know the newest one yet.
        if b"[GNUPG:] GOODSIG " not in done.stdout or b"[GNUPG:] BADSIG " in done.stdout or not out.exists():
            raise ArchiveError(f"no key in {keyring} signed its release as it is")
        return out.read_text()


def find_keyring() -> Path:
    """Return Debian's keyring on this machine; UnknownError if there is none."""
    for path in KEYRINGS:
        if path.exists():
            return path
    raise UnknownError(f"{KEYRINGS[-1]} is missing: install the package debian-archive-keyring on this machine")


class Mirror:
    """The deployment's package mirror, at its declared addresses.

    `urls` maps each suite to the URL of its archive; with `addresses`, connections go there, and not to what DNS answers.
    """

    def __init__(self, urls: Mapping[str, str], addresses: Sequence[str] = (), keyring: Path | None = None) -> None:
        self._urls, self._addresses = dict(urls), list(addresses)
        self._keyring = keyring
        self._client = httpx.Client(timeout=SECONDS, follow_redirects=False, trust_env=not addresses)
        self.faults: dict[str, str] = {}
        """Suites whose lists cannot be used, with the reason."""

    def get(self, url: str) -> bytes:
        """Fetch a URL; ArchiveError says why it cannot be fetched."""
        parts = urlsplit(url)
        headers, extensions, targets = {}, {}, [url]
        if self._addresses:
            headers["host"] = parts.netloc
            extensions["sni_hostname"] = parts.hostname or ""
            shown = [f"[{a}]" if ":" in a else a for a in self._addresses]
            port = f":{parts.port}" if parts.port else ""
            targets = [parts._replace(netloc=f"{address}{port}").geturl() for address in shown]
        reason = "it has no address"
        for target in targets:
            try:
                answer = self._client.get(target, headers=headers, extensions=extensions)
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code == 200:
                return answer.content
            reason = f"HTTP status {answer.status_code}"
            break
        raise ArchiveError(f"{url} cannot be fetched ({reason})")

    def lists(self, architecture: str, names: Iterable[str]) -> dict[str, dict[PackageKey, Listed]]:
        """Return for each suite the packages with one of these names; what cannot be read is in `faults`."""
        wanted = frozenset(names)
        found: dict[str, dict[PackageKey, Listed]] = {}
        for suite in self._urls:
            try:
                found[suite] = parse_packages(self._list(suite, architecture), wanted.__contains__)
            except ArchiveError as error:
                self.faults[suite] = str(error)
        return found

    def _list(self, suite: str, architecture: str) -> str:
        url = f"{self._urls[suite]}/dists/{suite}"
        release = verified(self.get(f"{url}/InRelease"), self._keyring or find_keyring())
        name = f"main/binary-{architecture}/Packages.xz"
        listed = parse_release(release, suite, datetime.now(UTC)).get(name)
        if listed is None:
            raise ArchiveError(f"its release of '{suite}' does not list {name}")
        digest, _ = listed
        kept = KEPT / "lists" / f"{digest}.xz"
        data = kept.read_bytes() if kept.exists() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            data = self.get(f"{url}/main/binary-{architecture}/by-hash/SHA256/{digest}")
            if hashlib.sha256(data).hexdigest() != digest:
                raise ArchiveError(f"{name} of '{suite}' is not the file that its release names")
            for old in kept.parent.glob("*.xz") if kept.parent.exists() else ():
                if old.stat().st_mtime < datetime.now().timestamp() - 30 * 86400:
                    old.unlink(missing_ok=True)
            _keep(kept, data)
        return lzma.decompress(data).decode(errors="replace")

    def contents(self, suite: str, listed: Listed) -> Contents:
        """Fetch a package of a list and read it; ArchiveError if the mirror no longer serves it or it is another file."""
        if ".." in listed.filename:
            raise ArchiveError(f"its list names the path {listed.filename}")
        data = self.get(f"{self._urls[suite]}/{listed.filename}")
        if len(data) != listed.size or hashlib.sha256(data).hexdigest() != listed.sha256:
            raise ArchiveError(f"{listed.filename} is not the file that the signed list names")
        return contents_of(io.BytesIO(data))


@dataclass(frozen=True)
class Proven:
    """What is proven of installed packages: their contents; those not proven with the reason; newest versions by package and suite."""

    contents: Mapping[PackageKey, Contents]
    unproven: Mapping[PackageKey, str]
    newest: Mapping[str, Mapping[str, str]]

    @cached_property
    def former(self) -> Mapping[str, frozenset[str]]:
        """Digests of files in other versions that were proven earlier, by path: programs that an update replaced still run."""
        found: dict[str, set[str]] = {}
        for key in self.contents:
            for path in _kept_versions(key):
                if path.name != _kept_name(key):
                    for file, fact in Contents.from_json(json.loads(path.read_text())).files.items():
                        found.setdefault(file, set()).add(fact.content)
        return {path: frozenset(digests) for path, digests in found.items()}


def prove(installed: Iterable[PackageKey], mirror: Mirror, architecture: str) -> Proven:
    """Return what is proven of the installed packages: from earlier runs, or fetched from the mirror now."""
    keys = sorted(set(installed))
    lists = mirror.lists(architecture, {key.name for key in keys})
    found: dict[PackageKey, Contents] = {}
    unproven: dict[PackageKey, str] = {}
    places = {key: (suite, listed) for suite, inner in lists.items() for key, listed in inner.items()}

    def one(key: PackageKey) -> Contents | str:
        kept = KEPT / "packages" / key.name / _kept_name(key)
        try:
            return Contents.from_json(json.loads(kept.read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it was not fetched yet, or an interrupted run left something else
        if key not in places:
            faults = "; ".join(mirror.faults.values())
            return faults or "the mirror no longer serves this version"
        try:
            contents = mirror.contents(*places[key])
        except ArchiveError as error:
            return str(error)
        _keep(kept, json.dumps(contents.as_json()).encode())
        return contents

    with ThreadPoolExecutor(8) as pool:
        for key, answer in zip(keys, pool.map(one, keys), strict=True):
            if isinstance(answer, str):
                unproven[key] = answer
            else:
                found[key] = answer
    newest: dict[str, dict[str, str]] = {}
    for suite, inner in lists.items():
        for key in inner:
            before = newest.setdefault(key.name, {}).get(suite)
            if before is None or NativeVersion(before) < NativeVersion(key.version):
                newest[key.name][suite] = key.version
    return Proven(found, unproven, newest)


def suites(mirror: str, security: str) -> dict[str, str]:
    """Return the URL of the archive of each suite of the guest system."""
    name = guest.CODENAME
    return {name: mirror, f"{name}-updates": mirror, f"{name}-security": security}


def outdated(key: PackageKey, newest: Mapping[str, Mapping[str, str]]) -> str:
    """Return the newest version in the security archive if the installed one is older; otherwise an empty string."""
    latest = newest.get(key.name, {}).get(f"{guest.CODENAME}-security", "")
    return latest if latest and NativeVersion(key.version) < NativeVersion(latest) else ""


def _kept_name(key: PackageKey) -> str:
    version = key.version.replace(":", "%3a").replace("/", "%2f")
    return f"{key.name}_{version}_{key.architecture}.json"


def _kept_versions(key: PackageKey) -> list[Path]:
    return sorted((KEPT / "packages" / key.name).glob(f"*_{key.architecture}.json"))


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data, private=True)

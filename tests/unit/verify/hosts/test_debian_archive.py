"""Packages are believed only as far as Debian's signature reaches; damaged ones are refused by name."""

import datetime
import hashlib
import io
import tarfile
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classroom.verify.hosts import debian_archive
from classroom.verify.hosts.debian_archive import (
    ArchiveError,
    FileFact,
    Listed,
    Mirror,
    PackageKey,
    canonical,
    contents_of,
    outdated,
    parse_packages,
    parse_release,
    prove,
    verified,
)


def tar(members: list[tuple[str, bytes | str | None, int]]) -> bytes:
    """Return an archive of files (bytes), links (text) and folders (None) with their modes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        for name, content, mode in members:
            member = tarfile.TarInfo(name)
            member.mode, member.uname, member.gname = mode, "root", "root"
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def package(files: list[tuple[str, bytes | str | None, int]]) -> bytes:
    """Return a binary package with these files."""
    control = tar(
        [
            ("./control", b"Package: tool\n", 0o644),
            ("./postinst", b"#!/bin/sh\n", 0o755),
            ("./conffiles", b"/etc/tool.conf\n", 0o644),
        ]
    )
    out = b"!<arch>\n"
    for name, data in (("debian-binary", b"2.0\n"), ("control.tar.xz", control), ("data.tar.xz", tar(files))):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


FILES: list[tuple[str, bytes | str | None, int]] = [
    ("./bin/", None, 0o755),
    ("./bin/tool", b"tool", 0o4755),
    ("./usr/lib/systemd/system/tool.service", b"[Service]\n", 0o644),
    ("./etc/tool.conf", b"x = 1\n", 0o644),
    ("./usr/bin/other", "tool", 0o777),
]
DEB = package(FILES)


def test_a_package_is_read_with_modes_digests_and_texts() -> None:
    found = contents_of(io.BytesIO(DEB))
    assert found.files["/usr/bin/tool"] == FileFact("f", 0o4755, "root", "root", hashlib.sha256(b"tool").hexdigest())
    assert found.files["/usr/bin/other"] == FileFact("l", 0o777, "root", "root", "tool")
    assert found.control["postinst"] == hashlib.sha256(b"#!/bin/sh\n").hexdigest()
    assert found.texts["/usr/lib/systemd/system/tool.service"] == "[Service]\n"
    assert found.conffiles == {"/etc/tool.conf"}
    assert debian_archive.Contents.from_json(found.as_json()) == found


@given(st.integers(0, len(DEB) - 100))
@settings(max_examples=60, deadline=None)
def test_a_package_that_is_cut_off_is_refused(length: int) -> None:
    """The digest of the whole file is compared before; the last bytes of its compression are not read."""
    with pytest.raises(ArchiveError):
        contents_of(io.BytesIO(DEB[:length]))


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("./bin/x", "/usr/bin/x"),
        ("./lib/x/", "/usr/lib/x"),
        ("./bin/", "/bin"),
        ("./", "/"),
        ("./etc/x", "/etc/x"),
        ("./library", "/library"),
    ],
)
def test_paths_are_those_of_a_merged_system(path: str, wanted: str) -> None:
    assert canonical(path) == wanted


RELEASE = """Origin: Debian
Suite: stable-security
Codename: trixie-security
Valid-Until: Sat, 05 Dec 2026 02:53:01 UTC
MD5Sum:
 d41d8cd98f00b204e9800998ecf8427e 0 main/binary-amd64/Packages.xz
SHA256:
 {} 12 main/binary-amd64/Packages.xz
""".format("a" * 64)
NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


def test_a_release_names_its_files_until_it_expires() -> None:
    assert parse_release(RELEASE, "trixie-security", NOW) == {"main/binary-amd64/Packages.xz": ("a" * 64, 12)}
    with pytest.raises(ArchiveError, match="expired on 2026-12-05"):
        parse_release(RELEASE, "trixie-security", NOW + datetime.timedelta(days=9))
    with pytest.raises(ArchiveError, match="not of 'bookworm'"):
        parse_release(RELEASE, "bookworm", NOW)
    with pytest.raises(ArchiveError, match="lists no file"):
        parse_release(RELEASE.replace("SHA256:", "SHA512:"), "trixie-security", NOW)


PACKAGES = """Package: tool
Version: 1:1.0-1
Architecture: amd64
Filename: pool/main/t/tool.deb
Size: 5
SHA256: {}

Package: toolbox
Version: 2
Architecture: all
Filename: pool/main/t/toolbox.deb
Size: 6
SHA256: {}
""".format("b" * 64, "c" * 64)


def test_a_list_is_read_for_the_wanted_names_alone() -> None:
    found = parse_packages(PACKAGES, {"tool"}.__contains__)
    assert found == {PackageKey("tool", "1:1.0-1", "amd64"): Listed("pool/main/t/tool.deb", "b" * 64, 5)}


@pytest.mark.parametrize(
    "data", [b"", b"Origin: Debian\n", b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n"]
)
def test_what_no_key_signed_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="signed"):
        verified(data, debian_archive.KEYRINGS[-1])


class Serving(Mirror):
    """A mirror that serves from memory and counts what was fetched; its lists need no signature here."""

    def __init__(self, files: dict[str, bytes], listed: dict[PackageKey, Listed]) -> None:
        super().__init__({"trixie": "http://mirror.example/debian"}, ["192.0.2.1"])
        self._files, self._listed, self.fetched = files, listed, list[str]()

    def lists(self, architecture: str, names: object) -> dict[str, dict[PackageKey, Listed]]:
        return {"trixie": self._listed}

    def get(self, url: str) -> bytes:
        self.fetched.append(url)
        if url not in self._files:
            raise ArchiveError(f"{url} cannot be fetched (HTTP status 404)")
        return self._files[url]


KEY = PackageKey("tool", "1.0", "amd64")
URL = "http://mirror.example/debian/pool/tool.deb"
GOOD = Listed("pool/tool.deb", hashlib.sha256(DEB).hexdigest(), len(DEB))


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(debian_archive, "KEPT", tmp_path)
    return tmp_path


def test_a_package_is_fetched_once_and_stays_proven() -> None:
    mirror = Serving({URL: DEB}, {KEY: GOOD})
    assert "/usr/bin/tool" in prove([KEY], mirror, "amd64").contents[KEY].files
    again = Serving({}, {})
    assert "/usr/bin/tool" in prove([KEY], again, "amd64").contents[KEY].files
    assert (len(mirror.fetched), again.fetched) == (1, [])


def test_a_damaged_record_is_fetched_again(kept: Path) -> None:
    prove([KEY], Serving({URL: DEB}, {KEY: GOOD}), "amd64")
    (record,) = kept.rglob("*.json")
    record.write_text(record.read_text()[:100])
    mirror = Serving({URL: DEB}, {KEY: GOOD})
    assert KEY in prove([KEY], mirror, "amd64").contents
    assert len(mirror.fetched) == 1


@pytest.mark.parametrize(
    ("listed", "files", "reason"),
    [
        ({}, {}, "the mirror no longer serves this version"),
        ({KEY: GOOD}, {}, "cannot be fetched"),
        ({KEY: GOOD}, {URL: DEB + b"\n"}, "is not the file that the signed list names"),
        ({KEY: GOOD._replace(sha256="0" * 64)}, {URL: DEB}, "is not the file that the signed list names"),
        ({KEY: GOOD._replace(filename="pool/../../x.deb")}, {}, "names the path"),
    ],
)
def test_what_the_archive_does_not_prove_is_named(
    listed: dict[PackageKey, Listed], files: dict[str, bytes], reason: str
) -> None:
    found = prove([KEY], Serving(files, listed), "amd64")
    assert found.contents == {}
    assert reason in found.unproven[KEY]


def test_files_of_former_versions_stay_known() -> None:
    prove([KEY], Serving({URL: DEB}, {KEY: GOOD}), "amd64")
    new, deb = PackageKey("tool", "1.1", "amd64"), package([("./usr/bin/tool", b"new", 0o755)])
    listed = Listed("pool/tool.deb", hashlib.sha256(deb).hexdigest(), len(deb))
    found = prove([new], Serving({URL: deb}, {new: listed}), "amd64")
    assert hashlib.sha256(b"tool").hexdigest() in found.former["/usr/bin/tool"]


def test_a_version_older_than_the_security_archives_is_outdated() -> None:
    newest = {"nginx": {"trixie": "1.26.3-3", "trixie-security": "1.26.3-3+deb13u10"}}
    assert outdated(PackageKey("nginx", "1.26.3-3+deb13u9", "amd64"), newest) == "1.26.3-3+deb13u10"
    assert outdated(PackageKey("nginx", "1.26.3-3+deb13u10", "amd64"), newest) == ""
    assert outdated(PackageKey("valkey-server", "8", "amd64"), newest) == ""


def test_the_mirror_is_asked_at_its_declared_addresses() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.host, request.headers["host"]))
        if request.url.host == "192.0.2.1":
            raise httpx.ConnectError("refused")
        return httpx.Response(302 if request.url.path == "/moved" else 200, content=b"data")

    mirror = Mirror({}, ["192.0.2.1", "2001:db8::1"])
    mirror._client = httpx.Client(transport=httpx.MockTransport(answer))
    assert mirror.get("http://mirror.example:3142/debian") == b"data"
    assert asked == [("192.0.2.1", "mirror.example:3142"), ("2001:db8::1", "mirror.example:3142")]
    with pytest.raises(ArchiveError, match="status 302"):
        mirror.get("http://mirror.example:3142/moved")

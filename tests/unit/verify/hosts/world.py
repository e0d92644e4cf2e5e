"""A small sound host: packages, roles, rules of the project, and its survey."""

import hashlib
from collections.abc import Mapping
from typing import Any

from classroom.configure.role_files import RoleFile, RoleState
from classroom.verify.hosts.debian_archive import Contents, FileFact, PackageKey, Proven
from classroom.verify.hosts.file_judgement import Known
from classroom.verify.hosts.host_survey import Survey, SurveyedFile
from classroom.verify.hosts.written_files import load_rules


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def packaged(text: str, mode: int = 0o644) -> FileFact:
    return FileFact("f", mode, "root", "root", sha(text))


FOLDER = FileFact("d", 0o755, "root", "root", "")
TOOL = PackageKey("tool", "1.0-1", "amd64")
UNIT = "[Service]\nExecStart=/usr/bin/tool\n[Install]\nWantedBy=multi-user.target\n"
CONTENTS = {
    TOOL: Contents(
        {
            "/usr": FOLDER,
            "/usr/bin": FOLDER,
            "/usr/bin/tool": packaged("tool", 0o755),
            "/usr/bin/wall": FileFact("f", 0o2755, "root", "tty", sha("wall")),
            "/usr/bin/other": FileFact("l", 0o777, "root", "root", "tool"),
            "/etc/tool.conf": packaged("settings"),
            "/usr/lib/systemd/system/tool.service": packaged(UNIT),
            "/usr/lib/python3/dist-packages/tool.py": packaged("import os"),
            "/usr/share/doc/tool/changelog": packaged("left out"),
            "/usr/lib/x86_64-linux-gnu/libtool.so.1": packaged("library"),
            "/usr/share/ca-certificates/mozilla/One.crt": packaged("one"),
        },
        control={"postinst": sha("postinst")},
        texts={
            "postinst": "deb-systemd-helper enable 'tool.service'\nupdate-alternatives --install /usr/bin/pager pager /usr/bin/tool 5",
            "/usr/lib/systemd/system/tool.service": UNIT,
            "/usr/share/base-passwd/passwd.master": "root:x:0:0:root:/root:/bin/bash\n",
            "/usr/share/base-passwd/group.master": "root:x:0:\ntty:x:5:\nshadow:x:42:\n",
            "/usr/lib/sysusers.d/tool.conf": "u tool - - /\n",
        },
    )
}
ROLES = RoleState(
    files={
        "/etc/classroom": RoleFile("d", 0o755, "root", "root", ""),
        "/etc/classroom/portal.json": RoleFile("f", 0o644, "root", "root", sha("{}")),
        "/etc/classroom/secret": RoleFile("f", 0o640, "root", "portal", sha("secret")),
        "/srv/classroom": RoleFile("l", 0o777, "root", "root", "classroom-1"),
    },
    absent={"/etc/classroom/old"},
    accounts={"portal": {"name": "portal"}},
    groups={"classroom-admins"},
    enabled={"portal"},
)
PASSWD = """root:x:0:0:root:/root:/bin/bash
portal:x:993:991::/nonexistent:/usr/sbin/nologin
tool:x:994:992::/:/usr/sbin/nologin
debian:x:1000:1000::/home/debian:/usr/sbin/nologin
verifier:x:1001:1001::/home/verifier:/bin/bash
ada:x:1002:1002::/home/ada:/bin/bash
"""
GROUP = """root:x:0:
tty:x:5:
shadow:x:42:
portal:x:991:
tool:x:992:
debian:x:1000:
verifier:x:1001:
ada:x:1002:
classroom-admins:x:995:ada
"""
IDS = {"root": 0, "portal": 993, "ada": 1002}
GROUPS = {"root": 0, "tty": 5, "portal": 991, "shadow": 42, "ada": 1002}


def loader_cache(entries: Mapping[str, str]) -> bytes:
    """Return the loader's cache with these libraries."""
    import struct

    strings, table = b"", b""
    start = 48 + 24 * len(entries)
    for name, path in entries.items():
        key = start + len(strings)
        strings += name.encode() + b"\0"
        value = start + len(strings)
        strings += path.encode() + b"\0"
        table += struct.pack("<iIIIQ", 3, key, value, 0, 0)
    head = b"glibc-ld.so.cache1.1" + struct.pack("<II", len(entries), len(strings)) + b"\0" * 20
    return head + table + strings


def row(path: str, fact: FileFact | RoleFile, **more: Any) -> SurveyedFile:
    return SurveyedFile(path, fact.kind, fact.mode, IDS[fact.owner], GROUPS[fact.group], 1, fact.content or "", more)


def written(path: str, mode: int, text: str = "?", owner: str = "root", group: str = "", **more: Any) -> SurveyedFile:
    return SurveyedFile(path, "f", mode, IDS[owner], GROUPS[group or owner], 1, sha(text), more)


def link(path: str, target: str) -> SurveyedFile:
    return SurveyedFile(path, "l", 0o777, 0, 0, 1, target, {})


def sound_files() -> list[SurveyedFile]:
    """Return the files of the sound host; some follow from packages or are written by Debian."""
    left_out = "/usr/share/doc/tool/changelog"
    found = [row(path, fact) for path, fact in CONTENTS[TOOL].files.items() if path != left_out]
    found += [row(path, fact) for path, fact in ROLES.files.items()]
    pyc = "/usr/lib/python3/dist-packages/__pycache__/tool.cpython-313.pyc"
    cache = loader_cache({"libtool.so.1": "/lib/x86_64-linux-gnu/libtool.so.1"})
    return [
        *found,
        written(pyc, 0o644, source="/usr/lib/python3/dist-packages/tool.py"),
        written("/etc/ld.so.cache", 0o644, hex=cache.hex()),
        written("/etc/ssl/certs/ca-certificates.crt", 0o644, parts=[sha("one")]),
        written("/var/lib/dpkg/info/tool.postinst", 0o755, "postinst"),
        written("/var/lib/dpkg/status", 0o644),
        written("/etc/shadow", 0o640, group="shadow"),
        link("/etc/systemd/system/multi-user.target.wants/tool.service", "/usr/lib/systemd/system/tool.service"),
        link("/etc/alternatives/pager", "/usr/bin/tool"),
        link("/usr/bin/pager", "/etc/alternatives/pager"),
        SurveyedFile("/home/ada", "d", 0o700, 1002, 1002, 1, "", {}),
    ]


def survey_of(files: list[SurveyedFile] | None = None, **changes: Any) -> Survey:
    """Return the sound host's survey, with changes of its parts."""
    values: dict[str, Any] = {
        "format": 1,
        "files": [list(file) for file in (sound_files() if files is None else files)],
        "packages": [[*TOOL, "install ok installed"]],
        "lists": {"tool": list(CONTENTS[TOOL].files)},
        "texts": {
            "/etc/passwd": PASSWD,
            "/etc/group": GROUP,
            "/etc/shadow": "root:*:1\nada:!:1\n",
            "/etc/subuid": "ada:100000:65536\n",
        },
        "diversions": "",
        "overrides": "",
        "alternatives": {},
        "units": "Id=ssh.service\nLoadState=loaded\nFragmentPath=/usr/lib/systemd/system/tool.service\nNeedDaemonReload=no\nTransient=no\n",
        "processes": [],
        "mounts": "1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 0:1 / /proc rw - proc proc rw\n",
        "modules": "",
        "tainted": "0",
        "kernel": "6.12.0",
        "sockets": {},
        "errors": [],
        **changes,
    }
    return Survey.model_validate(values)


def known(**changes: Any) -> Known:
    """Return what the operations team's machine knows of the sound host."""
    values: dict[str, Any] = {"proven": Proven(CONTENTS, {}, {}), "roles": ROLES, "rules": load_rules(), "image": {}}
    return Known(**{**values, **changes})

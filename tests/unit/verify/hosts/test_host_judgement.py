"""Units, processes, mounts, modules, accounts and sockets: a sound host has no fault, and each strange thing is named."""

from typing import Any

import pytest

from classroom.verify.hosts.file_judgement import FileFindings
from classroom.verify.hosts.host_judgement import (
    judge_accounts,
    judge_modules,
    judge_mounts,
    judge_processes,
    judge_sockets,
    judge_units,
)
from tests.unit.verify.hosts.world import CONTENTS, GROUP, PASSWD, TOOL, known, survey_of

GOOD = FileFindings(
    good={
        *CONTENTS[TOOL].files,
        "/usr/lib/openssh/sshd-session",
        "/usr/bin/bash",
        "/usr/bin/python3.13",
        "/usr/lib/systemd/systemd",
    }
)
UNIT = {
    "Id": "tool.service",
    "LoadState": "loaded",
    "ActiveState": "active",
    "FragmentPath": "/usr/lib/systemd/system/tool.service",
    "DropInPaths": "",
    "SourcePath": "",
    "NeedDaemonReload": "no",
    "Transient": "no",
    "ControlGroup": "/system.slice/tool.service",
    "ExecStart": "{ path=/usr/bin/tool ; argv[]=/usr/bin/tool -x ; ignore_errors=no ; }",
}
SSH = {**UNIT, "Id": "ssh.service", "ControlGroup": "/system.slice/ssh.service"}


def units(*blocks: dict[str, str]) -> str:
    return "\n".join("".join(f"{key}={value}\n" for key, value in block.items()) for block in blocks)


def process(**changes: Any) -> dict[str, Any]:
    values = {
        "pid": 10,
        "parent": 1,
        "program": "/usr/bin/tool",
        "arguments": ["/usr/bin/tool", "-x"],
        "uid": [0, 0, 0, 0],
        "group": "/system.slice/tool.service",
        "capabilities": ["0", "0", "0", "0"],
        "mapped": ["/usr/lib/x86_64-linux-gnu/libtool.so.1"],
        "self": False,
    }
    return values | changes


INIT = process(
    pid=1, parent=0, program="/usr/lib/systemd/systemd", arguments=["/sbin/init"], group="/init.scope", mapped=[]
)


def processes(*more: dict[str, Any], unit: dict[str, str] = UNIT) -> list[str]:
    survey = survey_of(units=units(SSH, unit), processes=[INIT, *more])
    return judge_processes(survey, known(), GOOD, ["verifier", "ada"])


def test_sound_units_have_no_fault() -> None:
    assert judge_units(survey_of(units=units(SSH, UNIT)), GOOD) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"FragmentPath": "/etc/systemd/system/tool.service"}, "which is not accounted for"),
        ({"DropInPaths": "/etc/systemd/system/tool.service.d/x.conf"}, "x.conf, which is not accounted for"),
        ({"SourcePath": "/etc/init.d/evil"}, "/etc/init.d/evil"),
        ({"NeedDaemonReload": "yes"}, "other settings than its files"),
        ({"FragmentPath": ""}, "active without a file"),
        ({"Transient": "yes"}, "made at run time"),
        ({"LoadState": "bad-setting"}, "cannot be loaded"),
    ],
)
def test_strange_units_are_named(change: dict[str, str], fault: str) -> None:
    (found,) = judge_units(survey_of(units=units(SSH, UNIT | change)), GOOD)
    assert found.startswith("tool.service: ") and fault in found


def test_an_incomplete_list_of_units_is_a_fault() -> None:
    assert judge_units(survey_of(units=""), GOOD)


def test_sound_processes_have_no_fault() -> None:
    login = "/user.slice/user-1002.slice/session-3.scope"
    idle = process(pid=11, program="/usr/lib/openssh/sshd-session", arguments=["sshd-session: ada"], group=login)
    shell = process(pid=12, program="/usr/bin/bash", arguments=["-bash"], group=login)
    ours = process(pid=13, program="/usr/bin/tool", group=login.replace("1002", "1001"))
    assert processes(process(), idle, shell, ours) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"program": "/tmp/miner"}, "runs /tmp/miner, which is not accounted for"),
        ({"program": "/usr/bin/tool (deleted)", "digest": "0" * 64}, "in no version that was proven"),
        ({"program": "/memfd:x (deleted)", "digest": "0" * 64}, "in no version that was proven"),
        ({"mapped": ["/tmp/hook.so"]}, "has loaded /tmp/hook.so"),
        ({"mapped": ["/tmp/hook.so (deleted)"]}, "has loaded /tmp/hook.so"),
        ({"mapped": ["/memfd:code (deleted)"]}, "code that is in no file"),
        ({"group": "/system.slice/gone.service"}, "that of no unit"),
        ({"group": "/"}, "that of no unit"),
        ({"group": "/init.scope"}, "in the group of systemd itself"),
        ({"program": "/usr/bin/bash"}, "is not a program that tool.service starts"),
        ({"group": "/user.slice/user-1002.slice/session-3.scope"}, "runs in a login of ada"),
        ({"group": "/user.slice/user-1003.slice/session-3.scope"}, "which may not log in"),
    ],
)
def test_strange_processes_are_named(change: dict[str, Any], fault: str) -> None:
    found = processes(process(**change))
    assert any(fault in line and "process 10 " in line for line in found), found


def test_an_interpreter_runs_only_what_its_unit_names() -> None:
    unit = UNIT | {"ExecStart": "{ path=/usr/bin/python3.13 ; argv[]=/usr/bin/python3.13 -m portal ; x }"}
    python = {"program": "/usr/bin/python3.13", "mapped": []}
    assert processes(process(**python, arguments=["/usr/bin/python3.13", "-m", "portal"]), unit=unit) == []
    assert processes(process(**python, arguments=["/usr/bin/python3.13", "-c", "evil"]), unit=unit) != []


@pytest.mark.parametrize(
    "line",
    [
        "3 1 8:2 / /srv/classroom rw - ext4 /dev/vdb rw",
        "3 1 0:9 / /etc/ssh rw - tmpfs tmpfs rw",
        "3 1 0:9 / /proc/1234 rw - tmpfs tmpfs rw",
        "3 1 0:9 / /usr/bin/sudo rw - overlay overlay rw",
        "3 1 0:9 / /mnt rw - nfs4 host:/x rw",
        "nonsense",
    ],
)
def test_strange_mounts_are_named(line: str) -> None:
    survey = survey_of()
    assert judge_mounts(survey, known()) == []
    assert len(judge_mounts(survey_of(mounts=f"{survey.mounts}{line}\n"), known())) == 1
    assert judge_mounts(survey_of(mounts=""), known()) != []


def test_mounts_of_a_container_are_expected_at_their_places_alone() -> None:
    sound = survey_of().mounts
    for place, kind in (("/proc/meminfo", "fuse"), ("/dev/tty1", "devpts"), ("/proc/sys/kernel/sysrq", "tmpfs")):
        assert judge_mounts(survey_of(mounts=f"{sound}9 1 0:9 / {place} rw - {kind} x rw\n"), known()) == []
        for other in ("/etc/motd", f"{place}1"):
            line = f"9 1 0:9 / {other} rw - {kind} x rw\n"
            assert (judge_mounts(survey_of(mounts=sound + line), known()) == []) == other.startswith("/proc/sys"), line


def test_kernel_modules_are_those_of_the_kernels_package() -> None:
    own = known()
    own.packaged["/usr/lib/modules/6.12.0/kernel/net/nf-tables.ko.xz"] = []
    assert judge_modules(survey_of(modules="nf_tables 1 0 - Live 0x0\n"), own) == []
    assert judge_modules(survey_of(modules="nf_tables 1 0\nrootkit 1 0\n"), own) == [
        "rootkit: is no module of a package of kernel 6.12.0"
    ]
    assert judge_modules(survey_of(tainted="4096"), own) != []
    assert judge_modules(survey_of(tainted=""), own) != []


def accounts(**texts: str) -> list[str]:
    survey = survey_of()
    named = {
        "passwd": "/etc/passwd",
        "group": "/etc/group",
        "shadow": "/etc/shadow",
        "gshadow": "/etc/gshadow",
        "subuid": "/etc/subuid",
    }
    changed = {**survey.texts, **{named[key]: text for key, text in texts.items()}}
    return judge_accounts(survey_of(texts=changed), known(), "debian", ["ada"], "verifier")


def test_sound_accounts_have_no_fault() -> None:
    assert accounts() == []


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ({"passwd": PASSWD + "mallory:x:1005:1005::/home/mallory:/bin/bash\n"}, "mallory: no package, role or image"),
        ({"passwd": PASSWD + "sshd2:x:90:90::/:/usr/sbin/nologin\n"}, "sshd2: no package, role or image"),
        ({"passwd": PASSWD.replace("tool:x:994", "tool:x:0")}, "tool: shares its ID 0"),
        (
            {"passwd": PASSWD.replace("root:x:0:0:root:/root:/bin/bash", "root:x:0:0:root:/root:/bin/sh")},
            "root: has ID 0",
        ),
        (
            {
                "passwd": PASSWD.replace(
                    "portal:x:993:991::/nonexistent:/usr/sbin/nologin", "portal:x:993:991::/:/bin/bash"
                )
            },
            "portal: has ID",
        ),
        ({"passwd": PASSWD.replace("/home/debian:/usr/sbin/nologin", "/home/debian:/bin/bash")}, "debian: has ID"),
        ({"passwd": PASSWD.replace("/home/ada:", "/tmp:")}, "ada: has ID"),
        (
            {"passwd": PASSWD.replace("portal:x:993:991::/nonexistent:/usr/sbin/nologin\n", "")},
            "portal: this account is missing",
        ),
        ({"passwd": PASSWD + "broken\n"}, "a line is no account"),
        ({"group": GROUP + "wheel:x:999:\n"}, "group wheel: no package"),
        ({"group": GROUP.replace("shadow:x:42:", "shadow:x:42:portal")}, "group shadow (42): has the members portal"),
        ({"group": GROUP.replace(":995:ada", ":995:ada,portal")}, "group classroom-admins"),
        ({"shadow": "ada:$:1\n"}, "ada has a password"),
        ({"shadow": "ada::1\n"}, "ada has a password"),
        ({"gshadow": "root:*:mallory:\n"}, "has an administrator"),
        ({"subuid": "ada:0:65536\n"}, "ada:0:65536"),
        ({"subuid": "portal:100000:65536\n"}, "portal:100000"),
    ],
)
def test_strange_accounts_are_named(texts: dict[str, str], fault: str) -> None:
    assert any(fault in line for line in accounts(**texts)), accounts(**texts)


HEAD = "sl local rem st tx tr retrnsmt uid\n"


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("raw", "0: 0 0 07 0 0 0 0 0 1"),
        ("raw6", "0: 0 0 07 0 0 0 0 0 1"),
        ("packet", "ffff 3 3 0003 2 1 0 0 99"),
        ("vsock", "1:7"),
        ("unix", "0: 00000002 00000000 00010000 0001 01 9 @evil"),
        ("unix", "0: 00000002 00000000 00010000 0001 01 9 /tmp/deleted"),
    ],
)
def test_strange_sockets_are_named(table: str, line: str) -> None:
    assert judge_sockets(survey_of()) == []
    assert len(judge_sockets(survey_of(sockets={table: HEAD + line + "\n"}))) == 1


def test_an_open_socket_of_a_file_is_sound() -> None:
    assert judge_sockets(survey_of(sockets={"unix": HEAD + "0: 2 0 00010000 1 1 9 /usr/bin/tool\n"})) == []

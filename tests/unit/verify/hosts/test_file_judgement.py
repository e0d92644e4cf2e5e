"""Every change of a sound host's files is named; a sound host has no fault."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classroom.configure.role_files import RoleFile, RoleState
from classroom.verify.hosts.debian_archive import PackageKey, Proven
from classroom.verify.hosts.file_judgement import judge_files, loader_entries
from classroom.verify.hosts.host_survey import SurveyedFile
from tests.unit.verify.hosts.world import (
    CONTENTS,
    ROLES,
    TOOL,
    known,
    link,
    loader_cache,
    sha,
    sound_files,
    survey_of,
    written,
)

SOUND = sound_files()
FREE = {"/var/lib/dpkg/status", "/etc/shadow"}
"""Files whose content Debian writes."""


def faults(files: list[SurveyedFile], **changes: object) -> list[str]:
    return judge_files(survey_of(files), known(**changes)).faults


def named(found: list[str], path: str) -> bool:
    return any(line.startswith(f"{path}: ") for line in found)


def test_a_sound_host_has_no_fault() -> None:
    found = judge_files(survey_of(), known())
    assert found.faults == []
    assert found.unproven == {}
    assert found.good == {file.path for file in SOUND}


def changed(file: SurveyedFile, kind: str) -> SurveyedFile | None:
    """Return a file with one thing changed; None if this file has no such thing."""
    if kind == "content":
        return (
            file._replace(content=sha("other"))
            if file.kind == "f" and file.path not in FREE and not file.more
            else None
        )
    if kind == "target":
        return file._replace(content="/usr/bin/evil") if file.kind == "l" else None
    if kind == "mode":
        return file._replace(mode=file.mode | 0o4002) if file.kind != "l" else None
    if kind == "owner":
        return file._replace(uid=994, gid=992) if file.kind != "l" else None
    if kind == "kind":
        return file._replace(kind="l" if file.kind != "l" else "f", content="/tmp/evil")
    if kind == "capability":
        return file._replace(more={**file.more, "security.capability": "0100"}) if file.kind == "f" else None
    source = {
        "source": "",
        "hex": loader_cache({"libtool.so.1": "/lib/evil/libtool.so.1"}).hex(),
        "parts": [sha("evil")],
    }
    return file._replace(more={key: source[key] for key in file.more}) if file.more else None


CHANGES = [
    (number, kind)
    for kind in ("content", "target", "mode", "owner", "kind", "capability", "origin")
    for number, file in enumerate(SOUND)
    if changed(file, kind) is not None
]


@pytest.mark.parametrize(("number", "kind"), CHANGES, ids=lambda value: str(value))
def test_each_change_of_a_file_is_named(number: int, kind: str) -> None:
    new = changed(SOUND[number], kind)
    assert new
    found = faults([*SOUND[:number], new, *SOUND[number + 1 :]])
    assert named(found, new.path), found


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([file.path for file in SOUND if file.path in CONTENTS[TOOL].files or file.path in ROLES.files]))
def test_each_missing_file_is_named(path: str) -> None:
    found = faults([file for file in SOUND if file.path != path])
    folder = next(file for file in SOUND if file.path == path).kind == "d" and path in CONTENTS[TOOL].files
    assert named(found, path) or folder


PLACES = [
    "/etc/ld.so.preload",
    "/etc/cron.d/job",
    "/etc/sudoers.d/more",
    "/etc/profile.d/more.sh",
    "/etc/udev/rules.d/9.rules",
    "/etc/tmpfiles.d/more.conf",
    "/etc/sysctl.d/99-more.conf",
    "/etc/ssh/sshd_config.d/00.conf",
    "/etc/systemd/system/more.service",
    "/etc/systemd/system/ssh.service.d/more.conf",
    "/etc/pam.d/more",
    "/run/systemd/system/more.service",
    "/run/systemd/generator/more.service",
    "/run/systemd/transient/more.service",
    "/run/udev/rules.d/9.rules",
    "/usr/bin/more-evil",
    "/usr/local/bin/more",
    "/usr/lib/systemd/system-generators/more",
    "/usr/lib/modules/6.12.0/extra/more.ko",
    "/root/.ssh/authorized_keys",
    "/root/.bash_profile",
    "/home/ada/.ssh/authorized_keys",
    "/home/ada/.ssh/rc",
    "/home/ada/.config/systemd/user/more.service",
    "/var/spool/cron/crontabs/root",
    "/var/lib/cloud/scripts/per-boot/more.sh",
    "/var/log/more",
    "/srv/classroom-1/more.js",
    "/opt/more",
    "/tmp/more",
    "/dev/shm/more",
    "/dev/more",
    "/boot/more",
    "/more",
]


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(PLACES), st.sampled_from([0o644, 0o755, 0o4755, 0o600]), st.sampled_from(["root", "ada"]))
def test_each_added_file_is_named(path: str, mode: int, owner: str) -> None:
    assert named(faults([*SOUND, written(path, mode, owner=owner)]), path)


@settings(deadline=None, max_examples=50)
@given(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8), st.sampled_from(["", ".d"])
)
def test_a_file_anywhere_is_named(name: str, end: str) -> None:
    for folder in ("/etc", "/usr/lib", "/usr/sbin", "/var/lib", "/run", "/usr/local/lib"):
        assert named(faults([*SOUND, written(f"{folder}/x-{name}{end}", 0o644)]), f"{folder}/x-{name}{end}")


def test_a_changed_file_that_a_role_wrote_is_named_although_a_package_has_it() -> None:
    roles = RoleState(files={"/etc/tool.conf": RoleFile("f", 0o644, "root", "root", sha("ours"))})
    others = [file for file in SOUND if file.path not in ROLES.files]
    assert named(faults(others, roles=roles), "/etc/tool.conf")
    ours = [file._replace(content=sha("ours")) if file.path == "/etc/tool.conf" else file for file in others]
    assert not named(faults(ours, roles=roles), "/etc/tool.conf")


def test_a_file_that_the_roles_remove_is_named() -> None:
    assert named(faults([*SOUND, written("/etc/classroom/old", 0o640)]), "/etc/classroom/old")


def test_a_package_that_is_not_proven_is_named_and_its_files_are_no_fault() -> None:
    other = PackageKey("gone", "1", "all")
    survey = survey_of([*SOUND, written("/usr/bin/gone", 0o755)], lists={"gone": ["/usr/bin/gone"], "tool": []})
    found = judge_files(survey, known(proven=Proven(CONTENTS, {other: "the mirror no longer serves this version"}, {})))
    assert found.faults == []
    assert found.unproven == {"gone 1 (all): the mirror no longer serves this version": ["/usr/bin/gone"]}
    assert "/usr/bin/gone" not in found.good
    # What a host claims for a proven package is not believed.
    claimed = survey_of([*SOUND, written("/usr/bin/gone", 0o755)], lists={"tool": ["/usr/bin/gone"]})
    assert named(judge_files(claimed, known()).faults, "/usr/bin/gone")


def test_unknown_secrets_are_not_proven() -> None:
    files = {**ROLES.files, "/etc/classroom/secret": RoleFile("f", 0o640, "root", "portal", None)}
    found = judge_files(survey_of(), known(roles=RoleState(files=files)))
    assert found.faults == [] and found.unproven == {"contents of secrets": ["/etc/classroom/secret"]}


@pytest.mark.parametrize("note", ["changed while it was read", "large"])
def test_a_file_without_a_sure_digest_is_a_fault(note: str) -> None:
    files = [file._replace(more={"note": note}) if file.path == "/usr/bin/tool" else file for file in SOUND]
    assert named(faults(files), "/usr/bin/tool")


def test_what_could_not_be_read_is_a_fault() -> None:
    found = judge_files(survey_of(errors=[["/etc/x", "Input/output error"]]), known())
    assert found.faults == ["/etc/x: cannot be read (Input/output error)"]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (
            "/etc/systemd/system/multi-user.target.wants/debug-shell.service",
            "/usr/lib/systemd/system/debug-shell.service",
        ),
        ("/etc/systemd/system/apt-daily.timer", "/dev/null"),
        ("/etc/systemd/system/ssh.service", "/tmp/ssh.service"),
        ("/etc/rc2.d/S01more", "../init.d/more"),
        ("/etc/alternatives/awk", "/usr/bin/tool"),
        ("/etc/ssl/certs/0a0a0a0a.0", "evil.pem"),
        ("/etc/localtime", "/tmp/zone"),
    ],
)
def test_links_that_start_or_replace_something_are_named(path: str, target: str) -> None:
    assert named(faults([*SOUND, link(path, target)]), path)


def test_a_link_of_a_generator_leads_to_a_packaged_unit_in_either_spelling() -> None:
    path = "/run/systemd/generator.early/multi-user.target.wants/tool.service"
    for target, good in (
        ("/usr/lib/systemd/system/tool.service", True),
        ("/lib/systemd/system/tool.service", True),
        ("/tmp/lib/systemd/system/tool.service", False),
        ("/lib/systemd/system/evil.service", False),
    ):
        assert named(faults([*SOUND, link(path, target)]), path) != good, target


def test_what_cloud_init_stored_loads_its_own_classes_and_mails_alone() -> None:
    path = "/var/lib/cloud/instances/1/obj.pkl"
    stored = written(path, 0o400)
    for name, good in (
        ("cloudinit.net.netops.iproute2.Iproute2", True),
        ("cloudinit.sources.DataSourceOpenStack.DataSourceOpenStack", True),
        ("email.mime.multipart.MIMEMultipart", True),
        ("posix.system", False),
        ("cloudinit.subp.subp", False),
    ):
        assert named(faults([*SOUND, stored._replace(more={"names": [name]})]), path) != good, name


def test_the_folder_of_lost_files_is_empty() -> None:
    folder = written("/lost+found", 0o700)._replace(kind="d", content="")
    assert faults([*SOUND, folder]) == []
    assert named(faults([*SOUND, folder, written("/lost+found/x", 0o644)]), "/lost+found/x")


def test_a_units_file_made_at_run_time_may_not_start_a_program() -> None:
    path = "/run/systemd/generator/x.mount"
    for text, good in (
        ("[Mount]\nWhat=/dev/vda\nWhere=/\n", True),
        ("[Service]\nExecStart=/bin/sh\n", False),
        ("", False),
    ):
        survey = survey_of([*SOUND, written(path, 0o644)])
        survey.texts[path] = text
        assert named(judge_files(survey, known()).faults, path) != good, text


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.from_regex(r"lib[a-z]{1,9}\.so\.\d", fullmatch=True), st.just("/lib/x.so.1"), max_size=5))
def test_the_loaders_cache_is_read_back(entries: dict[str, str]) -> None:
    assert loader_entries(loader_cache(entries)) == list(entries.items())


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_no_loaders_cache(data: bytes) -> None:
    files = [f._replace(more={"hex": data.hex()}) if f.path == "/etc/ld.so.cache" else f for f in SOUND]
    assert named(faults(files), "/etc/ld.so.cache")

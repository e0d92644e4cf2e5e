"""Tests for every machine: system, services, accounts, rights, firewall and secrets."""

import re

import pytest

from classroom.config import guest
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import port_number
from classroom.verify.deployment import ACCOUNT, Deployment
from classroom.verify.network.firewall import effective, expected
from classroom.verify.ssh import SUDOERS, RemoteHost, listed_commands, parse_files
from classroom.verify.text_diff import assert_same_lines

SUDO_OF_DEBIAN = {"root ALL=(ALL:ALL) ALL", "%sudo ALL=(ALL:ALL) ALL", "@includedir /etc/sudoers.d"}
EXPOSURE = 40
"""Highest exposure of a service, ten times what `systemd-analyze security` shows."""
SUDO_OF_ADMINS = {"%classroom-admins ALL=(ALL:ALL) NOPASSWD: ALL"}


def test_the_deployment_has_its_machines(target: Deployment) -> None:
    media = target.group("media")
    assert len(target.group("front")) == 1
    assert len(media) >= 1
    assert len(target.machines) == (1 if target.vars["classroom_shape"] == "single" else 1 + len(media))
    assert len(target.turn_names) == len(media)


def test_the_hostname_is_that_of_the_inventory(every: RemoteHost) -> None:
    assert every.host.check_output("hostname") in {every.machine.name, f"{_stack(every)}-{every.machine.name}"}


def _stack(every: RemoteHost) -> str:
    return every.host.check_output("hostname").rpartition(f"-{every.machine.name}")[0]


def test_system_is_the_declared_guest(every: RemoteHost) -> None:
    assert every.host.system_info.distribution == guest.DISTRIBUTION.lower()
    assert every.host.system_info.release.split(".")[0] == guest.VERSION


def test_no_unit_has_failed(every: RemoteHost) -> None:
    assert every.host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""


@pytest.mark.parametrize("name", ["ssh", "nftables", "unbound", "chrony", "ulogd2"])
def test_service_of_every_machine_runs(every: RemoteHost, name: str) -> None:
    assert every.host.service(name).is_running, f"{name} is not running"
    assert every.host.service(name).is_enabled, f"{name} is not enabled: it would not start after a reboot"


def test_services_are_confined(every: RemoteHost, target: Deployment) -> None:
    """Each service that takes packets from outside has few rights, and limits of memory and of processes."""
    names = ["unbound", "chrony", "ulogd2"]
    names += ["nginx", "portal"] if "front" in every.machine.groups else []
    names += ["valkey-server"] if "front" in every.machine.groups and len(target.group("media")) > 1 else []
    names += ["livekit", "relay"] if "media" in every.machine.groups else []
    names += ["acme"] if "front" in every.machine.groups and target.vars.get("classroom_acme") else []
    for name in names:
        judged = every.host.run(f"systemd-analyze security --no-pager --threshold={EXPOSURE} {name}")
        assert judged.rc == 0, f"{name} on {every.machine.name} has more rights than it needs:\n{judged.stdout}"
        limits = every.host.check_output(f"systemctl show --property=MemoryMax,TasksMax {name}")
        assert "infinity" not in limits, f"{name} on {every.machine.name}: {limits}"


@pytest.mark.parametrize("name", ["nftables", "ulogd2", "unbound", "chrony", "sudo", "unattended-upgrades"])
def test_package_of_every_machine_is_installed(every: RemoteHost, name: str) -> None:
    assert every.host.package(name).is_installed


def test_security_updates_are_installed_automatically(every: RemoteHost) -> None:
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert every.host.service(timer).is_running, timer
        assert every.host.service(timer).is_enabled, timer
    settings = every.host.check_output("apt-config dump").splitlines()
    assert 'APT::Periodic::Update-Package-Lists "1";' in settings
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    origins = [line for line in settings if line.startswith("Unattended-Upgrade::Origins-Pattern::")]
    assert len(origins) == 1 and "label=Debian-Security" in origins[0], origins


def test_ssh_accepts_only_keys(every: RemoteHost) -> None:
    settings = every.sshd()
    wanted = {
        "port": {str(port_number("ssh"))},
        "authenticationmethods": {"publickey"},
        "passwordauthentication": {"no"},
        "kbdinteractiveauthentication": {"no"},
        "hostbasedauthentication": {"no"},
        "gssapiauthentication": {"no"},
        "permitemptypasswords": {"no"},
        "permitrootlogin": {"no"},
        "permituserenvironment": {"no"},
        "strictmodes": {"yes"},
        "x11forwarding": {"no"},
        "allowagentforwarding": {"no"},
        "authorizedkeyscommand": {"none"},
        "trustedusercakeys": {"none"},
        "authorizedkeysfile": {"/etc/ssh/authorized_keys.d/%u"},
        "authorizedprincipalscommand": {"none"},
        "authorizedprincipalsfile": {"none"},
        "permituserrc": {"no"},
    }
    assert {key: settings.get(key) for key in wanted} == wanted


def test_only_declared_accounts_can_log_in(every: RemoteHost, target: Deployment) -> None:
    """Only the administrators and the verifier have a shell, the image's account is locked; no account has a password."""
    accounts = [line.split(":") for line in every.host.check_output("cat /etc/passwd").splitlines()]
    shells = {a[0] for a in accounts if not a[6].endswith(("/nologin", "/false", "/sync"))}
    admins = {admin["name"] for admin in target.vars["classroom_admins"]}
    assert shells == admins | {"root", ACCOUNT}
    assert [a[0] for a in accounts if a[2] == "0"] == ["root"]
    passwords = [line.split() for line in every.listed("/usr/bin/passwd", "-S", "-a").splitlines()]
    assert len(passwords) == len(accounts)
    assert [words[0] for words in passwords if words[1] != "L"] == []


def test_ordinary_accounts_are_only_the_declared_ones(every: RemoteHost, target: Deployment) -> None:
    """Only the administrators, the verifier and the image's account have ordinary user ids; the last has no shell."""
    accounts = [line.split(":") for line in every.host.check_output("cat /etc/passwd").splitlines()]
    admins = {admin["name"] for admin in target.vars["classroom_admins"]}
    ordinary = {a[0]: a[6] for a in accounts if 1000 <= int(a[2]) < 60000}
    assert set(ordinary) - {IMAGE_ACCOUNT} == admins | {ACCOUNT}
    assert ordinary.get(IMAGE_ACCOUNT, "/usr/sbin/nologin").endswith("/nologin")


def test_only_administrators_are_in_privileged_groups(every: RemoteHost, target: Deployment) -> None:
    """Only the administrators are in their group; `sudo` is empty, and the image's account is in no extra group."""
    groups = {
        a: b.split(",") if b else []
        for a, _, _, b in map(_fields, every.host.check_output("cat /etc/group").splitlines())
    }
    admins = {admin["name"] for admin in target.vars["classroom_admins"]}
    assert set(groups["classroom-admins"]) == admins
    assert groups["sudo"] == []
    assert [name for name, members in groups.items() if IMAGE_ACCOUNT in members] == []


def _fields(line: str) -> list[str]:
    return line.split(":")


def test_only_administrators_keys_open_accounts(every: RemoteHost, target: Deployment) -> None:
    """Compare the authorised keys with those of the administrators; only root can write the files."""
    folder = "/etc/ssh/authorized_keys.d"
    wanted = {admin["name"]: {_key(admin["public_key"])} for admin in target.vars["classroom_admins"]}
    wanted[ACCOUNT] = set().union(*wanted.values())
    names = every.host.check_output(f"ls {folder}").split()
    found = {}
    for name in names:
        file = every.host.file(f"{folder}/{name}")
        found[name] = {_key(line) for line in file.content_string.splitlines() if line.strip()}
        assert (file.user, file.group, file.mode) == ("root", "root", 0o644), name
    assert found == wanted


def test_no_home_folder_has_keys(every: RemoteHost) -> None:
    """The SSH server does not read such files; any that exists was added by hand."""
    found = every.listed(
        "/usr/bin/find", "/", "-xdev", "-name", "authorized_keys", "-ls", "-o", "-name", "authorized_keys2", "-ls"
    )
    assert parse_files(found) == {}


def _key(line: str) -> str:
    return " ".join(line.split()[:2])


def test_only_root_reads_host_keys(every: RemoteHost) -> None:
    files = {path: every.host.file(path) for path in sorted(every.sshd()["hostkey"])}
    found = {path: (file.user, oct(file.mode)) for path, file in files.items() if file.exists}
    assert found
    assert found == dict.fromkeys(found, ("root", "0o600"))
    own = every.host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string
    assert _key(own) in {_key(key) for key in every.machine.host_keys}


def test_the_verifier_has_exactly_the_listed_rights(every: RemoteHost) -> None:
    """Compare the verifier's rights as sudo reports them with the project's file."""
    output = every.host.check_output("sudo -n -l -l").replace("\\=", "=")
    found, user = set(), ""
    for line in output.splitlines():
        if line.strip().startswith("RunAsUsers:"):
            user = line.partition(":")[2].strip()
        elif line.startswith("\t"):
            found |= {(user, part.strip().removesuffix(' ""')) for part in line.split(",") if part.strip()}
    assert found == listed_commands()


def test_sudo_rights_are_exactly_these(every: RemoteHost) -> None:
    """All sudo files together contain only Debian's rules and the project's, so that no other account has rights."""
    lines = every.listed("/usr/bin/grep", "-r", "-h", ".", "/etc/sudoers", "/etc/sudoers.d")
    found = rules(lines)
    own = SUDO_OF_DEBIAN | SUDO_OF_ADMINS | rules(SUDOERS.read_text())
    assert_same_lines(sorted(own), sorted(found), f"sudo rules on {every.machine.name}")


def rules(text: str) -> set[str]:
    """Return the rules of sudo files, without comments and `Defaults`."""
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.replace("\\\n", " ").splitlines())
    return {line for line in lines if line and not line.startswith(("#", "Defaults"))}


def test_the_firewall_has_exactly_the_declared_rules(every: RemoteHost, target: Deployment) -> None:
    assert_same_lines(expected(target, every.machine), effective(every.nft()), f"the firewall of {every.machine.name}")


def test_no_file_is_world_writable_or_setuid(every: RemoteHost) -> None:
    for path, (mode, _, _) in every.files().items():
        assert mode[8] != "w" or mode[0] == "l", f"{path}: mode {mode} is world-writable"
        assert mode[3] not in "sS" and mode[6] not in "sS", f"{path}: mode {mode} has setuid or setgid"


def test_secrets_are_exactly_these(every: RemoteHost, target: Deployment) -> None:
    """Compare paths, modes and owners: each secret is readable only by its own service."""
    root = ("-rw-r-----", "root", "root")
    wanted = {
        "/etc/classroom": ("drwxr-xr-x", "root", "root"),
        "/etc/classroom/secrets": ("drwx--x--x", "root", "root"),
    }
    several = len(target.group("media")) > 1
    if "front" in every.machine.groups:
        wanted["/etc/classroom/secrets/tls.key"] = root
        wanted["/etc/classroom/secrets/portal.json"] = ("-rw-r-----", "root", "portal")
        wanted["/etc/classroom/secrets/class-codes.key"] = ("-rw-------", "portal", "portal")
        if target.vars.get("classroom_acme"):
            wanted["/etc/classroom/secrets/acme.ini"] = ("-rw-r-----", "root", "acme")
        if several:
            wanted["/etc/classroom/secrets/valkey.conf"] = ("-rw-r-----", "root", "valkey")
    if "media" in every.machine.groups:
        wanted |= {
            f"/etc/classroom/secrets/{name}": ("-rw-r-----", "root", "livekit")
            for name in ("livekit-keys", "livekit-relay")
        }
        wanted["/etc/classroom/secrets/relay"] = ("-rw-r-----", "root", "relay")
        if several:
            wanted["/etc/classroom/secrets/livekit-valkey"] = root
    files = every.files()
    found = {path: state for path, state in files.items() if path == "/etc/classroom" or "/secrets" in path}
    assert_same_lines(_lines(wanted), _lines(found), f"the secrets of {every.machine.name}")


def _lines(files: dict) -> list[str]:
    return [f"{' '.join(state)} {path}" for path, state in sorted(files.items())]


@pytest.mark.own_kernel
def test_sysctl_values_are_in_effect(every: RemoteHost) -> None:
    own = every.host.check_output("cat /etc/sysctl.d/*classroom*.conf 2>/dev/null || true")
    wanted = dict(re.findall(r"^(\S+)\s*=\s*(.+?)\s*$", own, re.M))
    assert wanted or "media" not in every.machine.groups
    assert {key: every.host.check_output(f"/usr/sbin/sysctl -n {key}") for key in wanted} == wanted

"""Access after a run: a first run locks the image's account, a later run removes all access of former administrators.

The tests of this file build on each other and run in their order.
"""

import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import port_number
from classroom.configure.provider.ansible_worker import Run
from tests.roles.fleet import ADMINISTRATOR, Fleet
from tests.roles.play import Play

NAME = "host"
KEYS = "/etc/ssh/authorized_keys.d"
MARK = 71717
"""Seconds that a process of a former administrator sleeps; identifies the process."""


@pytest.fixture(scope="module")
def fleet(fleet_of: Callable[..., Fleet]) -> Fleet:
    return fleet_of(NAME)


@pytest.fixture(scope="module")
def play(fleet: Fleet) -> Play:
    return Play(fleet, hosts=[NAME])


def new_key(fleet: Fleet, name: str) -> str:
    """Create a key pair and return its public key."""
    path = fleet.state / f"{name}.key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text().strip()


def argv(fleet: Fleet, account: str, *words: str, key: str = "key") -> list[str]:
    """Return the command of a separate SSH connection that offers only one key."""
    config = fleet.state / "alone_config"
    lines = fleet.ssh_config.read_text().splitlines()
    config.write_text("\n".join(line for line in lines if "IdentityFile" not in line) + "\n")
    options = ["-o", "ControlPath=none", "-o", "BatchMode=yes", "-i", str(fleet.state / key)]
    return ["ssh", "-F", str(config), *options, "-l", account, NAME, *words]


def ssh(fleet: Fleet, account: str, *words: str, key: str = "key") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv(fleet, account, *words, key=key), capture_output=True, text=True, check=False, timeout=60
    )


def accepts_login(fleet: Fleet, account: str, key: str = "key") -> bool:
    """Return whether an account accepts a key; retry while the server does not answer."""
    for _ in range(60):
        answer = ssh(fleet, account, "true", key=key)
        if answer.returncode == 0 or "Permission denied" in answer.stderr:
            return answer.returncode == 0
        time.sleep(1)  # the server refuses connections for some seconds after failed logins
    raise AssertionError(answer.stderr)


@pytest.fixture
def root(fleet: Fleet) -> Callable[[str], str]:
    """Return a function that runs a shell command as root and returns its output."""

    def run(command: str) -> str:
        account, key = (IMAGE_ACCOUNT, "key") if fleet.account(NAME) == IMAGE_ACCOUNT else current(fleet)
        words = argv(fleet, account, "sudo", "-n", "sh", "-e", key=key)
        for _ in range(60):
            answer = subprocess.run(words, input=command, capture_output=True, text=True, check=False, timeout=120)
            if "kex_exchange_identification" not in answer.stderr:
                break
            time.sleep(1)  # after failed logins, for some seconds
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    return run


def current(fleet: Fleet) -> tuple[str, str]:
    return (ADMINISTRATOR, "key") if not (fleet.state / "first.gone").exists() else ("bob", "bob.key")


@pytest.fixture
def session(fleet: Fleet) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Return a function that opens an SSH session in which a command runs; AssertionError if it does not start in a minute."""
    opened = []

    def start(account: str, command: str, key: str = "key") -> "subprocess.Popen[bytes]":
        words = argv(fleet, account, f"echo started; exec {command}", key=key)
        for _ in range(60):
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            opened.append(process)
            assert process.stdout and process.stderr
            if process.stdout.readline() == b"started\n":
                return process
            refusal = process.stderr.read().decode()
            time.sleep(1)  # the server refuses connections for some seconds after failed logins
        raise AssertionError(refusal)

    yield start
    for process in opened:
        process.kill()
        process.wait()


@pytest.fixture
def chosen(play: Play, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, str]]]:
    """Return a function that lets the provider choose its login on the host, as a user with one key."""
    with tempfile.TemporaryDirectory(prefix="access-") as private:
        (Path(private) / "known_hosts").write_text((fleet.state / "known_hosts").read_text())

        def choose(
            key: str, *, known: bool, before: list[dict[str, str]], address: str = fleet.hosts[NAME].address4
        ) -> dict[str, str]:
            if key:
                monkeypatch.setenv("CLASSROOM_SSH_KEY", str(fleet.state / key))
            else:
                monkeypatch.delenv("CLASSROOM_SSH_KEY", raising=False)
            inputs = {"inventory": play.inventory(), "admins": play.vars["classroom_admins"], "secrets": {}}
            job = {"inputs": inputs, "known": {NAME: []} if known else {}, "installed": before, "stack": "roles"}
            run = Run({**job, "private": private, "force": False}, io.StringIO())
            return run._logins({NAME: address})[NAME]

        yield choose


def user_id(root: Callable[[str], str], account: str) -> str:
    return root(f"id -u {account}")


def running(root: Callable[[str], str]) -> str:
    return root(f"pgrep -f 'sleep {MARK}' || true")


def wait_for(root: Callable[[str], str], number: int) -> None:
    """Wait until at least `number` of the marked processes run; AssertionError after 30 seconds."""
    end = time.monotonic() + 30
    while len(found := running(root).split()) < number:
        assert time.monotonic() < end, f"{len(found)} of {number} processes run"
        time.sleep(0.1)


def leave_access(account: str) -> str:
    """Return commands that let a person log in as `account` again, or leave processes running."""
    return f"""
install -d -m 700 -o {account} /home/{account}/.ssh
cat {KEYS}/* /home/*/.ssh/authorized_keys 2>/dev/null > /home/{account}/.ssh/authorized_keys2 || true
install -d /root/.ssh && cp /home/{account}/.ssh/authorized_keys2 /root/.ssh/authorized_keys
echo '{account} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/zz-{account}
usermod --append --groups sudo,adm,games {account}
mkdir -p /var/lib/systemd/linger /var/spool/cron/crontabs /var/spool/cron/atjobs
touch /var/lib/systemd/linger/{account}
echo '* * * * * sleep {MARK}' > /var/spool/cron/crontabs/{account}
echo 'sleep {MARK}' > /var/spool/cron/atjobs/a0000101
echo 'x' > /tmp/canary-of-{account}
chown -R {account} /var/spool/cron/crontabs/{account} /var/spool/cron/atjobs/a0000101 /tmp/canary-of-{account} /home/{account}
su {account} -c 'setsid nohup sleep {MARK} > /dev/null 2>&1 &'
"""


def assert_no_access(root: Callable[[str], str], account: str, number: str) -> None:
    # Files of its user ID exist only in the home folder of a locked account.
    assert root(f"find / /tmp /dev/shm -xdev -path /home/{account} -prune -o -uid {number} -print") == ""
    assert root(f"pgrep -U {number} || pgrep -u {number} || true") == ""
    assert root(f"loginctl list-sessions --no-legend | grep -w {number} || true") == ""
    assert root("find / -xdev -name 'authorized_keys*' -type f") == ""
    assert root(f"ls {KEYS} /var/lib/systemd/linger | grep -x {account} || true") == ""
    assert root("ls /etc/sudoers.d").split() == ["README", "classroom-admins", "classroom-verifier"]
    assert running(root) == ""
    assert root("systemctl --failed --plain --no-legend") == ""


def test_a_failed_run_does_not_lock_the_images_account(
    play: Play, fleet: Fleet, chosen: Callable[..., dict[str, str]]
) -> None:
    play.vars["classroom_login"] = "not-created"
    failed = play.run("access")
    del play.vars["classroom_login"]
    assert failed.status != 0 and "Log in as an administrator over a new connection" in failed.output, failed.output
    assert accepts_login(fleet, IMAGE_ACCOUNT) and accepts_login(fleet, ADMINISTRATOR)
    assert fleet.account(NAME) == IMAGE_ACCOUNT
    first = {"ansible_user": IMAGE_ACCOUNT, "classroom_login": ADMINISTRATOR}
    assert chosen("key", known=False, before=[]) == first
    # Its key is not in its home folder.
    (key,) = [ssh(fleet, IMAGE_ACCOUNT, f"cat {KEYS}/{IMAGE_ACCOUNT}").stdout.strip()]
    assert key == play.vars["classroom_admins"][0]["public_key"]


def test_check_mode_changes_nothing(play: Play, fleet: Fleet, root: Callable[[str], str]) -> None:
    checked = play.run("access", check=True).good()
    assert checked.changed == 2, checked.output
    assert accepts_login(fleet, IMAGE_ACCOUNT)
    assert root("ls /etc/cloud/cloud.cfg.d | grep 99-classroom || true") == ""


def test_the_first_run_locks_the_images_account(
    play: Play, fleet: Fleet, root: Callable[[str], str], session: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    number = user_id(root, IMAGE_ACCOUNT)
    root(leave_access(IMAGE_ACCOUNT))
    opened = [session(IMAGE_ACCOUNT, f"sleep {MARK}"), session(IMAGE_ACCOUNT, f"sudo sleep {MARK}")]
    wait_for(root, 3)
    play.run("access").good()
    assert [process.wait(30) for process in opened] == [255, 255]
    assert not accepts_login(fleet, IMAGE_ACCOUNT)
    assert fleet.account(NAME) == ADMINISTRATOR
    assert_no_access(root, IMAGE_ACCOUNT, number)
    assert root(f"getent passwd {IMAGE_ACCOUNT}").endswith(":/usr/sbin/nologin")
    assert root(f"passwd -S {IMAGE_ACCOUNT}").split()[1] == "L"
    assert root(f"getent shadow {IMAGE_ACCOUNT}").split(":")[7] == "1"
    assert root(f"id -Gn {IMAGE_ACCOUNT}") == IMAGE_ACCOUNT
    assert "not allowed to run sudo" in root(f"sudo -l -U {IMAGE_ACCOUNT}")


def test_second_run_changes_nothing(play: Play, chosen: Callable[..., dict[str, str]]) -> None:
    now = play.vars["classroom_admins"]
    login = {"ansible_user": ADMINISTRATOR, "classroom_login": ADMINISTRATOR}
    assert chosen("key", known=True, before=now) == login
    assert chosen("key", known=False, before=[]) == login  # as after a loss of the state
    second = play.run("access").good()
    assert second.changed == 0, second.output
    checked = play.run("access", check=True).good()
    assert checked.changed == 0, checked.output


HIDDEN = "203.0.113.250"
"""Address to which no machine has a route."""
RELAY = """
import socket, sys, threading
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def copy():
    while data := connection.recv(65536):
        sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
threading.Thread(target=copy, daemon=True).start()
while data := sys.stdin.buffer.raw.read(65536):
    connection.sendall(data)
"""


@pytest.fixture
def with_ssh_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes a text the SSH configuration of the person who runs `pulumi up`."""

    def use(text: str) -> None:
        (tmp_path / "config").write_text(text)
        program = tmp_path / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return use


def test_the_login_goes_through_the_proxy_in_the_ssh_configuration(
    play: Play,
    fleet: Fleet,
    chosen: Callable[..., dict[str, str]],
    tmp_path: Path,
    with_ssh_config: Callable[[str], None],
) -> None:
    """The machine is reached only through the proxy, as no machine has the address that is connected to."""
    (tmp_path / "relay.py").write_text(RELAY)
    host = fleet.hosts[NAME].address4
    proxy = f"ProxyCommand {sys.executable} {tmp_path}/relay.py {host} {port_number('ssh')}"
    with_ssh_config(f"Host {HIDDEN}\n  HostKeyAlias {host}\n  {proxy}\n")
    login = {"ansible_user": ADMINISTRATOR, "classroom_login": ADMINISTRATOR}
    assert chosen("key", known=True, before=play.vars["classroom_admins"], address=HIDDEN) == login


def test_the_login_goes_through_the_jump_host_in_the_ssh_configuration(
    play: Play,
    fleet: Fleet,
    root: Callable[[str], str],
    chosen: Callable[..., dict[str, str]],
    with_ssh_config: Callable[[str], None],
) -> None:
    """Only the jump host, a second SSH server on the same machine, has a way to the address that is connected to."""
    host, port = fleet.hosts[NAME].address4, 2022
    lines = (f"Port {port}", f"AuthorizedKeysFile {KEYS}/%u", "AllowTcpForwarding yes", "UsePAM yes", "PidFile none")
    root(f"""
ip address add {HIDDEN}/32 dev lo
printf '%s\\n' {" ".join(map(shlex.quote, lines))} > /run/jump.conf
systemd-run --quiet --collect --unit jump /usr/sbin/sshd -D -f /run/jump.conf""")
    try:
        with_ssh_config(f"""
Host jump
  HostName {host}
  Port {port}
  User {ADMINISTRATOR}
  IdentityFile {fleet.state}/key
  IdentitiesOnly yes
  UserKnownHostsFile {fleet.state}/known_hosts
  HostKeyAlias {host}
Host {HIDDEN}
  ProxyJump jump
  HostKeyAlias {host}
""")
        login = {"ansible_user": ADMINISTRATOR, "classroom_login": ADMINISTRATOR}
        assert chosen("key", known=True, before=play.vars["classroom_admins"], address=HIDDEN) == login
        assert "Accepted publickey" in root("journalctl --unit jump --output cat")
    finally:
        root(f"systemctl stop jump; rm /run/jump.conf; ip address del {HIDDEN}/32 dev lo")


def test_cloud_init_does_not_unlock_the_images_account(play: Play, fleet: Fleet, root: Callable[[str], str]) -> None:
    """Simulate a boot with a new instance name and the old key, which cloud-init treats as a first boot."""
    key = play.vars["classroom_admins"][0]["public_key"]
    root(f"""
rm /etc/cloud/cloud-init.disabled
cat > /etc/cloud/cloud.cfg.d/95-test.cfg <<'END'
preserve_hostname: true
datasource_list: [None]
datasource:
  None:
    metadata: {{public-keys: ['{key}']}}
    userdata_raw: "#cloud-config\\nssh_deletekeys: false\\n"
END
# Its status is 2 if it only warns.
for stage in --local ''; do cloud-init init $stage > /root/init.log 2>&1 || test $? = 2 || {{ cat /root/init.log >&2; exit 1; }}; done
test -e /var/lib/cloud/instance/sem/config_users_groups && test -e /var/lib/cloud/instance/sem/config_ssh
rm /etc/cloud/cloud.cfg.d/95-test.cfg /root/init.log; touch /etc/cloud/cloud-init.disabled
""")
    assert not accepts_login(fleet, IMAGE_ACCOUNT)
    assert root("ls /etc/sudoers.d").split() == ["README", "classroom-admins", "classroom-verifier"]
    assert root("cat /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys 2> /dev/null || true") == ""
    assert root(f"id -Gn {IMAGE_ACCOUNT}") == IMAGE_ACCOUNT
    play.run("access").good()


def test_a_removed_administrator_loses_all_access(
    play: Play, fleet: Fleet, root: Callable[[str], str], session: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    ada = play.vars["classroom_admins"]
    play.vars["classroom_admins"] = [*ada, {"name": "bob", "public_key": new_key(fleet, "bob")}]
    play.run("access").good()
    assert accepts_login(fleet, "bob", "bob.key")
    number = user_id(root, "bob")
    root(f"""
useradd --create-home --groups classroom-admins mallory
usermod --append --groups classroom-admins games
install -d /home/{ADMINISTRATOR}/.ssh && cat {KEYS}/bob > /home/{ADMINISTRATOR}/.ssh/authorized_keys
cp {KEYS}/bob {KEYS}/games
printf 'Match User games\\nAuthorizedKeysFile .ssh/authorized_keys\\n' > /etc/ssh/sshd_config.d/99-canary.conf
{leave_access("bob")}""")
    sudo = session("bob", f"sudo sleep {MARK}", key="bob.key")
    own = session("bob", f"sleep {MARK}", key="bob.key")
    wait_for(root, 3)
    play.vars["classroom_admins"] = ada
    play.run("access").good()
    assert (sudo.wait(30), own.wait(30)) == (255, 255)
    for account in ("bob", ADMINISTRATOR, "root", IMAGE_ACCOUNT, "verifier"):
        assert not accepts_login(fleet, account, "bob.key"), account
    assert_no_access(root, "bob", number)
    assert root("getent passwd bob mallory || true") == ""
    assert root("ls /home").split() == sorted([ADMINISTRATOR, IMAGE_ACCOUNT, "verifier"])
    # The accounts of the system remain.
    assert root("id -Gn games") == "games" and root("ls /etc/ssh/sshd_config.d") == "10-classroom.conf"
    assert accepts_login(fleet, ADMINISTRATOR)
    second = play.run("access").good()
    assert second.changed == 0, second.output


def test_the_first_administrator_is_replaced(
    play: Play,
    fleet: Fleet,
    root: Callable[[str], str],
    session: Callable[..., "subprocess.Popen[bytes]"],
    chosen: Callable[..., dict[str, str]],
) -> None:
    """The run starts with the login of the former administrator, and ends with that of the new one."""
    (fleet.ssh_config).write_text(fleet.ssh_config.read_text() + f"  IdentityFile {fleet.state}/bob.key\n")
    (ada,) = play.vars["classroom_admins"]
    bob = {"name": "bob", "public_key": (fleet.state / "bob.key.pub").read_text().strip()}
    play.vars["classroom_admins"] = [bob, ada]
    play.run("access").good()
    number = user_id(root, ADMINISTRATOR)
    root(leave_access(ADMINISTRATOR))
    opened = session(ADMINISTRATOR, f"sudo sleep {MARK}")
    wait_for(root, 2)
    play.vars["classroom_admins"] = [bob]
    play.run("access").good()
    Path(fleet.state / "first.gone").touch()
    assert opened.wait(30) == 255
    for account in (ADMINISTRATOR, "bob", "root", IMAGE_ACCOUNT, "verifier"):
        assert not accepts_login(fleet, account), account
    assert_no_access(root, ADMINISTRATOR, number)
    assert root(f"getent passwd {ADMINISTRATOR} || true") == ""
    assert root(f"ls {KEYS}").split() == ["bob", "verifier"]
    for known, before in ((True, [bob, ada]), (True, [bob]), (False, [])):
        assert chosen("bob.key", known=known, before=before) == {"ansible_user": "bob", "classroom_login": "bob"}
    play.user = "bob"
    second = play.run("access").good()
    assert second.changed == 0, second.output


def test_of_many_keys_in_the_agent_only_the_fitting_one_is_offered(
    play: Play, fleet: Fleet, chosen: Callable[..., dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        new_key(fleet, f"other{number}")
    files = [*(str(fleet.state / f"other{number}.key") for number in range(8)), str(fleet.state / "bob.key")]
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        while not socket.exists():
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", *files], check=True, stderr=subprocess.DEVNULL)
        words = ["-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={fleet.state}/known_hosts", "-l", "bob"]
        every = ["ssh", "-F", "none", *words, fleet.hosts[NAME].address4, "true"]
        answer = subprocess.run(every, capture_output=True, text=True, check=False)
        assert "Too many authentication failures" in answer.stderr, "the server must refuse so many keys"
        login = {"ansible_user": "bob", "classroom_login": "bob"}
        assert chosen("", known=True, before=play.vars["classroom_admins"]) == login
    finally:
        process.terminate()
        process.wait()

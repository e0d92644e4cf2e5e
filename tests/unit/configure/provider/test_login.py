"""The account that Ansible logs in with, and changes of administrators that are refused."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from classroom.config.guest import IMAGE_ACCOUNT
from classroom.configure.provider import login
from classroom.configure.provider.ansible_process import installed
from classroom.configure.provider.login import Logins, NoLoginError, choose, own_keys, replaced_at_once
from classroom.configure.provider.server import UNKNOWN, refused


def admin(name: str, key: str = "") -> dict[str, str]:
    return {"name": name, "public_key": f"ssh-ed25519 AAAA{key or name} ada@laptop"}


ADA, BOB, EVE, JOE = (admin(name) for name in ("ada", "bob", "eve", "joe"))


def keys(*names: str) -> frozenset[str]:
    return frozenset(f"ssh-ed25519 AAAA{name}" for name in names)


@pytest.mark.parametrize(
    ("before", "now", "own", "known", "expected"),
    [
        ([], [ADA, BOB], ("ada",), False, [IMAGE_ACCOUNT, "ada"]),
        ([], [ADA, BOB], ("bob",), True, ["bob", IMAGE_ACCOUNT]),  # the first run failed
        ([ADA, BOB], [ADA, BOB], ("bob",), True, ["bob", IMAGE_ACCOUNT]),
        ([ADA], [ADA, BOB], ("ada", "bob"), True, ["ada", "bob", IMAGE_ACCOUNT]),  # bob is not installed yet
        ([ADA, BOB], [BOB], ("ada", "bob"), True, ["bob", "ada", IMAGE_ACCOUNT]),  # one who remains comes first
        ([ADA, BOB, EVE], [ADA, BOB, EVE], (), True, ["ada", "bob", IMAGE_ACCOUNT]),  # unreadable keys
        ([ADA, BOB, EVE], [JOE], ("joe", "eve"), True, ["eve", "joe", IMAGE_ACCOUNT]),
    ],
)
def test_accounts_that_are_tried(
    before: list[Any], now: list[Any], own: tuple[str, ...], known: bool, expected: list[str]
) -> None:
    found = Logins(before, now, keys(*own)).candidates(known=known)
    assert found == expected and len(found) <= login.TRIES


@pytest.mark.parametrize(
    ("now", "own", "used", "expected"),
    [
        ([ADA, BOB], ("ada",), IMAGE_ACCOUNT, "ada"),
        ([ADA, BOB], ("bob",), IMAGE_ACCOUNT, "bob"),
        ([ADA, BOB], ("ada", "bob"), "bob", "bob"),
        ([BOB], ("ada", "bob"), "ada", "bob"),  # ada is removed
        ([admin("ada", "new"), BOB], ("ada", "bob"), "ada", "bob"),  # ada's key changes
        ([ADA, BOB], (), "bob", "bob"),
        ([ADA, BOB], (), IMAGE_ACCOUNT, "ada"),
    ],
)
def test_the_login_that_is_checked_at_the_end(now: list[Any], own: tuple[str, ...], used: str, expected: str) -> None:
    assert Logins([ADA], now, keys(*own)).final(used) == expected


def test_a_run_without_an_administrator_s_key_is_refused() -> None:
    fault = Logins([ADA, BOB], [BOB, EVE], keys("ada")).fault()
    assert fault and "'bob', 'eve'" in fault and "CLASSROOM_SSH_KEY" in fault and "ssh-add" in fault
    assert Logins([ADA, BOB], [BOB], keys("ada", "bob")).fault() is None
    assert Logins([ADA, BOB], [BOB], frozenset()).fault() is None


@pytest.mark.parametrize(
    ("before", "now", "allowed"),
    [
        ([], [ADA], True),
        ([ADA], [ADA, BOB], True),
        ([ADA, BOB], [BOB], True),
        ([ADA], [admin("ada2", "ada")], True),  # another name for the same key
        ([ADA], [BOB], False),
        ([ADA], [admin("ada", "new")], False),
        ([ADA, BOB], [EVE, JOE], False),
    ],
)
def test_one_key_has_to_remain(before: list[Any], now: list[Any], allowed: bool) -> None:
    reason = replaced_at_once(before, now)
    assert (reason is None) == allowed
    assert reason is None or all(word in reason for word in ("admins: ", "'ada'", "two steps", "`pulumi up` again"))


def test_new_machines_accept_any_administrators() -> None:
    host = {"server": "s", "image": "i", "address": "a"}
    old = {"installedAdmins": [ADA], "hosts": {"front": host, "media1": host}}
    for hosts, allowed in (
        ({"front": host, "media1": host}, False),
        ({"front": host | {"server": UNKNOWN}, "media1": host}, False),
        ({"front": host | {"server": "t"}, "media1": host | {"server": UNKNOWN}}, True),
        (UNKNOWN, True),
    ):
        assert (refused(old, {"admins": [BOB], "hosts": hosts}) is None) == allowed, hosts
        assert refused(old, {"admins": [ADA, BOB], "hosts": hosts}) is None
    assert refused(old, {"admins": UNKNOWN, "hosts": {"front": host}}) is None
    assert refused({}, {"admins": [BOB], "hosts": {"front": host}}) is None


def test_administrators_are_read_from_the_inventory_of_an_earlier_version() -> None:
    inventory = '{"all": {"vars": {"classroom_admins": [{"name": "ada", "public_key": "k"}]}}}'
    assert installed({"inventory": inventory}) == [{"name": "ada", "public_key": "k"}]
    assert installed({"inventory": inventory, "installedAdmins": []}) == []
    assert installed({}) == []


class Server:
    """A fake SSH server with some accounts, which records the logins."""

    def __init__(self, **answers: tuple[int, str]) -> None:
        self.answers, self.asked = answers, []  # type: ignore[var-annotated]

    def __call__(self, account: str) -> "subprocess.CompletedProcess[str]":
        self.asked.append(account)
        status, stderr = self.answers.get(account, (255, f"{account}@203.0.113.9: Permission denied (publickey)."))
        return subprocess.CompletedProcess(["ssh"], status, "", stderr)


def test_the_first_account_that_works_is_chosen() -> None:
    server = Server(bob=(0, ""), eve=(0, ""))
    assert choose("class", ["ada", "bob", "eve"], server, lambda: None) == "bob"
    assert server.asked == ["ada", "bob"]


def test_an_account_without_sudo_is_skipped() -> None:
    server = Server(ada=(1, "sudo: a password is required"), bob=(0, ""))
    assert choose("class", ["ada", "bob"], server, lambda: None) == "bob"


def test_if_no_account_works_accounts_and_fix_are_named() -> None:
    server = Server(ada=(1, "sudo: a password is required"))
    with pytest.raises(NoLoginError) as error:
        choose("class", ["ada", IMAGE_ACCOUNT], server, lambda: None)
    assert str(error.value).startswith("class: ")
    for word in ("ada (sudo: a password", f"{IMAGE_ACCOUNT} (", "Permission denied", "CLASSROOM_SSH_KEY", "ssh-add"):
        assert word in str(error.value)


def test_another_host_key_ends_the_attempts() -> None:
    server = Server(ada=(255, "Host key verification failed."), bob=(0, ""))
    with pytest.raises(NoLoginError, match=r"class: .*do not log in"):
        choose("class", ["ada", "bob"], server, lambda: None)
    assert server.asked == ["ada"]


def test_a_closed_connection_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(255, "System is booting up."), (255, "Connection closed by 203.0.113.9 port 22"), (0, "")]
    monkeypatch.setattr(login.time, "sleep", lambda _: None)

    def attempt(account: str) -> "subprocess.CompletedProcess[str]":
        status, stderr = answers.pop(0)
        return subprocess.CompletedProcess(["ssh"], status, "", stderr)

    assert choose("class", ["ada", "bob"], attempt, lambda: None) == "ada"
    assert answers == []


def made(path: Path, passphrase: str = "") -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


def test_keys_are_found_where_ssh_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the file in CLASSROOM_SSH_KEY; else the agent's keys and SSH's identity files, encrypted ones by their `.pub`."""
    plain, locked = made(tmp_path / "plain"), made(tmp_path / "locked", "words")
    (tmp_path / "plain.pub").unlink()
    for name, expected in (("plain", {plain}), ("locked", {locked})):
        monkeypatch.setenv("CLASSROOM_SSH_KEY", str(tmp_path / name))
        assert own_keys("203.0.113.9") == expected
    (tmp_path / "locked.pub").unlink()
    assert own_keys("203.0.113.9") == frozenset()
    monkeypatch.delenv("CLASSROOM_SSH_KEY")
    agent = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        while not agent.exists():
            assert process.poll() is None
        subprocess.run(["ssh-add", "-q", str(tmp_path / "plain")], check=True, stderr=subprocess.DEVNULL)
        assert plain in own_keys("203.0.113.9")
    finally:
        process.terminate()
        process.wait()

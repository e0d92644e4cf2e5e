"""The provider's logic without an engine: changes, invalid inputs, host keys on a console, reasons of failures."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from classroom.configure.provider import ansible_process
from classroom.configure.provider.ansible_process import PREFIX, Ansible, private_folder
from classroom.configure.provider.ansible_worker import PASSED, Run, Stopped, hider, host_keys, static
from classroom.configure.provider.server import CONFIGURE, RANDOM, changes, secret, wrong

CONSOLE = """
[   12.1] cloud-init[411]: -----BEGIN SSH HOST KEY FINGERPRINTS-----
256 SHA256:AbC root@academy-class (ED25519)
-----END SSH HOST KEY FINGERPRINTS-----
-----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA+/= root@academy-class
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOLD root@academy-class
-----END SSH HOST KEY KEYS-----
"""


def job(**more: Any) -> dict[str, Any]:
    inventory = {"all": {"vars": {"classroom_ssh_from": ["192.0.2.0/24"]}}}
    hosts = {"class": {"server": "s", "image": "i", "address": "203.0.113.9"}}
    admins = [{"name": "ada", "public_key": "ssh-ed25519 AAAA ada"}]
    inputs = {
        "hosts": hosts,
        "inventory": inventory,
        "admins": admins,
        "secrets": {"classroom_secret_livekit": "x" * 43},
    } | more
    return {
        "inputs": inputs,
        "private": "/nonexistent",
        "known": {},
        "installed": [],
        "stack": "academy",
        "force": False,
    }


class FakeCloud:
    def __init__(self, server: dict[str, Any] | None, console: str = "") -> None:
        self.server, self.text = server, console

    def find(self, service: str, path: str) -> dict[str, Any] | None:
        return {"server": self.server} if self.server else None

    def console(self, server: str) -> str:
        return self.text


def test_only_inputs_that_affect_a_machine_are_a_change() -> None:
    old = {"digest": "a", "cloud": "x", "region": "r", "broken": {}, "secrets": secret({"k": 1.0})}
    assert changes(CONFIGURE, old, old | {"secrets": secret({"k": 1})}, forced=False) == []
    assert changes(CONFIGURE, old, old | {"cloud": "y", "region": "s"}, forced=False) == []
    assert changes(CONFIGURE, old, old | {"secrets": secret({"k": 2})}, forced=False) == ["secrets"]
    assert changes(CONFIGURE, old, old | {"digest": "b"}, forced=True) == ["digest"]


def test_a_forced_run_and_a_server_in_error_cause_a_run_without_a_lasting_difference() -> None:
    old: dict[str, Any] = {"digest": "a", "broken": {}}
    assert changes(CONFIGURE, old, old, forced=True) == ["forced"]
    assert changes(CONFIGURE, old, old | {"broken": {"class": "no host"}}, forced=False) == ["broken"]
    assert changes(CONFIGURE, old | {"broken": {"class": "no host"}}, old, forced=False) == []


def test_a_secret_follows_its_inputs_and_no_force() -> None:
    old = {"length": 13.0, "alphabet": "AB"}
    assert changes(RANDOM, old, {"length": 13, "alphabet": "AB"}, forced=True) == []
    assert changes(RANDOM, old, {"length": 8, "alphabet": "AB"}, forced=False) == ["length"]


@pytest.mark.parametrize(
    ("inputs", "key"),
    [
        ({"length": 0.0, "alphabet": "AB"}, "length"),
        ({"length": 1.5, "alphabet": "AB"}, "length"),
        ({"alphabet": "AB"}, "length"),
        ({"length": 8, "alphabet": "A"}, "alphabet"),
        ({"length": 8, "alphabet": "AAB"}, "alphabet"),
    ],
)
def test_inputs_of_which_no_secret_can_be_made(inputs: dict[str, Any], key: str) -> None:
    ((name, reason),) = wrong(RANDOM, inputs)
    assert name == key and reason.startswith(f"{key}: ")
    assert wrong(RANDOM, {"length": 8.0, "alphabet": "AB"}) == []


def test_the_last_complete_list_of_host_keys_on_the_console_counts() -> None:
    assert host_keys(CONSOLE) == [
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA+/=",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOLD",
    ]
    again = "-----BEGIN SSH HOST KEY KEYS-----\r\nssh-ed25519 NEW root\r\n-----END SSH HOST KEY KEYS-----\r\n"
    assert host_keys(CONSOLE + again) == ["ssh-ed25519 NEW"]
    assert host_keys(again.partition("-----END")[0]) == []
    assert host_keys("login: ") == []


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    """A fake cloud with a machine whose console shows host keys."""
    cloud = FakeCloud({"status": "ACTIVE"}, CONSOLE)
    monkeypatch.setattr("classroom.configure.provider.ansible_worker.connect", lambda *_: cloud)
    return cloud


def test_another_host_key_of_the_same_server_ends_the_run_before_any_login(console: FakeCloud) -> None:
    out = io.StringIO()
    run = Run(job(region="r") | {"known": {"class": ["ssh-ed25519 BEFORE"]}}, out)
    with pytest.raises(Stopped):
        run.go()
    (event,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert event["kind"] == "failed" and event["text"].startswith("class: ")
    for words in (
        "host key",
        "ssh-ed25519 BEFORE",
        "do not log in",
        "`pulumi up --stack academy --replace 'urn:pulumi:",
    ):
        assert words in event["text"], words


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ({}, CONSOLE),  # a new machine
        ({"class": host_keys(CONSOLE)[::-1]}, CONSOLE),
        ({"class": host_keys(CONSOLE)}, "login: "),  # no longer shown
    ],
)
def test_a_new_machine_and_known_keys_are_accepted(console: FakeCloud, known: dict[str, list[str]], shown: str) -> None:
    console.text = shown
    run = Run(job(region="r") | {"known": known}, io.StringIO())
    assert sorted(run._host_keys()["class"]) == sorted(host_keys(CONSOLE))


def test_known_keys_are_valid_for_the_same_server_with_the_same_image() -> None:
    old = {"hosts": {"class": {"server": "s", "image": "i", "address": "a"}}, "hostKeys": {"class": ["ssh-ed25519 K"]}}
    for change, expected in (({}, {"class": ["ssh-ed25519 K"]}), ({"server": "t"}, {}), ({"image": "j"}, {})):
        now = {"hosts": {"class": {"server": "s", "image": "i", "address": "b"} | change}}
        assert Ansible("t", now, old, lambda text, ephemeral: None).known() == expected


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (None, ["server s no longer exists", "`pulumi up --refresh --stack academy`"]),
        ({"status": "SHUTOFF"}, ["status SHUTOFF", "`openstack server start s`"]),
        (
            {"status": "ERROR", "fault": {"message": "No valid host was found."}},
            ["ERROR (No valid host was found.)", "`pulumi up --stack academy --replace 'urn:pulumi:academy::"],
        ),
    ],
)
def test_a_machine_that_does_not_run_is_reported_with_the_command(server: Any, words: list[str]) -> None:
    out = io.StringIO()
    run = Run(job(), out)
    assert run._look(FakeCloud(server, CONSOLE), "class") == []  # type: ignore[arg-type]
    event = json.loads(out.getvalue())
    assert event["kind"] == "failed" and event["text"].startswith("class: ")
    assert [word for word in words if word not in event["text"]] == [], event


def test_the_run_waits_for_a_machine_that_is_booting() -> None:
    out = io.StringIO()
    run = Run(job(), out)
    assert run._look(FakeCloud({"status": "BUILD"}, CONSOLE), "class") == []  # type: ignore[arg-type]
    assert len(run._look(FakeCloud({"status": "ACTIVE"}, CONSOLE), "class")) == 2  # type: ignore[arg-type]
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"msg": "non-zero return code", "stderr": "nginx: [emerg] bad"}, ["nginx: [emerg] bad"]),
        ({"msg": "x Host key verification failed."}, ["do not log in", "replace the machine"]),
        ({"msg": "debian@203.0.113.9: Permission denied (publickey)."}, ["'ada'", "CLASSROOM_SSH_KEY", "ssh-add"]),
        ({"msg": "force it with `-e classroom_force=true`"}, ["`classroom configure --stack academy --force`"]),
        ({"censored": "hidden"}, ["hidden", "secrets"]),
        ({}, ["no reason given"]),
    ],
)
def test_a_failed_task_is_reported_with_reason_and_fix(result: dict[str, Any], words: list[str]) -> None:
    out = io.StringIO()
    Run(job(), out)._event({"event": "runner_on_failed", "event_data": {"host": "class", "task": "T", "res": result}})
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["kind"] for event in events] == ["task", "failed"]
    assert events[1]["text"].startswith("class: task 'T': ")
    assert [word for word in words if word not in events[1]["text"]] == [], events


def test_the_failed_item_of_a_loop_is_reported_once() -> None:
    out = io.StringIO()
    run = Run(job(), out)
    item = {"host": "class", "task": "T", "res": {"item": "b", "msg": "no such file"}}
    run._event({"event": "runner_item_on_failed", "event_data": item})
    run._event({"event": "runner_on_failed", "event_data": {**item, "res": {"msg": "One or more items failed"}}})
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [e["text"] for e in events if e["kind"] == "failed"] == ["class: task 'T', item b: no such file"]


def test_no_message_contains_a_secret() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\nCCqGSM49\n-----END PRIVATE KEY-----\n"
    hide = hider({"key": pem, "codes": [{"sha256": "f" * 64, "class": "CM2"}]})
    assert hide(f"no: MIGHAgEAMBMGByqGSM49AgEG {'f' * 64} CM2") == "no: (secret) (secret) CM2"


def test_ansible_gets_no_credentials_of_the_cloud_or_the_state() -> None:
    kept = ["PATH", "HOME", "LANG", "LC_ALL", "SSH_AUTH_SOCK", "CLASSROOM_CACHE", "CLASSROOM_SSH_KEY"]
    dropped = ["OS_PASSWORD", "OS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "AWS_SECRET_ACCESS_KEY", "CLASSROOM_FORCE"]
    assert [name for name in kept + dropped if PASSED.fullmatch(name)] == kept


def test_folders_of_killed_runs_are_removed_and_those_of_live_runs_remain(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "secret").write_text("x")
    with private_folder(tmp_path) as first, private_folder(tmp_path) as second:
        assert not left.exists()
        assert first.is_dir() and second.is_dir() and first != second
        assert first.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
    assert ansible_process.PREFIX == PREFIX


def test_the_static_inventory_has_the_same_hosts_groups_and_variables() -> None:
    dynamic = {
        "front": {"hosts": ["class"]},
        "media": {"hosts": ["class"]},
        "all": {"vars": {"a": 1}},
        "_meta": {"hostvars": {"class": {"ansible_host": "203.0.113.9"}}},
    }
    assert static(dynamic) == {
        "all": {
            "hosts": {"class": {"ansible_host": "203.0.113.9"}},
            "vars": {"a": 1},
            "children": {"front": {"hosts": {"class": {}}}, "media": {"hosts": {"class": {}}}},
        }
    }

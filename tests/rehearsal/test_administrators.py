"""Replacing the first administrator of an open class: refused in one step, done in two steps; the old key then opens no account."""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import port_number
from classroom.verify.deployment import ACCOUNT, Deployment
from rehearsal import stack
from rehearsal.folders import STACK
from tests.rehearsal.command import as_client
from tests.rehearsal.quick_check import assert_sound
from tests.rehearsal.test_bad_input import changed, class_survives, up

__all__ = ["class_survives"]

FIRST = "rehearsal"


@dataclass(frozen=True)
class Person:
    """An administrator with a private key."""

    name: str
    key: Path

    @property
    def entry(self) -> dict[str, str]:
        return {"name": self.name, "public_key": self.key.with_name(f"{self.key.name}.pub").read_text().strip()}


@pytest.fixture
def first() -> Person:
    return Person(FIRST, STACK / "id_ed25519")


@pytest.fixture
def second(tmp_path: Path) -> Person:
    key = tmp_path / "second"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "second", "-f", str(key)], check=True)
    return Person("second", key)


def with_admins(folder: Path, user: Person, *admins: Person) -> "subprocess.CompletedProcess[str]":
    """Run `pulumi up` as `user` for these administrators."""
    return up(folder, env={"CLASSROOM_SSH_KEY": str(user.key)}, admins=[person.entry for person in admins])


def accounts_opened(inventory: Path, user: Person, *accounts: str) -> dict[str, dict[str, bool]]:
    """Return for each machine which of the accounts accept the user's key."""
    words = (sys.executable, "-m", "tests.rehearsal.test_administrators", inventory, *accounts)
    answer = as_client(*words, env={"CLASSROOM_SSH_KEY": str(user.key)})
    assert answer.returncode == 0, answer.stderr
    found: dict[str, dict[str, bool]] = json.loads(answer.stdout.splitlines()[-1])
    assert found and all(set(of_machine) == set(accounts) for of_machine in found.values())
    return found


@contextmanager
def restored_administrators(folder: Path, first: Person, second: Person) -> Iterator[None]:
    """Restore the first administrator of the class afterwards, in two steps."""
    try:
        yield
    finally:
        for user, admins in ((second, [second, first]), (first, [first])):
            answer = with_admins(folder, user, *admins)
            assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr


@pytest.mark.drill
def test_the_first_administrator_is_replaced(inventory: Path, tmp_path: Path, first: Person, second: Person) -> None:
    accounts = (FIRST, second.name, ACCOUNT, IMAGE_ACCOUNT, "root")
    assert all(
        found[FIRST] and not found[IMAGE_ACCOUNT] for found in accounts_opened(inventory, first, *accounts).values()
    )
    # In one step: the preview refuses it and names the two steps.
    with changed(tmp_path, admins=[second.entry]) as options:
        preview = ("pulumi", "preview", "--non-interactive", "--stack", stack.NAME, *options)
        answer = as_client(*preview, env={"CLASSROOM_SSH_KEY": str(second.key)})
    output = answer.stdout + answer.stderr
    assert answer.returncode != 0 and f"on the machines ('{FIRST}')" in output and "in two steps" in output, output
    # In two steps, each with the login of an administrator who is already on the machines.
    answer = with_admins(tmp_path, first, first, second)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    with restored_administrators(tmp_path, first, second):
        answer = with_admins(tmp_path, second, second)
        assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
        for machine, found in accounts_opened(inventory, first, *accounts).items():
            assert not any(found.values()), (machine, found)
        for machine, found in accounts_opened(inventory, second, *accounts).items():
            assert {account for account, accepts in found.items() if accepts} == {second.name, ACCOUNT}, machine
        after = tmp_path / "inventory.json"
        after.write_text(json.dumps(stack.output("inventory")))
        assert_sound(after, env={"CLASSROOM_SSH_KEY": str(second.key)})
    assert_sound(inventory)


def accepts(config: Path, machine: str, account: str) -> bool:
    """Return whether an account accepts a login; retry while the server refuses connections after failed logins."""
    argv = ["ssh", "-F", str(config), "-o", "ControlPath=none", f"{account}@{machine}", "true"]
    for _ in range(120):
        answer = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if answer.returncode == 0 or "Permission denied" in answer.stderr:
            return answer.returncode == 0
        time.sleep(1)
    raise AssertionError(f"{account}@{machine}: {answer.stderr}")


def wait_for_banner(address: str) -> None:
    """Wait until the SSH server accepts connections again, so that the following tests can log in."""
    for _ in range(120):
        with socket.create_connection((address, port_number("ssh")), timeout=5) as connection:
            if connection.recv(8).startswith(b"SSH-"):
                return
        time.sleep(1)
    raise AssertionError(f"{address}: the SSH server still refuses connections from this address")


def main(inventory: Path, accounts: list[str]) -> None:
    """Print as JSON which accounts of each machine accept a login; run on the outside network."""
    target = Deployment.read(inventory)
    with tempfile.TemporaryDirectory() as folder:
        config = target.write_ssh(Path(folder))
        found = {m.name: {account: accepts(config, m.name, account) for account in accounts} for m in target.machines}
    for machine in target.machines:
        wait_for_banner(machine.public4)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

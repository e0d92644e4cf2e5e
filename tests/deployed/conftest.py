"""Runs against any deployment: the inventory names the machines; none, or one too few, is a failure and never a pass."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import testinfra

from classroom.paths import REPO
from classroom.verify.target import ACCOUNT, Machine, Target

SUDOERS = REPO / "ansible" / "roles" / "base" / "files" / "verifier-sudoers"


def _target() -> Target:
    path = os.environ.get("CLASSROOM_INVENTORY")
    if not path:
        raise pytest.UsageError("these tests need a deployment: run them with `classroom verify`")
    return Target.read(Path(path))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every machine, or on every one of a group, by the name of its fixture."""
    for fixture, group in (("every", None), ("front", "front"), ("media", "media")):
        if fixture in metafunc.fixturenames:
            found = [m for m in _target().machines if group is None or group in m.groups]
            metafunc.parametrize(fixture, [pytest.param(m, id=m.name) for m in found], indirect=True, scope="session")


@pytest.fixture(scope="session")
def target() -> Target:
    return _target()


@pytest.fixture(scope="session")
def without() -> set[str]:
    return set(filter(None, os.environ.get("CLASSROOM_WITHOUT", "").split(",")))


class Remote:
    """A machine as the verifier sees it: Testinfra over SSH, and sudo for exactly the commands that are listed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        config = os.environ["CLASSROOM_SSH_CONFIG"]
        self.host = testinfra.get_host(f"ssh://{ACCOUNT}@{machine.name}", ssh_config=config)

    def sudo(self, *command: str, user: str = "root") -> str:
        """Run one of the listed commands and return what it prints."""
        words = ["sudo", "-n", *([] if user == "root" else ["-u", user]), *command]
        answer = self.host.run(shlex.join(words))
        assert answer.rc == 0, f"{shlex.join(words)} on {self.machine.name}: {answer.stderr}"
        return str(answer.stdout)

    def nft(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.sudo("/usr/sbin/nft", "-j", "list", "ruleset"))["nftables"]
        return found

    def counters(self) -> dict[str, int]:
        """Return the firewall's counters: name → packets."""
        return {i["counter"]["name"]: i["counter"]["packets"] for i in self.nft() if "counter" in i}

    def files(self) -> dict[str, tuple[str, str, str]]:
        """Return mode (as `ls` shows it), owner and group of everything below the classroom's folders."""
        found = {}
        for line in self.sudo("/usr/bin/find", "/etc/classroom", "/srv", "/usr/local", "-ls").splitlines():
            parts = line.split(maxsplit=10)
            found[re.sub(r" -> .*", "", parts[10])] = (parts[2], parts[4], parts[5])
        return found

    def listening(self) -> set[tuple[str, str, int]]:
        """Return what listens: protocol, address and port."""
        found = set()
        for line in self.sudo("/usr/bin/ss", "-H", "-l", "-n", "-t", "-u", "-p").splitlines():
            parts = line.split()
            address, _, port = parts[4].rpartition(":")
            found.add((parts[0], address.strip("[]").partition("%")[0], int(port)))
        return found


_remotes: dict[str, Remote] = {}


def _remote(machine: Machine) -> Remote:
    if machine.name not in _remotes:
        _remotes[machine.name] = Remote(machine)
    return _remotes[machine.name]


@pytest.fixture(scope="session")
def every(request: pytest.FixtureRequest) -> Remote:
    return _remote(request.param)


@pytest.fixture(scope="session")
def front(request: pytest.FixtureRequest) -> Remote:
    return _remote(request.param)


@pytest.fixture(scope="session")
def media(request: pytest.FixtureRequest) -> Remote:
    return _remote(request.param)


@pytest.fixture(scope="session")
def remotes(target: Target) -> dict[str, Remote]:
    return {m.name: _remote(m) for m in target.machines}


@pytest.fixture(scope="session")
def codes(target: Target, remotes: dict[str, Remote]) -> list[str]:
    """Short-lived codes for a room of their own: the teacher's, and a pupil's."""
    name = next(m.name for m in target.machines if "front" in m.groups)
    found = json.loads(remotes[name].sudo("/usr/local/bin/classroom-verification-codes", user="portal"))
    return [found["teacher_code"], found["pupil_code"]]

"""SSH options: every login, manual ones too, accepts only the known host keys."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from classroom.clients import pulumi_cli, ssh_keys, ssh_options
from classroom.common import paths
from classroom.common.paths import REPO
from classroom.configure import artifacts
from classroom.configure.inventory import CLASSES
from classroom.verify.deployment import Deployment
from tests.unit.verify.network.test_firewall import inventory


@pytest.fixture(params=[False, True])
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str | None:
    """Set CLASSROOM_SSH_KEY to a file, or unset it."""
    monkeypatch.delenv("CLASSROOM_SSH_KEY", raising=False)
    if not request.param:
        return None
    file = tmp_path / "id"
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    file.chmod(0o600)
    monkeypatch.setenv("CLASSROOM_SSH_KEY", str(file))
    return str(file)


def pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each `-o` option."""
    for flag, word in zip(words[::2], words[1::2], strict=True):
        assert flag == "-o"
        name, _, value = word.partition("=")
        yield name, value


def wanted(known_hosts: Path, key: str | None) -> set[tuple[str, str]]:
    options = {"StrictHostKeyChecking": "yes", "GlobalKnownHostsFile": "/dev/null"}
    options |= {"UserKnownHostsFile": str(known_hosts)}
    return {*options.items(), *({"IdentitiesOnly": "yes", "IdentityFile": key}.items() if key else ())}


def by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the variables of `ansible-playbook -i ansible/inventory`."""
    admins = [{"name": "ada", "public_key": "ssh-ed25519 AAAA"}]
    found = {
        "all": {"vars": {"classroom_admins": admins}},
        "_meta": {"hostvars": {"m": {"ansible_host": "a", "classroom_host_keys": ["k"]}}},
    }
    monkeypatch.setenv("CLASSROOM_STACK", "academy")
    monkeypatch.setattr(paths, "CACHE", folder)
    monkeypatch.setattr(pulumi_cli, "output", lambda stack, name: found)
    monkeypatch.setattr(pulumi_cli, "applied_inventory", lambda stack: {"all": {"vars": {CLASSES: []}}})
    monkeypatch.setattr(artifacts, "shipped", dict)
    monkeypatch.setattr(ssh_keys, "own_keys", lambda address: {})
    runpy.run_path(str(REPO / "ansible" / "inventory"))
    variables: dict[str, Any] = json.loads(capsys.readouterr().out)["all"]["vars"]
    return variables


def test_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str | None
) -> None:
    words = by_hand(tmp_path, monkeypatch, capsys)["ansible_ssh_common_args"].split()
    assert set(pairs(words)) == wanted(tmp_path / "by-hand" / "academy" / "known_hosts", key)


def test_verification(tmp_path: Path, key: str | None) -> None:
    lines = Deployment(inventory()).write_ssh(tmp_path).read_text().rpartition("Host *\n")[2].splitlines()
    assert wanted(tmp_path / "known_hosts", key) <= {(name, value) for name, value in map(str.split, lines)}


def test_options_of_both_forms(tmp_path: Path) -> None:
    options = ssh_options.known_hosts_alone(tmp_path)
    assert dict(pairs(ssh_options.arguments(options))) == options
    assert dict(map(str.split, ssh_options.config_lines(options).splitlines())) == options

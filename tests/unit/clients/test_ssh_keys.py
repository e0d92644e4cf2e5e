"""The keys that are offered at a login: only those that fit, wherever and in whatever spelling they are found."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from classroom.clients import ssh_keys, ssh_options
from classroom.clients.ssh_keys import VARIABLE, named_file, offered, own_keys
from classroom.common.errors import ClassroomError

ADDRESS = "203.0.113.9"
ODD = ("My Keys/id", "50%/id", 'L\'école "1"/id', "a\\b/id", "#1/id")
"""Names of files that a shell, or ssh, gives a meaning of their own."""


def made(path: Path, passphrase: str = "") -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent")


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run an agent; return a function that adds keys to it."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    while not socket.exists():
        assert process.poll() is None

    def add(*files: Path) -> None:
        subprocess.run(["ssh-add", "-q", *map(str, files)], check=True, stderr=subprocess.DEVNULL)

    yield add
    process.terminate()
    process.wait()


def read_by_ssh(options: ssh_options.Options, folder: Path) -> list[dict[str, list[str]]]:
    """Return the options as `ssh` reads them, from its arguments and from a file."""
    config = folder / "config"
    config.write_text(f"Host *\n{ssh_options.config_lines(options)}")
    found = []
    for words in (["-F", "none", *ssh_options.arguments(options)], ["-F", str(config)]):
        answer = subprocess.run(["ssh", "-G", *words, ADDRESS], capture_output=True, text=True, check=True).stdout
        rows: dict[str, list[str]] = {}
        for line in answer.splitlines():
            name, _, value = line.partition(" ")
            rows.setdefault(name, []).append(value)
        found.append(rows)
    return found


def test_keys_are_found_where_ssh_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: Callable[..., None]
) -> None:
    """Only the file in CLASSROOM_SSH_KEY; else the agent's keys and SSH's identity files, encrypted ones by their `.pub`."""
    plain, locked = made(tmp_path / "plain"), made(tmp_path / "locked", "words")
    (tmp_path / "plain.pub").unlink()
    for name, expected in (("plain", plain), ("locked", locked)):
        monkeypatch.setenv(VARIABLE, str(tmp_path / name))
        assert own_keys(ADDRESS) == {expected: tmp_path / name}
    (tmp_path / "locked.pub").unlink()
    assert own_keys(ADDRESS) == {}
    monkeypatch.delenv(VARIABLE)
    agent(tmp_path / "plain")
    assert own_keys(ADDRESS)[plain] is None


def test_of_many_keys_in_the_agent_only_the_fitting_one_is_offered(tmp_path: Path, agent: Callable[..., None]) -> None:
    files = [tmp_path / f"id{number}" for number in range(7)]
    keys = [made(file) for file in files]
    agent(*files)
    options = offered(["ssh-ed25519 AAAAother", keys[6]], own_keys(ADDRESS), tmp_path)
    assert options["IdentitiesOnly"] == "yes"
    (identity,) = options["IdentityFile"]
    assert Path(identity).read_text() == f"{keys[6]}\n"
    # No option if none fits: the keys may be unreadable.
    assert offered(["ssh-ed25519 AAAAother"], own_keys(ADDRESS), tmp_path) == {}


@pytest.mark.parametrize("name", ODD)
def test_the_named_file_reaches_ssh_in_every_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file = tmp_path / name
    file.parent.mkdir()
    key = made(file)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for spelling in (str(file), f"~/{name}", name, f"./{name}", f" {file} "):
        monkeypatch.setenv(VARIABLE, spelling)
        assert named_file() and Path(named_file() or "").samefile(file)
        options = offered([key], own_keys(ADDRESS), tmp_path)
        for found in read_by_ssh(options, tmp_path):
            assert [value.replace("%%", "%") for value in found["identityfile"]] == [str(file)]
            assert found["identitiesonly"] == ["yes"]


@pytest.mark.parametrize("name", ODD)
def test_folders_in_every_spelling_reach_ssh(tmp_path: Path, name: str) -> None:
    known = ssh_options.known_hosts_alone(tmp_path / name)
    for found in read_by_ssh(known, tmp_path):
        assert [value.replace("%%", "%") for value in found["userknownhostsfile"]] == [str(tmp_path / name)]
        assert found["stricthostkeychecking"] == ["true"]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0, ["does not exist", "set the whole path of an administrator's private key"]),
        ("ssh-ed25519 AAAA ada", 0o600, ["contains no private key", "without .pub"]),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", 0o644, ["other accounts can read", "`chmod 600 '"]),
        ("folder", 0, ["is not a file"]),
    ],
)
def test_a_file_that_ssh_would_not_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, mode: int, words: list[str]
) -> None:
    file = tmp_path / "id"
    if content == "folder":
        file.mkdir()
    elif content:
        file.write_text(content)
        file.chmod(mode)
    monkeypatch.setenv(VARIABLE, str(file))
    with pytest.raises(ClassroomError) as caught:
        named_file()
    message = str(caught.value)
    assert message.startswith(f"{VARIABLE}: ") and str(file) in message and "\n" not in message
    assert [word for word in words if word not in message] == [], message


def test_a_socket_with_a_path_that_is_too_long_is_not_used(tmp_path: Path) -> None:
    short, long = Path("/tmp/x"), Path("/tmp") / ("a" * 60)
    assert ssh_options.shared_connection(short, 60)["ControlPath"] == "/tmp/x/cm-%C"
    assert ssh_options.shared_connection(long, 60) == {}
    # The longest path that is used fits into the kernel's structure, with the suffix that ssh adds.
    fits = next(n for n in range(60, 0, -1) if ssh_options.shared_connection(Path("/" + "a" * n), 60))
    assert len("/" + "a" * fits + "/cm-") + 40 + 17 == 107


def test_a_changed_home_does_not_change_where_ssh_searches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not ssh_keys._home_path("~/.ssh/id").is_relative_to(tmp_path)
    assert ssh_keys._home_path("/etc/x") == Path("/etc/x")
    assert os.environ["HOME"] == str(tmp_path)

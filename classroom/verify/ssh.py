"""Access to a machine for verification: Testinfra over SSH, and sudo for the listed commands only."""

import json
import re
import shlex
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import testinfra

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from classroom.verify.deployment import ACCOUNT, Machine

SUDOERS = REPO / "ansible" / "roles" / "base" / "files" / "verifier-sudoers"
ANYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
Listener = tuple[str, str, int, str]
"""A listening socket: protocol, address (`*` for all), port, program."""
FileState = tuple[str, str, str]
"""Mode in the form of `ls`, owner, group."""


@cache
def listed_commands() -> frozenset[tuple[str, str]]:
    """Return the commands that the project's sudoers file allows the verifier: (target user, command with arguments)."""
    text = re.sub(r"^#.*$", "", SUDOERS.read_text(), flags=re.M).replace("\\\n", " ")
    aliases = {name: words.split(",") for name, words in re.findall(r"^Cmnd_Alias (\w+) = (.*)$", text, re.M)}
    found = set()
    for user, rule in re.findall(rf"^{ACCOUNT} ALL=\((\w+)\) NOPASSWD: (.*)$", text, re.M):
        for command in aliases.get(rule.strip(), rule.split(",")):
            found.add((user, " ".join(command.split()).removesuffix(' ""')))
    return frozenset(found)


class RemoteHost:
    """One machine, over SSH, with the read-only verifier account."""

    def __init__(self, machine: Machine, ssh_config: Path) -> None:
        self.machine = machine
        self.host: Any = testinfra.get_host(f"ssh://{ACCOUNT}@{machine.name}", ssh_config=str(ssh_config))

    def listed(self, *command: str, user: str = "root") -> str:
        """Run one of the listed commands as `user` and return its standard output.

        ClassroomError if the project's sudoers file does not list it; AssertionError if it fails on the machine.
        """
        return self.listed_bytes(*command, user=user).decode(errors="replace")

    def listed_bytes(self, *command: str, user: str = "root", good: Collection[int] = (0,)) -> bytes:
        """Run a command as `listed` does and return its output as bytes; `good` are the accepted exit statuses."""
        words = shlex.join(command)
        if (user, words) not in listed_commands():
            raise ClassroomError(f"`{words}` as {user} is not listed in {SUDOERS}: add it there")
        line = f"sudo -n {words}" if user == "root" else f"sudo -n -u {user} {words}"
        answer = self.host.run(line)
        assert answer.rc in good, f"`{line}` on {self.machine.name}: {answer.stderr.strip()}"
        return bytes(answer.stdout_bytes)

    def nft(self) -> list[dict[str, Any]]:
        """Return the whole ruleset in nft's JSON format, with account names."""
        found: list[dict[str, Any]] = json.loads(self.listed("/usr/sbin/nft", "-j", "-u", "list", "ruleset"))[
            "nftables"
        ]
        return found

    def counters(self) -> dict[str, int]:
        """Return the firewall's counters as name → packets."""
        return {i["counter"]["name"]: i["counter"]["packets"] for i in self.nft() if "counter" in i}

    def files(self) -> dict[str, FileState]:
        """Return all files below the classroom's folders as path → (mode, owner, group)."""
        return parse_files(self.listed("/usr/bin/find", "/etc/classroom", "/srv", "/usr/local", "-ls"))

    def listening(self) -> set[Listener]:
        """Return the listening TCP and UDP sockets."""
        return parse_listening(self.listed("/usr/bin/ss", "-H", "-l", "-n", "-t", "-u", "-p"))

    def sockets(self) -> str:
        """Return all TCP and UDP sockets in the format of `ss`; never store it, as it contains participants' addresses."""
        return self.listed("/usr/bin/ss", "-H", "-n", "-t", "-u", "-a", "-p")

    def journal(self) -> str:
        """Return the whole journal, each line with an ISO 8601 timestamp."""
        return self.listed("/usr/bin/journalctl", "--no-pager", "--output=short-iso")

    def sshd(self) -> dict[str, set[str]]:
        """Return the SSH server's effective settings as key → values."""
        found: dict[str, set[str]] = {}
        for line in self.listed("/usr/sbin/sshd", "-T").splitlines():
            key, _, value = line.partition(" ")
            found.setdefault(key, set()).add(value)
        return found

    def container(self) -> str:
        """Return the container type of the machine, or an empty string if it has its own kernel."""
        kind = str(self.host.run("systemd-detect-virt --container").stdout).strip()
        return "" if kind == "none" else kind


def parse_files(text: str) -> dict[str, FileState]:
    """Parse the output of `find -ls` into path → (mode, owner, group)."""
    found = {}
    for line in text.splitlines():
        parts = line.split(maxsplit=10)
        found[re.sub(r" -> .*", "", parts[10])] = (parts[2], parts[4], parts[5])
    return found


def parse_listening(text: str) -> set[Listener]:
    """Parse the output of `ss -H -l -n -t -u -p`; addresses have no interface and no brackets."""
    found = set()
    for line in text.splitlines():
        parts = line.split()
        address, _, port = parts[4].rpartition(":")
        address = address.strip("[]").partition("%")[0]
        programs = re.findall(r'\("([^"]+)"', line)
        address = "*" if address in ANYWHERE else address
        found.add((parts[0], address, int(port), programs[0] if programs else "?"))
    return found

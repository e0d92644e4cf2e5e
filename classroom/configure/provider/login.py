"""Choose the account that Ansible logs in with: an installed administrator, or the image's account."""

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from classroom.clients import ssh_options
from classroom.config.guest import IMAGE_ACCOUNT

Administrator = Mapping[str, str]
"""An entry of `admins`: `name` and `public_key`."""
TRIES = 3
"""Maximum number of accounts tried on a machine: its SSH server blocks an address after three failed logins."""
LOGIN_SECONDS = 90.0
"""Timeout for a machine whose SSH port answers until it accepts or refuses a login, in seconds."""


class NoLoginError(Exception):
    """No account of a machine accepts a login; the message lists those tried."""


@dataclass(frozen=True)
class Logins:
    """The administrators of the last complete run, those in the settings, and the public keys of the user who runs this."""

    before: Sequence[Administrator]
    now: Sequence[Administrator]
    keys: frozenset[str]

    def candidates(self, *, known: bool) -> list[str]:
        """Return the accounts to try, in order; on a new machine (not `known`), the image's account is the first."""
        lasting = [a for a in self.before if _key(a) in {_key(b) for b in self.now}]
        mine = _names([*lasting, *self.before, *self.now], self.keys)[: TRIES - 1]
        return [*mine, IMAGE_ACCOUNT] if known else [IMAGE_ACCOUNT, *mine]

    def final(self, login: str) -> str:
        """Return the administrator whose login is checked before accounts are removed: `login`, if it remains in the settings."""
        mine = _names(self.now, self.keys)
        return login if login in mine else mine[0]

    def fault(self) -> str | None:
        """Return why the login at the end of the run, as an administrator of the settings, would fail; None if it would work."""
        if not self.keys or any(_key(a) in self.keys for a in self.now):
            return None
        return (
            f"admins: this machine has no private key of {_listed(a['name'] for a in self.now)}, but the run has to log in as one of them;"
            " set CLASSROOM_SSH_KEY to an administrator's private key, or add it with ssh-add"
        )


def replaced_at_once(before: Sequence[Administrator], now: Sequence[Administrator]) -> str | None:
    """Return why the administrators `before` cannot be replaced by `now`: no key would remain; None if one remains."""
    if not before or {_key(a) for a in before} & {_key(a) for a in now}:
        return None
    return (
        f"admins: the settings contain no key of the administrators on the machines ({_listed(a['name'] for a in before)}), so that no"
        " login would remain; replace them in two steps: add the new ones, each under a new name, keep one of the current ones and"
        " run `pulumi up`; then remove the current ones and run `pulumi up` again"
    )


def own_keys(address: str) -> frozenset[str]:
    """Return the public keys that `ssh <address>` offers, as far as they are readable."""
    named = os.environ.get("CLASSROOM_SSH_KEY")
    if named:
        return frozenset(_public(Path(named)))
    settings = [line.partition(" ") for line in _output("ssh", "-G", address).splitlines()]
    files = [Path(value).expanduser() for key, _, value in settings if key == "identityfile"]
    agent = next((value for key, _, value in settings if key == "identityagent"), "SSH_AUTH_SOCK")
    own = {} if agent == "SSH_AUTH_SOCK" else {"SSH_AUTH_SOCK": str(Path(agent).expanduser())}
    listed = _output("ssh-add", "-L", environment=own).splitlines()
    return frozenset(_keys(listed)) | {key for file in files for key in _public(file)}


def choose(
    host: str,
    accounts: Sequence[str],
    attempt: Callable[[str], "subprocess.CompletedProcess[str]"],
    go_on: Callable[[], None],
) -> str:
    """Return the first account that can log in and use sudo; NoLoginError gives the reason for each account."""
    reasons = []
    start = time.monotonic()
    for account in accounts:
        while True:
            go_on()
            answer = attempt(account)
            output = " ".join(answer.stderr.split())
            if answer.returncode == 0:
                return account
            if "Host key verification failed" in output or "IDENTIFICATION HAS CHANGED" in output:
                raise NoLoginError(
                    f"{host}: its host key differs from those on its console: do not log in, replace the machine"
                )
            # A machine that is booting, or that blocks this address for some seconds, closes the connection: try again.
            if answer.returncode != 255 or "Permission denied" in output or time.monotonic() - start > LOGIN_SECONDS:
                reasons.append(f"{account} ({output[-200:] or 'no reason given'})")
                break
            time.sleep(1)
    raise NoLoginError(
        f"{host}: no account accepts a login; tried: {', '.join(reasons)}; use the private key of an administrator on the machine:"
        " set CLASSROOM_SSH_KEY, or add it with ssh-add"
    )


def ssh_login(options: Mapping[str, str], address: str) -> Callable[[str], "subprocess.CompletedProcess[str]"]:
    """Return a function that logs in to `address` as an account and runs `sudo -n true`, without prompts."""
    words = ssh_options.arguments({**options, "BatchMode": "yes", "ConnectTimeout": "10"})

    def login(account: str) -> "subprocess.CompletedProcess[str]":
        argv = ["ssh", *words, "-l", account, address, "sudo -n true"]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    return login


def _names(administrators: Iterable[Administrator], keys: frozenset[str]) -> list[str]:
    """Return the names of the administrators with a key in `keys`; all names if there is none, as keys may be unreadable."""
    every = list(administrators)
    mine = [a for a in every if _key(a) in keys] or every
    return list(dict.fromkeys(a["name"] for a in mine))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _key(administrator: Administrator) -> str:
    return " ".join(administrator["public_key"].split()[:2])


def _keys(lines: Iterable[str]) -> set[str]:
    """Return type and key of each line that is a public key; `ssh-add` prints other lines too."""
    return {" ".join(words[:2]) for line in lines if len(words := line.split()) > 1 and words[1].startswith("AAAA")}


def _public(private: Path) -> set[str]:
    beside = private.with_name(f"{private.name}.pub")
    if not private.exists():
        return set()
    if beside.exists():
        return _keys(beside.read_text().splitlines())
    return _keys(_output("ssh-keygen", "-y", "-P", "", "-f", str(private)).splitlines())


def _output(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the standard output of an OpenSSH program, or "" if it fails or is missing."""
    try:
        answer = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError:
        return ""
    return answer.stdout if answer.returncode == 0 else ""

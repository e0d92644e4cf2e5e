"""Choose the account that Ansible logs in with: an installed administrator, or the image's account."""

import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from classroom.clients import ssh_options
from classroom.clients.ssh_keys import output_of
from classroom.config.guest import IMAGE_ACCOUNT

Administrator = Mapping[str, str]
"""An entry of `admins`: `name` and `public_key`."""
TRIES = 3
"""Maximum number of accounts tried on a machine: its SSH server blocks an address after three failed logins."""
LOGIN_SECONDS = 120.0
"""Timeout for a machine with known host keys until it accepts or refuses a login, in seconds."""


class NoLoginError(Exception):
    """No account of a machine accepts a login; the message lists those tried."""


class UnreachableError(Exception):
    """No SSH connection to a machine; the message is what `ssh` reports."""


REFUSALS = ("Permission denied", "Too many authentication failures")
"""What `ssh` reports if the server refuses the keys."""


@dataclass(frozen=True)
class Logins:
    """The administrators of the last complete run, those in the settings, and the public keys of the user who runs this."""

    before: Sequence[Administrator]
    now: Sequence[Administrator]
    keys: Collection[str]

    def candidates(self, *, known: bool) -> list[str]:
        """Return the accounts to try, in order; on a new machine (not `known`), the image's account is the first."""
        lasting = [a for a in self.before if public_key(a) in {public_key(b) for b in self.now}]
        mine = _names([*lasting, *self.before, *self.now], self.keys)[: TRIES - 1]
        return [*mine, IMAGE_ACCOUNT] if known else [IMAGE_ACCOUNT, *mine]

    def final(self, login: str) -> str:
        """Return the administrator whose login is checked before accounts are removed: `login`, if it remains in the settings."""
        mine = _names(self.now, self.keys)
        return login if login in mine else mine[0]

    def fault(self) -> str | None:
        """Return why the login at the end of the run, as an administrator of the settings, would fail; None if it would work."""
        if not self.keys or any(public_key(a) in self.keys for a in self.now):
            return None
        return (
            f"admins: this machine has no private key of {_listed(a['name'] for a in self.now)}, but the run has to log in as one of them;"
            " set CLASSROOM_SSH_KEY to an administrator's private key, or add it with ssh-add"
        )


def replaced_at_once(before: Sequence[Administrator], now: Sequence[Administrator]) -> str | None:
    """Return why the administrators `before` cannot be replaced by `now`: no key would remain; None if one remains."""
    if not before or {public_key(a) for a in before} & {public_key(a) for a in now}:
        return None
    return (
        f"admins: the settings contain no key of the administrators on the machines ({_listed(a['name'] for a in before)}), so that no"
        " login would remain; replace them in two steps: add the new ones, each under a new name, keep one of the current ones and"
        " run `pulumi up`; then remove the current ones and run `pulumi up` again"
    )


def choose(
    host: str,
    accounts: Sequence[str],
    attempt: Callable[[str], "subprocess.CompletedProcess[str]"],
    go_on: Callable[[], None],
) -> str:
    """Return the first account that can log in and use sudo; NoLoginError gives the reason for each account.

    Waits for a machine that does not answer yet; UnreachableError if it does not within LOGIN_SECONDS.
    """
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
            if answer.returncode != 255 or any(words in output for words in REFUSALS):
                reasons.append(f"{account} ({output[-200:] or 'no reason given'})")
                break
            # A machine that is booting, or that blocks this address for some seconds, closes the connection: try again.
            if time.monotonic() - start > LOGIN_SECONDS:
                raise UnreachableError(output[-200:] or "no reason given")
            time.sleep(1)
    raise NoLoginError(
        f"{host}: no account accepts a login; tried: {', '.join(reasons)}; use the private key of an administrator on the machine:"
        " set CLASSROOM_SSH_KEY, or add it with ssh-add"
    )


def ssh_login(options: ssh_options.Options, address: str) -> Callable[[str], "subprocess.CompletedProcess[str]"]:
    """Return a function that logs in to `address` as an account and runs `sudo -n true`, without prompts."""
    words = ssh_options.arguments({**options, "BatchMode": "yes", "ConnectTimeout": "10"})

    def login(account: str) -> "subprocess.CompletedProcess[str]":
        argv = ["ssh", *words, "-l", account, address, "sudo -n true"]
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", check=False
        )

    return login


def proxy_of(address: str) -> str:
    """Return the jump host or proxy command through which `ssh` on this machine connects to an address, or ""."""
    found = dict(line.partition(" ")[::2] for line in output_of("ssh", "-G", address).splitlines())
    named = found.get("proxyjump") or found.get("proxycommand") or ""
    return "" if named == "none" else named


def _names(administrators: Iterable[Administrator], keys: Collection[str]) -> list[str]:
    """Return the names of the administrators with a key in `keys`; all names if there is none, as keys may be unreadable."""
    every = list(administrators)
    mine = [a for a in every if public_key(a) in keys] or every
    return list(dict.fromkeys(a["name"] for a in mine))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def public_key(administrator: Administrator) -> str:
    """Return type and key of an administrator's public key."""
    return " ".join(administrator["public_key"].split()[:2])

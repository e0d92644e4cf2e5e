"""Create a stack and store its secrets with the Pulumi command line."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from classroom.clients.pulumi_cli import environment, pulumi
from classroom.common.errors import WrongUseError
from classroom.config import pem
from classroom.config.settings import SECRETS

PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


class StackSecrets:
    """The secrets of a stack: those that files give by their flags, and those that the stack file has already.

    WrongUseError names the flag if a file cannot be read, or its content is not what the key needs.
    """

    def __init__(self, stack: str, path: Path, files: Mapping[str, Path | None]) -> None:
        self._stack, self._path = stack, path
        self._files = {name: file.expanduser() for name, file in files.items() if file}
        self._given = {name: _content(name, file) for name, file in self._files.items()}
        self._stored: dict[str, str] = {}

    def readable(self) -> dict[str, str]:
        """Return the secrets in clear, by key: those of files, and those of the stack as far as its passphrase is set."""
        if self._path.exists() and passphrase_set():
            for name in sorted(SECRETS):
                answer = self._run("config", "get", name, "--stack", self._stack)
                if answer.returncode == 0:
                    self._stored[name] = answer.stdout.strip()
        return self._stored | self._given

    def store(self, wanted: Mapping[str, Any]) -> list[str]:
        """Create the stack if it is missing, and store what is not stored yet; return what is left to do, one line each."""
        new = {
            name: value for name, value in wanted.items() if isinstance(value, str) and self._stored.get(name) != value
        }
        init = f"pulumi stack init {self._stack}"
        commands = {
            name: f"pulumi config set --secret {name} --stack {self._stack} < '{self._files.get(name, 'FILE')}'"
            for name in new
        }
        if not passphrase_set():
            if self._path.exists() and not new and self._has_salt():
                return [f"set the passphrase of the stack ({PASSPHRASE[1]}=FILE)"]
            return [
                "choose a passphrase for the stack's secrets, keep it in a file that only you can read, and run"
                f" `export {PASSPHRASE[1]}=FILE`",
                *(f"run `{one}`" for one in (init, *commands.values())),
            ]
        created = self._run("stack", "init", self._stack)
        if created.returncode and "already exists" not in created.stderr:
            return [
                f"run `{init}` ({_first(created.stderr)})",
                *(f"run `{one}`" for one in commands.values()),
            ]
        left = []
        for name, text in new.items():
            done = self._run("config", "set", "--secret", name, "--stack", self._stack, given=text)
            if done.returncode:
                left.append(f"run `{commands[name]}` ({_first(done.stderr)})")
        return left

    def _has_salt(self) -> bool:
        return "encryptionsalt:" in self._path.read_text(encoding="utf-8", errors="replace")

    def _run(self, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            pulumi(*words),
            cwd=self._path.parent,
            env=environment(),
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )


def _content(name: str, file: Path) -> str:
    flag = f"--{name.replace('_', '-')}"
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise WrongUseError(
            f"{flag}: the file '{file}' cannot be read ({error.strerror}); give the path of a readable file"
        ) from None
    try:
        return pem.private_key_text(text) if name == "certificate_key" else "".join(text.split())
    except ValueError as error:
        raise WrongUseError(f"{flag}: '{file}' {error}") from None


def passphrase_set() -> bool:
    """Return whether Pulumi finds a passphrase in the environment."""
    return any(name in os.environ for name in PASSPHRASE)


def _first(text: str) -> str:
    lines = [line.removeprefix("error: ") for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"

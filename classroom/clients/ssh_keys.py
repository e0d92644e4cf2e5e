"""Find the keys with which `ssh` on this machine can log in, and compose the options that offer only those that fit."""

import os
import pwd
import stat
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from classroom.clients.ssh_options import Options, literal
from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO

VARIABLE = "CLASSROOM_SSH_KEY"
"""The environment variable that names the private key to log in with."""
FIX = "set the whole path of an administrator's private key"
OwnKeys = Mapping[str, Path | None]
"""Public keys (type and key), each with the file of its private key; None if only the agent has it."""


def named_file() -> Path | None:
    """Return the whole path of the file in CLASSROOM_SSH_KEY, or None if it is not set.

    ClassroomError if `ssh` would not use this file. A relative path begins in the current folder or in this clone.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib raises an error for an unknown account
    places = [path] if path.is_absolute() else [Path.cwd() / path, REPO / path]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise ClassroomError(f"{VARIABLE}: the file '{text}' does not exist; {FIX}")
    _check(found, text)
    return found


def _check(file: Path, text: str) -> None:
    if not file.is_file():
        raise ClassroomError(f"{VARIABLE}: '{text}' is not a file; {FIX}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ClassroomError(
            f"{VARIABLE}: the file '{text}' cannot be read ({error.strerror}); make it readable for this account, or {FIX}"
        ) from None
    if b"PRIVATE KEY" not in content:
        raise ClassroomError(
            f"{VARIABLE}: the file '{text}' contains no private key; {FIX}, which has the name of the public key without .pub"
        )
    status = file.stat()
    if status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) & 0o077:
        raise ClassroomError(
            f"{VARIABLE}: other accounts can read the file '{text}', and ssh refuses such keys; run `chmod 600 '{file}'`"
        )


def own_keys(address: str) -> OwnKeys:
    """Return the keys that `ssh <address>` can log in with, as far as their public keys are readable."""
    if named := named_file():
        return dict.fromkeys(_public(named), named)
    settings = [line.partition(" ") for line in output_of("ssh", "-G", address).splitlines()]
    files = [_home_path(value) for key, _, value in settings if key == "identityfile"]
    agent = next((value for key, _, value in settings if key == "identityagent"), "SSH_AUTH_SOCK")
    own = {} if agent == "SSH_AUTH_SOCK" else {"SSH_AUTH_SOCK": str(_home_path(agent))}
    listed = output_of("ssh-add", "-L", environment=own).splitlines()
    found: dict[str, Path | None] = dict.fromkeys(_keys(listed))
    for file in files:
        found |= dict.fromkeys(_public(file), file)
    return found


def offered(wanted: Iterable[str], own: OwnKeys, folder: Path) -> Options:
    """Return the options that offer only those of one's own keys that are in `wanted`: servers refuse a login after a few others.

    No options if none fits, as keys may be unreadable. `folder` gets the public keys of those that only the agent has.
    """
    if named := named_file():
        return {"IdentitiesOnly": "yes", "IdentityFile": literal(named)}
    files = []
    for number, key in enumerate(key for key in dict.fromkeys(wanted) if key in own):
        file = own[key]
        if file is None:
            file = folder / f"identity-{number}.pub"
            file.write_text(f"{key}\n")
        files.append(literal(file))
    return {"IdentitiesOnly": "yes", "IdentityFile": tuple(files)} if files else {}


def _home_path(text: str) -> Path:
    """Return a path of ssh's configuration; `~` is the folder in the account database, whatever HOME says."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    return Path(home + text[1:] if text == "~" or text.startswith("~/") else text)


def _keys(lines: Iterable[str]) -> list[str]:
    """Return type and key of each line that is a public key; `ssh-add` prints other lines too."""
    return [" ".join(words[:2]) for line in lines if len(words := line.split()) > 1 and words[1].startswith("AAAA")]


def _public(private: Path) -> list[str]:
    beside = private.with_name(f"{private.name}.pub")
    if not private.exists():
        return []
    if beside.exists():
        return _keys(beside.read_text(errors="replace").splitlines())
    return _keys(output_of("ssh-keygen", "-y", "-P", "", "-f", str(private)).splitlines())


def output_of(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the standard output of an OpenSSH program, or "" if it fails or is missing."""
    try:
        answer = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError:
        return ""
    return answer.stdout if answer.returncode == 0 else ""

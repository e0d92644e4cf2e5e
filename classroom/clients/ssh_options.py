"""How machines are reached over SSH: with checked host keys, and with the operator's own key where one is named."""

import os
from collections.abc import Mapping
from pathlib import Path


def known_hosts_alone(path: Path) -> dict[str, str]:
    """Return the options by which a host has to show one of the keys in the file `path`."""
    return {"StrictHostKeyChecking": "yes", "UserKnownHostsFile": str(path), "GlobalKnownHostsFile": "/dev/null"}


def operators_key() -> dict[str, str]:
    """Return the options by which the key that CLASSROOM_SSH_KEY names is offered alone; none if it is not set."""
    key = os.environ.get("CLASSROOM_SSH_KEY")
    return {"IdentitiesOnly": "yes", "IdentityFile": key} if key else {}


def arguments(options: Mapping[str, str]) -> list[str]:
    """Return options as words of a command line of `ssh`."""
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def config_lines(options: Mapping[str, str]) -> str:
    """Return options as lines of a block of an SSH configuration."""
    return "".join(f"  {name} {value}\n" for name, value in options.items())

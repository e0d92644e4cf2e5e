"""Compose SSH options: strict host key checking, and the private key in CLASSROOM_SSH_KEY."""

import os
from collections.abc import Mapping
from pathlib import Path


def known_hosts_alone(path: Path) -> dict[str, str]:
    """Return the options that accept only the host keys in the file `path`."""
    return {"StrictHostKeyChecking": "yes", "UserKnownHostsFile": str(path), "GlobalKnownHostsFile": "/dev/null"}


def operators_key() -> dict[str, str]:
    """Return the options that offer only the key in CLASSROOM_SSH_KEY; no options if it is not set."""
    key = os.environ.get("CLASSROOM_SSH_KEY")
    return {"IdentitiesOnly": "yes", "IdentityFile": key} if key else {}


def arguments(options: Mapping[str, str]) -> list[str]:
    """Return options as arguments of `ssh`."""
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def config_lines(options: Mapping[str, str]) -> str:
    """Return options as lines of a `Host` block in an SSH configuration."""
    return "".join(f"  {name} {value}\n" for name, value in options.items())

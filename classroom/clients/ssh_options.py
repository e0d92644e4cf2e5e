"""Compose SSH options: strict host key checking, and the form of values in arguments and configuration files."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

SOCKET_PATH, DIGEST, SUFFIX = 107, 40, 17
"""Maximum length of a socket's path; length of ssh's digest of a connection, and of the suffix of a socket that is being made."""
Options = Mapping[str, str | tuple[str, ...]]
"""Options by name; one with several values, such as IdentityFile, is a tuple."""


def known_hosts_alone(path: Path) -> dict[str, str]:
    """Return the options that accept only the host keys in the file `path`."""
    return {"StrictHostKeyChecking": "yes", "UserKnownHostsFile": literal(path), "GlobalKnownHostsFile": "/dev/null"}


def literal(path: Path) -> str:
    """Return a path as a value in which `ssh` replaces nothing."""
    return str(path).replace("%", "%%")


def shared_connection(folder: Path, seconds: int) -> dict[str, str]:
    """Return the options that share a connection by a socket in `folder`, kept for `seconds` without use.

    No options if the socket's path would be too long for the kernel: each login then has its own connection.
    """
    if len(str(folder / "cm-")) + DIGEST + SUFFIX > SOCKET_PATH:
        return {}
    return {"ControlMaster": "auto", "ControlPersist": f"{seconds}s", "ControlPath": f"{literal(folder)}/cm-%C"}


def arguments(options: Options) -> list[str]:
    """Return options as arguments of `ssh`."""
    return [word for name, value in _rows(options) for word in ("-o", f"{name}={value}")]


def config_lines(options: Options) -> str:
    """Return options as lines of a `Host` block in an SSH configuration."""
    return "".join(f"  {name} {value}\n" for name, value in _rows(options))


def _rows(options: Options) -> Iterator[tuple[str, str]]:
    for name, values in options.items():
        for value in (values,) if isinstance(values, str) else values:
            yield name, _quoted(value)


def _quoted(value: str) -> str:
    """Return a value as one word of an SSH configuration."""
    if not re.search(r"""[\s"'\\#]""", value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

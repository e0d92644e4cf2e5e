"""Read the join service's configuration, which Ansible writes on the host."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.codes import ROLES
from portal.plans import ClassEntry

CLASS_KEYS = {"room": str, "name": str, "size": int, "waiting_room": bool, "versions": dict}
CODES_KEY = "class-codes.key"
"""Name of the file with the key of the class codes."""
KEY_BYTES = 32
FIX = "run `classroom configure`"


class ConfigError(Exception):
    """The configuration is invalid; the message is one sentence with file, key and fix."""


@dataclass(frozen=True)
class Config:
    """`livekit` are the API URLs of the media servers; any of them serves all rooms. `codes_key` is the key of class codes."""

    domain: str
    url: str
    livekit: list[str]
    key: str
    secret: str
    codes_key: bytes
    classes: list[ClassEntry]


def load() -> Config:
    """Return the configuration from portal.json (public), secrets/portal.json, and secrets/CODES_KEY.

    Raises ConfigError, whose message contains no secret value.
    """
    path = _folder() / "portal.json"
    settings = _read(path, {"domain": str, "url": str, "livekit": list, "livekit_key": str, "classes": list})
    if not all(map(_is_class, settings["classes"])):
        raise ConfigError(
            f"{path}: each entry of `classes` needs {', '.join(CLASS_KEYS)}, with a version for each role; {FIX}"
        )
    return Config(
        domain=settings["domain"],
        url=settings["url"],
        livekit=settings["livekit"],
        key=settings["livekit_key"],
        secret=load_secret(),
        codes_key=_codes_key(),
        classes=settings["classes"],
    )


def load_secret() -> str:
    """Return the secret of the media servers' API; ConfigError if it cannot be read."""
    return str(_read(_folder() / "secrets" / "portal.json", {"livekit_secret": str})["livekit_secret"])


def _folder() -> Path:
    return Path(os.environ.get("PORTAL_CONFIG", "/etc/classroom"))


def _is_class(entry: Any) -> bool:
    if not isinstance(entry, dict) or {key: type(entry.get(key)) for key in CLASS_KEYS} != CLASS_KEYS:
        return False
    return all(type(entry["versions"].get(role)) is int for role in ROLES)


def _codes_key() -> bytes:
    """Return the key of the class codes, from a file that only the service's account can read."""
    path = _folder() / "secrets" / CODES_KEY
    try:
        key = bytes.fromhex(_text(path))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path} is not a key of {2 * KEY_BYTES} hexadecimal digits; {FIX}")
    return key


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); {FIX}") from None


def _read(path: Path, keys: dict[str, type]) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except ValueError:
        raise ConfigError(f"{path} is not valid JSON; {FIX}") from None
    for key, kind in keys.items():
        if not isinstance(found, dict) or not isinstance(found.get(key), kind) or not found[key]:
            if key == "classes" and isinstance(found, dict) and found.get(key) == []:
                continue  # then only verification codes are valid
            raise ConfigError(f"{path}: `{key}` is missing or empty; {FIX}")
    return dict(found)

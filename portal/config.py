"""Read the join service's configuration, which Ansible writes on the host."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.codes import CodeEntry
from portal.plans import ClassEntry

CLASS_KEYS = {"room": str, "name": str, "size": int, "waiting_room": bool}


class ConfigError(Exception):
    """The configuration is invalid; the message is one sentence with file, key and fix."""


@dataclass(frozen=True)
class Config:
    """`livekit` are the API URLs of the media servers; any of them serves all rooms."""

    domain: str
    url: str
    livekit: list[str]
    key: str
    secret: str
    codes: list[CodeEntry]
    classes: list[ClassEntry]


def load() -> Config:
    """Return the configuration from portal.json (public) and secrets/portal.json, in $PORTAL_CONFIG or /etc/classroom.

    Raises ConfigError, whose message contains no secret value.
    """
    folder = Path(os.environ.get("PORTAL_CONFIG", "/etc/classroom"))
    settings = _read(
        folder / "portal.json", {"domain": str, "url": str, "livekit": list, "livekit_key": str, "classes": list}
    )
    hidden = _read(folder / "secrets" / "portal.json", {"livekit_secret": str, "codes": list})
    for code in hidden["codes"]:
        if not isinstance(code, dict) or not {"room", "role", "sha256"} <= code.keys():
            raise ConfigError(
                f"{folder}/secrets/portal.json: each entry of `codes` needs room, role and sha256; run `classroom configure`"
            )
        if code["role"] not in {"teacher", "pupil"}:
            raise ConfigError(
                f"{folder}/secrets/portal.json: the role of a code must be teacher or pupil; run `classroom configure`"
            )
    for entry in settings["classes"]:
        if not isinstance(entry, dict) or {key: type(entry.get(key)) for key in CLASS_KEYS} != CLASS_KEYS:
            raise ConfigError(
                f"{folder}/portal.json: each entry of `classes` needs room, name, size and waiting_room; run `classroom configure`"
            )
    return Config(
        domain=settings["domain"],
        url=settings["url"],
        livekit=settings["livekit"],
        key=settings["livekit_key"],
        secret=hidden["livekit_secret"],
        codes=hidden["codes"],
        classes=settings["classes"],
    )


def _read(path: Path, keys: dict[str, type]) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); run `classroom configure`") from None
    except ValueError:
        raise ConfigError(f"{path} is not valid JSON; run `classroom configure`") from None
    for key, kind in keys.items():
        if not isinstance(found, dict) or not isinstance(found.get(key), kind) or not found[key]:
            if key == "codes" and isinstance(found, dict) and found.get(key) == []:
                continue  # then only verification codes are valid
            raise ConfigError(f"{path}: `{key}` is missing or empty; run `classroom configure`")
    return dict(found)

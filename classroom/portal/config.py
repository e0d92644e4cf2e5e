"""The join service's configuration, as Ansible lays it out on the host."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from classroom.portal.codes import CodeEntry


@dataclass(frozen=True)
class Config:
    """`livekit` are the addresses of the media servers' interfaces, of which any answers for all."""

    domain: str
    url: str
    livekit: list[str]
    key: str
    secret: str
    codes: list[CodeEntry]


def load() -> Config:
    """Return the configuration: what all may read from portal.json, and the secrets from secrets/portal.json."""
    folder = Path(os.environ.get("PORTAL_CONFIG", "/etc/classroom"))
    settings = json.loads((folder / "portal.json").read_text())
    hidden = json.loads((folder / "secrets" / "portal.json").read_text())
    return Config(
        domain=settings["domain"],
        url=settings["url"],
        livekit=settings["livekit"],
        key=settings["livekit_key"],
        secret=hidden["livekit_secret"],
        codes=hidden["codes"],
    )

"""Read the frames that pages send: JSON objects of a fixed shape."""

import json
from dataclasses import dataclass
from typing import Any

from portal.live_class import CHAT_MODES

FRAME_BYTES = 8192
MOST_RE = 2**31
ANSWER = "answer"

REQUIRED: dict[str, dict[str, type]] = {
    "chat": {"text": str},
    "hand": {"raised": bool},
    "token": {},
    "leave": {},
    "ping": {},
    "mute_all": {},
    "lock": {"locked": bool},
    "chat_mode": {"mode": str},
    "delete": {"message": str},
    "waiting_room": {"on": bool},
    "admit": {},
    "refuse": {"identity": str},
    "remove": {"identity": str},
    "end_raid": {"keep": list},
}
OPTIONAL: dict[str, dict[str, type]] = {
    "hand": {"identity": str},
    "admit": {"identity": str, "all": bool},
}
TEACHERS = frozenset(
    {"mute_all", "lock", "chat_mode", "delete", "waiting_room", "admit", "refuse", "remove", "end_raid"}
)
"""Requests of teachers alone."""


class Refused(Exception):
    """A request is refused; its argument is the error for the answer."""


@dataclass(frozen=True)
class Command:
    """A request of the right shape."""

    kind: str
    number: int
    values: dict[str, Any]


def parse(text: str) -> dict[str, Any]:
    """Return the JSON object of a frame; raise Refused for other JSON, a key twice, or text that is not Unicode."""
    try:
        found = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused("bad_message") from None
    if not isinstance(found, dict):
        raise Refused("bad_message")
    return found


def number_of(found: dict[str, Any]) -> int | None:
    """Return the number that the page gave its request, or None if there is no valid one."""
    number = found.get("re")
    return number if type(number) is int and 0 <= number <= MOST_RE else None


def request(found: dict[str, Any]) -> Command:
    """Return the request; raise Refused if it is unknown or has another shape."""
    kind, number = found.get("type"), number_of(found)
    if number is None or not isinstance(kind, str) or kind not in REQUIRED:
        raise Refused("bad_message")
    required, optional = REQUIRED[kind], OPTIONAL.get(kind, {})
    values = {key: value for key, value in found.items() if key in required or key in optional}
    if not required.keys() <= values.keys():
        raise Refused("bad_value")
    if any(type(value) is not (required | optional)[key] for key, value in values.items()):
        raise Refused("bad_value")
    if kind == "chat_mode" and values["mode"] not in CHAT_MODES:
        raise Refused("bad_value")
    if kind == "end_raid" and not all(isinstance(identity, str) for identity in values["keep"]):
        raise Refused("bad_value")
    return Command(kind, number, values)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)

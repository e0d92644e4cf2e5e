"""Describe classes as configured, and rooms of a verification, which exist for 15 minutes at most."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from portal.codes import ALPHABET, VERIFICATION, VERIFICATION_SECONDS, Admission, normal

VERIFICATION_PEOPLE = 3
VERIFICATION_ROOMS = 2
"""Largest number of rooms of verifications in use at the same time."""
VERIFICATION_ROOM = re.compile(r"verification-[0-9a-z]{8}")


class ClassEntry(TypedDict):
    """A class as configured on the hosts."""

    room: str
    name: str
    size: int
    waiting_room: bool


@dataclass(frozen=True)
class ClassPlan:
    """What a class is opened with; `ends` (Unix time) is set for rooms of a verification alone."""

    room: str
    size: int
    waiting_room: bool = False
    ends: float | None = None

    @property
    def verification(self) -> bool:
        """Return whether this is a room of a verification."""
        return self.ends is not None


class Plans:
    """The configured classes."""

    def __init__(self, entries: Iterable[ClassEntry]) -> None:
        self.classes = {e["room"]: ClassPlan(e["room"], e["size"], e["waiting_room"]) for e in entries}

    def of_code(self, admission: Admission, code: str) -> ClassPlan | None:
        """Return the plan of the room that a code admits to, or None if there is no such class."""
        if found := self.classes.get(admission.room):
            return found
        match = VERIFICATION.fullmatch(normal(code))
        return verification_plan(admission.room, _unix_time(match[3])) if match else None

    def of_room(self, room: str, created: float) -> ClassPlan | None:
        """Return the plan of a room that exists on the media server since `created`, or None for a room of another kind."""
        if VERIFICATION_ROOM.fullmatch(room):
            return verification_plan(room, created + VERIFICATION_SECONDS)
        return self.classes.get(room)


def verification_plan(room: str, ends: float) -> ClassPlan:
    """Return the plan of a verification's room."""
    return ClassPlan(room, VERIFICATION_PEOPLE, ends=ends)


def _unix_time(minute: str) -> float:
    """Return the Unix time of the minute that a verification code contains."""
    value = 0
    for letter in minute:
        value = value * len(ALPHABET) + ALPHABET.index(letter)
    return 60.0 * value

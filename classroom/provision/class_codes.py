"""Format and hash class codes, and compose the output `classes`."""

import hashlib
from collections.abc import Mapping
from typing import TypedDict

from classroom.config.settings import Settings


class ClassLinks(TypedDict):
    """A class in the output `classes`."""

    name: str
    url: str
    teacher_code: str
    pupil_code: str


def grouped(code: str) -> str:
    """Return the code in groups of four characters, joined by hyphens; a remainder is added to the last group."""
    groups = [code[i : i + 4] for i in range(0, len(code), 4)]
    if len(groups) > 1 and len(groups[-1]) < 4:
        groups[-2:] = [groups[-2] + groups[-1]]
    return "-".join(groups)


def digest_of(code: str) -> str:
    """Return the SHA-256 (hex) of a code without hyphens, as stored on the hosts."""
    return hashlib.sha256(code.encode()).hexdigest()


def links(settings: Settings, codes: Mapping[str, Mapping[str, str]]) -> list[ClassLinks]:
    """Return the classes with the URL of the page and both codes."""
    return [
        ClassLinks(
            name=entry.name,
            url=f"https://{settings.domain}/",
            teacher_code=grouped(codes[entry.room]["teacher"]),
            pupil_code=grouped(codes[entry.room]["pupil"]),
        )
        for entry in settings.classes
    ]

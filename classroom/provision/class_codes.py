"""Derive the class codes from the stack's key, as the join service does, and compose the output `classes`."""

import base64
import hashlib
import hmac
from typing import TypedDict

from classroom.config.settings import Settings

CODE_LENGTH = {"teacher": 13, "pupil": 10}
"""Number of characters of a code by role, with five bits each."""
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32 alphabet, without letters that look like digits."""


class ClassLinks(TypedDict):
    """A class in the output `classes`."""

    name: str
    url: str
    teacher_code: str
    pupil_code: str


def derive_code(key: str, room: str, role: str, version: int) -> str:
    """Return a class code under the stack's key (hexadecimal digits); the join service (`portal/codes.py`) returns the same."""
    message = f"class code\0{room}\0{role}\0{version}".encode()
    letters = base64.b32encode(hmac.digest(bytes.fromhex(key), message, hashlib.sha256)).decode().rstrip("=")
    return letters.translate(str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", CROCKFORD))[: CODE_LENGTH[role]]


def grouped(code: str) -> str:
    """Return the code in groups of four characters, joined by hyphens; a remainder is added to the last group."""
    groups = [code[i : i + 4] for i in range(0, len(code), 4)]
    if len(groups) > 1 and len(groups[-1]) < 4:
        groups[-2:] = [groups[-2] + groups[-1]]
    return "-".join(groups)


def links(settings: Settings, key: str) -> list[ClassLinks]:
    """Return the classes with the URL of the page and both codes."""
    return [
        ClassLinks(
            name=entry.name,
            url=f"https://{settings.domain}/",
            teacher_code=grouped(derive_code(key, entry.room, "teacher", entry.code_versions.teacher)),
            pupil_code=grouped(derive_code(key, entry.room, "pupil", entry.code_versions.pupil)),
        )
        for entry in settings.classes
    ]

"""Derive the class codes and check them, and issue short-lived codes for a verification; no code is stored."""

import base64
import hashlib
import hmac
import re
import time
import unicodedata
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict

Role = Literal["teacher", "pupil"]
ROLES: tuple[Role, ...] = ("teacher", "pupil")

CODE_LENGTH: dict[Role, int] = {"teacher": 13, "pupil": 10}
"""Number of characters of a code, with five bits each: 65 bits for a teacher's code, 50 for a pupil's.

A correct code is always admitted, however many wrong ones came before, so its length alone protects a class. With 2,000 guesses a
second, without a break, the pupils' code of one given class is found after 8,900 years on average, of any one of 1,000 classes after
18 years, and a teacher's code of any one of 1,000 classes after 584,000 years. `classroom codes renew` makes earlier guesses worthless.
"""
VERIFICATION_SECONDS = 900
VERIFICATION = re.compile(r"V([TP])([0-9A-Z]{8})([0-9A-Z]{6})([0-9A-Z]{16})")
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32 alphabet."""
LOOKALIKES = str.maketrans("OIL", "011")
_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET)
"""From the letters of RFC 4648 to those of Crockford."""


class VersionedRoom(TypedDict):
    """The room of a class, and the version of each role's code."""

    room: str
    versions: dict[Role, int]


@dataclass(frozen=True)
class Admission:
    """The room and the role that a code admits to."""

    room: str
    role: Role


def derive(key: bytes, room: str, role: Role, version: int) -> str:
    """Return the code of a class for a role: the first bits of an HMAC-SHA-256 under `key`, in Crockford's Base32."""
    proof = hmac.digest(key, f"class code\0{room}\0{role}\0{version}".encode(), hashlib.sha256)
    return _crockford(proof)[: CODE_LENGTH[role]]


def normal(written: str) -> str:
    """Return the normal form of what was typed or pasted: a code, with anything around it, or a link that ends in one.

    Only letters and digits count, as capitals; O, I and L are digits.
    """
    code = urllib.parse.unquote(written.rpartition("#")[2])
    letters = "".join(c for c in unicodedata.normalize("NFKC", code) if c.isalnum())
    return letters.upper().translate(LOOKALIKES)


class Codes:
    """The valid codes of this host: those of `classes` under `key`, and those of verifications under `secret`."""

    def __init__(self, classes: Iterable[VersionedRoom], key: bytes, secret: str) -> None:
        # By digest, so that the time of a search reveals nothing about the codes.
        self._admissions = {
            _digest(derive(key, entry["room"], role, entry["versions"][role])): Admission(entry["room"], role)
            for entry in classes
            for role in ROLES
        }
        self._secret = secret

    def admit(self, code: str) -> Admission | None:
        """Return the room and role of a code, or None if it is not valid."""
        written = normal(code)
        return self._admissions.get(_digest(written)) or _verified(self._secret, written)


def verification_codes(secret: str, nonce: str) -> dict[str, str | int]:
    """Return `teacher_code` and `pupil_code` for a separate `room`, and when they expire (`expires`, Unix time).

    They are valid for VERIFICATION_SECONDS. Nothing is stored: a code contains its expiry and an HMAC. `nonce` is 8
    characters of ALPHABET.
    """
    expires = int(time.time()) + VERIFICATION_SECONDS
    made = {f"{role}_code": _sign(secret, role[0].upper(), nonce, _base32(expires // 60)) for role in ROLES}
    return {"room": f"verification-{nonce.lower()}", "expires": expires, **made}


def _sign(secret: str, role: str, nonce: str, minute: str) -> str:
    proof = hmac.digest(secret.encode(), f"verification {role} {nonce} {minute}".encode(), hashlib.sha256)
    return f"V{role}{nonce}{minute}{_crockford(proof)[:16]}"


def _verified(secret: str, written: str) -> Admission | None:
    match = VERIFICATION.fullmatch(written)
    if not match:
        return None
    role, nonce, minute, _ = match.groups()
    if not hmac.compare_digest(_sign(secret, role, nonce, minute), written) or _number(minute) * 60 < time.time():
        return None
    return Admission(f"verification-{nonce.lower()}", "teacher" if role == "T" else "pupil")


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


def _crockford(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").translate(_CROCKFORD)


def _base32(number: int) -> str:
    digits = ""
    for _ in range(6):
        digits = ALPHABET[number % 32] + digits
        number //= 32
    return digits


def _number(text: str) -> int:
    value = 0
    for letter in text:
        value = value * 32 + (ALPHABET.index(letter) if letter in ALPHABET else 0)
    return value

"""Check class codes, and issue short-lived codes for a verification; no code is stored in plain text."""

import base64
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from typing import Literal, TypedDict

Role = Literal["teacher", "pupil"]

VERIFICATION_SECONDS = 900
VERIFICATION = re.compile(r"V([TP])([0-9A-Z]{8})([0-9A-Z]{6})([0-9A-Z]{16})")
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LOOKALIKES = str.maketrans("OIL", "011")


class CodeEntry(TypedDict):
    """A class code as stored on the hosts: its room, its role, and the SHA-256 (hex) of its normal form."""

    room: str
    role: Role
    sha256: str


@dataclass(frozen=True)
class Admission:
    """The room and the role that a code admits to."""

    room: str
    role: Role


def normal(code: str) -> str:
    """Return the normal form of a code: capitals, without hyphens and spaces, O, I and L replaced by digits."""
    return re.sub(r"[\s\-\u2010-\u2015\u2212]", "", code).upper().translate(LOOKALIKES)


class Codes:
    """The valid codes of this host."""

    def __init__(self, entries: list[CodeEntry], secret: str) -> None:
        self._entries = {entry["sha256"]: Admission(entry["room"], entry["role"]) for entry in entries}
        self._secret = secret.encode()

    def admit(self, code: str) -> Admission | None:
        """Return the room and role of a code, or None if it is not valid."""
        written = normal(code)
        return self._entries.get(hashlib.sha256(written.encode()).hexdigest()) or self._verification(written)

    def verification(self, nonce: str) -> dict[str, str | int]:
        """Return `teacher_code` and `pupil_code` for a separate `room`, and when they expire (`expires`, Unix time).

        They are valid for VERIFICATION_SECONDS. Nothing is stored: a code contains its expiry and an HMAC. `nonce` is 8
        characters of ALPHABET.
        """
        expires = int(time.time()) + VERIFICATION_SECONDS
        made = {
            f"{role}_code": self._sign(role[0].upper(), nonce, _base32(expires // 60)) for role in ("teacher", "pupil")
        }
        return {"room": f"verification-{nonce.lower()}", "expires": expires, **made}

    def _sign(self, role: str, nonce: str, minute: str) -> str:
        proof = hmac.new(self._secret, f"verification {role} {nonce} {minute}".encode(), hashlib.sha256).digest()
        text = (
            base64.b32encode(proof[:10]).decode().translate(str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET))
        )
        return f"V{role}{nonce}{minute}{text}"

    def _verification(self, written: str) -> Admission | None:
        match = VERIFICATION.fullmatch(written)
        if not match:
            return None
        role, nonce, minute, _ = match.groups()
        if not hmac.compare_digest(self._sign(role, nonce, minute), written) or _number(minute) * 60 < time.time():
            return None
        return Admission(f"verification-{nonce.lower()}", "teacher" if role == "T" else "pupil")


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

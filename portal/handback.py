"""Seal what the service alone knows of a class; teachers' pages keep it, and hand it back after a restart."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from portal.signing import Signer

HEAD = struct.Struct(">QBH")
ID_BYTES = 8
MOST_BYTES = 5200
"""Limit of the sealed data, so that a page's first frame stays below 8 KiB."""
MODES = ("all", "teacher", "off")


@dataclass(frozen=True)
class Kept:
    """The state of a class: `version` is the Unix time of its last change in milliseconds, or later."""

    version: int
    locked: bool
    chat: str
    waiting_room: bool
    admitted: tuple[str, ...]
    removed: tuple[str, ...]


class Handback:
    """Seals and reads the state of classes."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def seal(self, room: str, kept: Kept) -> str:
        """Return the state as signed text; if it is too long, the first identities of each kind are left out."""
        flags = kept.locked | kept.waiting_room << 1 | MODES.index(kept.chat) << 2
        most = (MOST_BYTES - HEAD.size) // (ID_BYTES + 1)
        admitted = kept.admitted[-most:]
        removed = kept.removed[max(0, len(kept.removed) - (most - len(admitted))) :]
        data = HEAD.pack(kept.version, flags, len(admitted)) + _pack(admitted) + _pack(removed)
        return self._signer(room).sign(data)

    def read(self, room: str, text: str) -> Kept | None:
        """Return the state, or None if this service did not seal it for this room."""
        data = self._signer(room).read(text)
        if data is None:
            return None
        version, flags, count = HEAD.unpack_from(data)
        people = _unpack(data[HEAD.size :])
        return Kept(
            version, bool(flags & 1), MODES[flags >> 2], bool(flags & 2), tuple(people[:count]), tuple(people[count:])
        )

    def _signer(self, room: str) -> Signer:
        return Signer(self._secret, f"handback {room}")


def _pack(people: Iterable[str]) -> bytes:
    return b"".join(identity[0].encode() + bytes.fromhex(identity[2:]) for identity in people)


def _unpack(data: bytes) -> list[str]:
    step = ID_BYTES + 1
    return [f"{chr(data[at])}-{data[at + 1 : at + step].hex()}" for at in range(0, len(data), step)]

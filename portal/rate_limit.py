"""What the join service remembers while it runs, in memory alone: wrong codes, locked rooms, who was removed."""

import ipaddress
import time
from collections import deque
from dataclasses import dataclass, field

WRONG_CODES, WRONG_SECONDS = 30, 60.0
"""Wrong codes from one address in this time, before it must wait; a school may stand behind one address."""
KNOWN_SECONDS = 3600.0
"""So long an address that opened a room keeps its way into that room, whoever else guesses from there."""
HANDS, HANDS_SECONDS = 30, 60.0
BANNED_SECONDS = 15 * 60.0
"""Longer than any token lasts that a removed participant may still hold (the media server renews it for 10 minutes)."""
MOST_ADDRESSES = 20_000


class Limit:
    """Counts what a key did lately; all of it is forgotten after `seconds`."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._times: dict[str, deque[float]] = {}

    def full(self, key: str) -> bool:
        """Whether the key has done it as often as it may."""
        times, now = self._times.get(key), time.monotonic()
        if times is None:
            return False
        while times and now - times[0] > self._seconds:
            times.popleft()
        if not times:
            del self._times[key]
        return len(times) >= self._most

    def note(self, key: str) -> None:
        """Count one more."""
        if len(self._times) >= MOST_ADDRESSES:
            # Memory has an end: what is over goes first, then the oldest.
            for known in [known for known in self._times if not self.full(known)][: MOST_ADDRESSES // 2]:
                self._times.pop(known, None)
        self._times.setdefault(key, deque(maxlen=self._most)).append(time.monotonic())


@dataclass
class RoomAccess:
    """Wrong codes by address, ways known to be right, locked rooms, and identities that may not come back."""

    wrong: Limit = field(default_factory=lambda: Limit(WRONG_CODES, WRONG_SECONDS))
    hands: Limit = field(default_factory=lambda: Limit(HANDS, HANDS_SECONDS))
    locked: dict[str, bool] = field(default_factory=dict)
    _known: dict[tuple[str, str], float] = field(default_factory=dict)
    _banned: dict[tuple[str, str], float] = field(default_factory=dict)

    def opened(self, address: str, room: str) -> None:
        """Remember that a right code for the room came from this address."""
        if len(self._known) >= MOST_ADDRESSES:
            self._known.clear()
        self._known[address, room] = time.monotonic()

    def knows(self, address: str, room: str) -> bool:
        """Whether a right code for the room came from this address within the hour."""
        return time.monotonic() - self._known.get((address, room), float("-inf")) < KNOWN_SECONDS

    def ban(self, room: str, identity: str) -> None:
        """Keep an identity out of a room for as long as its tokens last."""
        self._banned[room, identity] = time.monotonic() + BANNED_SECONDS

    def banned(self) -> dict[str, set[str]]:
        """Return who is banned now, by room."""
        now, found = time.monotonic(), dict[str, set[str]]()
        self._banned = {key: end for key, end in self._banned.items() if end > now}
        for room, identity in self._banned:
            found.setdefault(room, set()).add(identity)
        return found

    def is_banned(self, room: str, identity: str) -> bool:
        """Whether this identity was removed from the room."""
        return self._banned.get((room, identity), 0.0) > time.monotonic()


def network(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or an IPv6 network of 64 bits, as one household has it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)

"""What the join service remembers while it runs, in memory alone: wrong codes, messages, locked rooms, who was removed."""

import ipaddress
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

WRONG_CODES, WRONG_SECONDS = 30, 60.0
"""Wrong codes from one address in this time, before it must wait; a school may stand behind one address."""
KNOWN_SECONDS = 3600.0
"""So long an address that opened a room keeps its way into that room, whoever else guesses from there."""
HANDS, HANDS_SECONDS = 30, 60.0
CHAT = ((10, 1.0), (60, 60.0))
"""Messages of one participant and the seconds in which they are counted; all of these limits hold."""
BANNED_SECONDS = 15 * 60.0
"""Longer than any token lasts that a removed participant may still hold (the media server renews it for 10 minutes)."""
MOST_ADDRESSES = 20_000


class Limit:
    """Counts what a key did lately; all of it is forgotten after `seconds`, and the longest unchanged when memory is full."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        # In the order of the last count, so that the oldest are found without a walk.
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._times)

    def full(self, key: str) -> bool:
        """Whether the key has done it as often as it may."""
        times, now = self._times.get(key, ()), time.monotonic()
        return sum(now - at <= self._seconds for at in times) >= self._most

    def note(self, key: str) -> None:
        """Count one more."""
        now = time.monotonic()
        self._times.setdefault(key, deque(maxlen=self._most)).append(now)
        self._times.move_to_end(key)
        while len(self._times) > MOST_ADDRESSES or now - next(iter(self._times.values()))[-1] > self._seconds:
            self._times.popitem(last=False)


@dataclass
class RoomAccess:
    """Wrong codes by address, ways known to be right, locked rooms, and identities that may not come back."""

    wrong: Limit = field(default_factory=lambda: Limit(WRONG_CODES, WRONG_SECONDS))
    hands: Limit = field(default_factory=lambda: Limit(HANDS, HANDS_SECONDS))
    chat: tuple[Limit, ...] = field(default_factory=lambda: tuple(Limit(*limit) for limit in CHAT))
    locked: dict[str, bool] = field(default_factory=dict)
    _known: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict)
    _banned: dict[tuple[str, str], float] = field(default_factory=dict)

    def opened(self, address: str, room: str) -> None:
        """Remember that a right code for the room came from this address."""
        self._known[address, room] = time.monotonic()
        self._known.move_to_end((address, room))
        if len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)

    def knows(self, address: str, room: str) -> bool:
        """Whether a right code for the room came from this address within the hour."""
        return time.monotonic() - self._known.get((address, room), float("-inf")) < KNOWN_SECONDS

    def may_write(self, identity: str) -> bool:
        """Count one more chat message of a participant, unless a limit is reached; return whether it may be delivered."""
        if any(limit.full(identity) for limit in self.chat):
            return False
        for limit in self.chat:
            limit.note(identity)
        return True

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

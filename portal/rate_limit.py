"""Limit wrong codes by address, and messages and raised hands by person; all of it in memory."""

import ipaddress
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

WRONG_CODES, WRONG_SECONDS = 30, 60.0
"""Number of wrong codes allowed from one address, and the period in seconds; a whole school can share an address."""
KNOWN_SECONDS = 3600.0
"""Seconds for which an address with a correct code for a room is exempt from the limit for that room."""
HANDS, HANDS_SECONDS = 30, 60.0
CHAT = ((10, 1.0), (60, 60.0))
"""Limits of chat messages for each participant, as (number, seconds); all of them apply."""
MOST_ADDRESSES = 20_000


class Limit:
    """A limit of `most` events in `seconds` for each key; with more than MOST_ADDRESSES keys, the oldest are dropped."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        # Ordered by the last event, so that the oldest keys come first.
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of keys in memory."""
        return len(self._times)

    def full(self, key: str) -> bool:
        """Return whether the key has reached the limit."""
        times, now = self._times.get(key, ()), time.monotonic()
        return sum(now - at <= self._seconds for at in times) >= self._most

    def note(self, key: str) -> None:
        """Count one event of the key."""
        now = time.monotonic()
        self._times.setdefault(key, deque(maxlen=self._most)).append(now)
        self._times.move_to_end(key)
        while len(self._times) > MOST_ADDRESSES or now - next(iter(self._times.values()))[-1] > self._seconds:
            self._times.popitem(last=False)


@dataclass
class RoomAccess:
    """Wrong codes by address, addresses with a correct code, and limits of messages and hands."""

    wrong: Limit = field(default_factory=lambda: Limit(WRONG_CODES, WRONG_SECONDS))
    hands: Limit = field(default_factory=lambda: Limit(HANDS, HANDS_SECONDS))
    chat: tuple[Limit, ...] = field(default_factory=lambda: tuple(Limit(*limit) for limit in CHAT))
    _known: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict)

    def opened(self, address: str, room: str) -> None:
        """Record that this address sent a correct code for the room."""
        self._known[address, room] = time.monotonic()
        self._known.move_to_end((address, room))
        if len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)

    def knows(self, address: str, room: str) -> bool:
        """Return whether this address sent a correct code for the room in the last KNOWN_SECONDS."""
        return time.monotonic() - self._known.get((address, room), float("-inf")) < KNOWN_SECONDS

    def may_write(self, identity: str) -> bool:
        """Count a chat message of a participant and return True, or return False if a limit is reached."""
        if any(limit.full(identity) for limit in self.chat):
            return False
        for limit in self.chat:
            limit.note(identity)
        return True


def network(address: str) -> str:
    """Return the unit for which limits apply: an IPv4 address, or an IPv6 /64, as a household has; "" if invalid."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)

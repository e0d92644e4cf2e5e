"""Keep the state of one class: who is in it, who waits, and what the teacher decided. It calls nothing and knows no clock."""

import itertools
import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from portal.codes import Role
from portal.grants import publishes
from portal.handback import Kept
from portal.look_alikes import keys
from portal.plans import ClassPlan
from portal.presence import Presence
from portal.tickets import TICKET_SECONDS, Ticket
from portal.times import Times

CHAT_MODES = ("all", "teacher", "off")
IDENTITY = re.compile(r"[tp]-[0-9a-f]{16}")
MORE_TEACHERS = 10
"""Participants that the media server accepts above the size of the class, for further teachers."""
MOST_WAITING = 1000
MOST_ABSENT = 2000
"""Limits of the people in memory: those who wait, and those who were in the class and have gone."""
OVER, REPLACED, DONE = 4003, 4002, 1000
"""Close codes of WebSockets."""


class PageConnection(Protocol):
    """The WebSocket of a person."""

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame, without waiting."""

    def end(self, code: int, why: str | None = None) -> None:
        """Say that it is over, and why, and close."""


@dataclass
class Person:
    """A person of the class; `seen` is when they were last in the room, `left` when their last connection ended."""

    identity: str
    name: str
    role: Role
    since: float
    connection: PageConnection | None = None
    admitted: bool = False
    listed: bool = False
    seen: float | None = None
    left: float = 0.0
    state: str = ""


@dataclass(frozen=True)
class Update:
    """A change to a participant on the media server; None leaves name or publishing as they are."""

    person: Person
    name: str | None
    publishing: bool | None


@dataclass
class Orders:
    """What has to be done on the media server."""

    remove: list[str] = field(default_factory=list)
    update: list[Update] = field(default_factory=list)
    over: bool = False


class LiveClass:
    """The state of one class.

    Before `open` or `adopt` it is closed, and pupils wait for the teacher. `now` is a time in seconds of one monotonic
    clock everywhere. Every change first takes effect here; `observe` says what the media server lacks of it.
    """

    def __init__(
        self,
        plan: ClassPlan,
        times: Times,
        enter: Callable[["LiveClass", Person], dict[str, Any]],
        seal: Callable[[Kept], str],
    ) -> None:
        self.plan, self._times, self._enter, self._seal = plan, times, enter, seal
        self.people: dict[str, Person] = {}
        self._removed: dict[str, float] = {}
        self._refused: dict[str, float] = {}
        self.known = False  # whether it is known if the room exists
        self._reset(0.0)

    def _reset(self, now: float) -> None:
        self.live, self.ready = False, False
        self.locked, self.chat, self.waiting_room = False, "all", self.plan.waiting_room
        self.presence = Presence(self._times, now)
        self.version = self._public_version = 0
        self._recovering_until: float | None = None
        self._snapshot = False
        self._kept_dirty = self._list_dirty = self._urgent = False
        self._sent = float("-inf")

    # Life of the class

    def open(self, now: float) -> None:
        """Open the class anew; the room is to be created."""
        self._reset(now)
        self.live = True
        self._changed(public=True)

    def adopt(self, metadata: str, now: float) -> None:
        """Continue a class whose room was on the media server when the service started."""
        self._reset(now)
        self.live = True
        found = _document(metadata)
        self.locked, self.waiting_room = found.get("locked") is True, found.get("waiting_room") is True
        if found.get("chat") in CHAT_MODES:
            self.chat = found["chat"]
        self.presence = Presence(self._times, now, "paused" if found.get("teacher") is False else "open")
        version = found.get("v")
        self.version = self._public_version = version if isinstance(version, int) else 0
        self._recovering_until, self._snapshot = now + self._times.recover, True

    def take_back(self, kept: Kept, fresh: bool, now: float) -> None:
        """Take over what a teacher's page handed back.

        Removed people stay removed in any case. The rest applies while a class of before a restart is recovered, if
        nothing was published after it; and, with `fresh`, to a class that was just opened as its room is gone as well.
        """
        for identity in kept.removed:
            self._ban(identity, self._removed)
            if identity in self.people:
                self._end(self.people[identity], "removed")
        if self._recovering_until is not None and kept.version >= self.version:
            self.waiting_room = kept.waiting_room
            self._admit_only(kept.admitted, now)
            self._recovering_until = None
            self._changed(public=True)
        elif fresh:
            self.locked, self.chat, self.waiting_room = kept.locked, kept.chat, kept.waiting_room
            self._admit_only(kept.admitted, now)
            self._changed(public=True)

    def close(self, why: str, now: float) -> None:
        """End the class for everybody."""
        for person in list(self.people.values()):
            self._end(person, why)
        self.people.clear()
        self._reset(now)

    # Coming and going

    def arrive(self, ticket: Ticket, connection: PageConnection, now: float) -> Person | None:
        """Take the connection of the person with this ticket; return None if it is over for them."""
        for banned, why in ((self._removed, "removed"), (self._refused, "refused")):
            if self._is_banned(ticket.identity, banned):
                connection.end(OVER, why)
                return None
        person = self.people.get(ticket.identity)
        if person is None:
            if ticket.role != "teacher" and self._waiting() >= MOST_WAITING:
                connection.end(OVER, "full")
                return None
            person = Person(ticket.identity, "", ticket.role, time.time())
            self.people[person.identity] = person
        self._give_name(person, ticket.name if person.role == "teacher" else person.name or ticket.name, now)
        # Before the new connection is noted, as it would hold a place by itself.
        full = person.admitted and not self._has_place(person, now) and self.is_full(ticket.role, now)
        if person.connection:
            person.connection.end(REPLACED)
        person.connection, person.state = connection, ""
        if full:
            self._end(person, "full")
            return None
        self.settle(now)
        return person

    def part(self, person: Person, connection: PageConnection, now: float) -> None:
        """Note that a connection has ended."""
        if person.connection is connection:
            person.connection, person.left = None, now
            if not self.live:
                del self.people[person.identity]

    def leave(self, person: Person) -> None:
        """Give up the person's place."""
        self.people.pop(person.identity, None)
        self._changed()
        self._list_dirty |= person.listed

    def settle(self, now: float) -> None:
        """Tell everybody who waits whether they may enter, or why not."""
        if not self.known:
            return
        for person in list(self.people.values()):
            if person.connection:
                self._decide(person, now)
        self.flush(now)

    def _decide(self, person: Person, now: float) -> None:
        if not self.live:
            self._wait(person, "teacher")
        elif not self.ready:
            return
        elif person.admitted:
            self._let_in(person)
        elif person.role == "teacher":
            self._enter_or_end(person, now)
        elif self._recovering_until is not None:
            self._wait(person, "teacher")
        elif person.listed:
            self._wait(person, "admission")
        elif self.locked:
            self._end(person, "locked")
        elif self.presence.state != "open":
            self._wait(person, "teacher")
        elif self.waiting_room:
            self._list(person)
        else:
            self._enter_or_end(person, now)

    def _enter_or_end(self, person: Person, now: float) -> None:
        if self.is_full(person.role, now):
            self._end(person, "full")
        else:
            self._admit(person, now)

    def _admit(self, person: Person, now: float) -> None:
        # Who is in the class may not have been known when the person arrived, after a restart.
        self._give_name(person, person.name, now)
        self._list_dirty |= person.listed
        person.admitted, person.listed = True, False
        self._changed()
        self._let_in(person)

    def _list(self, person: Person) -> None:
        person.listed = self._list_dirty = True
        self._wait(person, "admission")

    def _wait(self, person: Person, why: str) -> None:
        self._tell(person, f"waiting {why}", lambda: {"type": "waiting", "why": why})

    def _let_in(self, person: Person) -> None:
        if person.role == "teacher" and person.state != "inside":
            self._kept_dirty = self._list_dirty = True
        self._tell(person, "inside", lambda: self._enter(self, person))

    @staticmethod
    def _tell(person: Person, state: str, frame: Callable[[], dict[str, Any]]) -> None:
        """Send a frame unless the person was sent it for the same state."""
        if person.state != state and person.connection:
            person.state = state
            person.connection.send(frame())

    def _end(self, person: Person, why: str) -> None:
        self.people.pop(person.identity, None)
        self._list_dirty |= person.listed
        if person.connection:
            person.connection.end(OVER, why)

    def _give_name(self, person: Person, wanted: str, now: float) -> None:
        """Give a person the name under which the class knows them.

        A pupil's name that looks like that of somebody present gets a number. A teacher's name is always their own: pupils who
        have it, or one that looks like it, get the number.
        """
        others = [p for p in self.people.values() if p is not person and p.name]
        if person.role == "teacher":
            person.name = wanted
            for pupil in others:
                if pupil.role == "pupil" and keys(pupil.name) & keys(wanted):
                    pupil.name = self._free(pupil.name, [person, *(p for p in others if p is not pupil)])
                    self._list_dirty |= pupil.listed
        else:
            taken = [p for p in others if p.role == "teacher" or self._is_present(p, now)]
            person.name = self._free(wanted, taken)

    @staticmethod
    def _free(wanted: str, others: Iterable[Person]) -> str:
        """Return the name, with the first number that makes it unlike those of all others if it is like one of them."""
        taken: frozenset[str] = frozenset().union(*(keys(other.name) for other in others))
        names = itertools.chain([wanted], (f"{wanted} {number}" for number in itertools.count(2)))
        return next(name for name in names if not keys(name) & taken)

    # Places

    def is_full(self, role: Role, now: float) -> bool:
        """Return whether the class has no place for one more person of this role.

        One place of a class is the teacher's; further teachers are always admitted. Rooms of a verification have a
        fixed number of places for everybody.
        """
        if self.plan.verification:
            return sum(self._has_place(p, now) for p in self.people.values()) >= self.plan.size
        pupils = sum(self._has_place(p, now) for p in self.people.values() if p.role == "pupil")
        return role == "pupil" and pupils >= self.plan.size - 1

    def is_empty(self, now: float) -> bool:
        """Return whether no person is here, nor was within the last seconds."""
        return not any(self._is_present(p, now) for p in self.people.values())

    def _has_place(self, person: Person, now: float) -> bool:
        return person.admitted and self._is_present(person, now)

    def _is_present(self, person: Person, now: float) -> bool:
        """Return whether the person is connected or in the room, or was so within the last seconds."""
        if person.connection:
            return True
        last = max(person.left or float("-inf"), person.seen if person.seen is not None else float("-inf"))
        return now - last <= self._times.grace

    def _waiting(self) -> int:
        return sum(not p.admitted and p.connection is not None for p in self.people.values())

    # What teachers decide

    def lock(self, locked: bool, now: float) -> None:
        """Lock the class or unlock it: only those inside and those on the waiting list remain."""
        self.locked = locked
        if locked:
            self._withdraw_from_absent(now)
        self._changed(public=True)
        self.settle(now)

    def set_chat(self, mode: str) -> None:
        """Set who can write."""
        self.chat = mode
        self._changed(public=True)

    def set_waiting_room(self, on: bool, now: float) -> None:
        """Switch the waiting room for pupils who come from now on; those on the list stay there."""
        self.waiting_room = on
        self._changed(public=True)
        self.settle(now)

    def admit(self, identity: str, now: float) -> str | None:
        """Admit a person from the waiting list; return the error, or None."""
        person = self.people.get(identity)
        if person is None or not person.listed:
            return "not_there"
        if self.is_full(person.role, now):
            return "full"
        self._admit(person, now)
        self.flush(now)
        return None

    def admit_all(self, now: float) -> str | None:
        """Admit everybody on the waiting list for whom there is a place; return the error, or None."""
        waiting = sorted((p for p in self.people.values() if p.listed), key=lambda p: p.since)
        errors = [self.admit(person.identity, now) for person in waiting]
        return "full" if "full" in errors else None

    def refuse(self, identity: str, now: float) -> str | None:
        """Refuse a person on the waiting list; return the error, or None."""
        person = self.people.get(identity)
        if person is None or not person.listed:
            return "not_there"
        self._ban(identity, self._refused)
        self._end(person, "refused")
        self.flush(now)
        return None

    def remove(self, identity: str, now: float) -> None:
        """Remove a person for good; who comes afterwards waits for admission."""
        self._ban(identity, self._removed)
        if identity in self.people:
            self._end(self.people[identity], "removed")
        self.waiting_room = True
        self._withdraw_from_absent(now)
        self._changed(public=True)
        self.settle(now)

    def end_raid(self, keep: Iterable[str], now: float) -> None:
        """Lock the class, close the chat, and move all pupils but those to keep to the waiting room."""
        kept = set(keep)
        self.locked, self.chat, self.waiting_room = True, "off", True
        for person in self.people.values():
            if person.role == "pupil" and person.admitted and person.identity not in kept:
                person.admitted = False
                if person.connection:
                    self._list(person)
        self._changed(public=True)
        self.settle(now)

    def _withdraw_from_absent(self, now: float) -> None:
        """Withdraw the admission of pupils who did not enter the room, or left it: they may hold tokens for later."""
        for person in self.people.values():
            seen = person.seen if person.seen is not None else float("-inf")
            if person.role == "pupil" and now - seen > self._times.grace:
                person.admitted = False

    def is_removed(self, identity: str) -> bool:
        """Return whether the identity was removed."""
        return self._is_banned(identity, self._removed)

    @staticmethod
    def _ban(identity: str, banned: dict[str, float]) -> None:
        now = time.time()
        for expired in [key for key, until in banned.items() if until < now]:
            del banned[expired]
        banned[identity] = now + TICKET_SECONDS

    @staticmethod
    def _is_banned(identity: str, banned: dict[str, float]) -> bool:
        return banned.get(identity, 0.0) > time.time()

    # The media server

    def observe(self, participants: Iterable[Any], now: float) -> Orders:
        """Take note of who is in the room; return what has to be changed there."""
        orders = Orders()
        self.ready = True
        if self._snapshot:
            participants = list(participants)
            self._take_snapshot(participants, now)
        inside: list[tuple[Person, Any]] = []
        for found in participants:
            person = self.people.get(found.identity)
            if person and person.admitted:
                person.seen, person.name = now, person.name or found.name
                inside.append((person, found))
            else:
                orders.remove.append(found.identity)
        before = self.presence.state
        self.presence.see(any(person.role == "teacher" for person, _ in inside), now)
        if (before == "paused") != (self.presence.state == "paused"):
            self._changed(public=True)
        if self._recovering_until is not None and now >= self._recovering_until:
            self._recovering_until = None
        self._forget(now)
        orders.update = [update for person, found in inside if (update := self._update(person, found))]
        orders.over = self._is_over(now)
        self.settle(now)
        return orders

    def may_publish(self, person: Person) -> bool:
        """Return whether the person may send sound and pictures now."""
        return person.role == "teacher" or self.presence.state != "paused"

    def metadata(self) -> str:
        """Return what everybody may know, as JSON for the room's metadata."""
        found = {
            "v": self._public_version,
            "locked": self.locked,
            "chat": self.chat,
            "waiting_room": self.waiting_room,
            "teacher": self.presence.state != "paused",
        }
        return json.dumps(found, separators=(",", ":"))

    def _update(self, person: Person, found: Any) -> Update | None:
        name = person.name if person.name != found.name else None
        wanted = self.may_publish(person)
        publishing = wanted if wanted != publishes(found.permission) else None
        return None if name is None and publishing is None else Update(person, name, publishing)

    def _is_over(self, now: float) -> bool:
        if self.plan.ends is not None and (time.time() >= self.plan.ends or self.is_empty(now)):
            return True
        return self.presence.is_over(now)

    def _take_snapshot(self, participants: Iterable[Any], now: float) -> None:
        """Admit those who are in the room when the service starts, until it is known who was admitted."""
        self._snapshot = False
        for found in participants:
            if IDENTITY.fullmatch(found.identity) and not self.is_removed(found.identity):
                self._add(found.identity, found.name, now).admitted = True

    def _admit_only(self, admitted: Iterable[str], now: float) -> None:
        self._snapshot = False
        wanted = {identity for identity in admitted if not self.is_removed(identity)}
        for identity in wanted:
            self._add(identity, "", now)
        for person in self.people.values():
            person.admitted = person.identity in wanted or (person.role == "teacher" and person.admitted)

    def _add(self, identity: str, name: str, now: float) -> Person:
        """Return the person with this identity, of whom no more is known than what the media server or a page says."""
        role: Role = "teacher" if identity[0] == "t" else "pupil"
        return self.people.setdefault(identity, Person(identity, name, role, time.time(), left=now))

    def _forget(self, now: float) -> None:
        """Forget those who are gone: who waited leaves the list, who was inside keeps the admission."""
        gone = [p for p in self.people.values() if not self._is_present(p, now)]
        absent = [p for p in gone if p.admitted and p.seen is not None]
        longest = sorted(absent, key=lambda p: p.seen or 0.0)[: max(0, len(absent) - MOST_ABSENT)]
        for person in [p for p in gone if not p.admitted or p.seen is None] + longest:
            del self.people[person.identity]
            self._list_dirty |= person.listed

    # What only teachers may know

    def kept(self) -> Kept:
        """Return the state that teachers' pages keep."""
        inside = sorted((p for p in self.people.values() if p.admitted), key=lambda p: p.seen or float("inf"))
        admitted = tuple(p.identity for p in inside)
        return Kept(self.version, self.locked, self.chat, self.waiting_room, admitted, tuple(self._removed))

    def waiting_list(self) -> list[dict[str, Any]]:
        """Return the people who wait for admission, in order of arrival."""
        listed = sorted((p for p in self.people.values() if p.listed), key=lambda p: p.since)
        return [{"identity": p.identity, "name": p.name, "since": int(p.since * 1000)} for p in listed]

    def flush(self, now: float) -> None:
        """Send to the teachers what changed: their decisions at once, arrivals at most every `coalesce` seconds."""
        due = now - self._sent >= self._times.coalesce
        if not (due and (self._list_dirty or self._kept_dirty)) and not self._urgent:
            return
        teachers = [p.connection for p in self.people.values() if p.role == "teacher" and p.admitted and p.connection]
        if self._kept_dirty and teachers:
            self._kept_dirty = self._urgent = False
            self._send(teachers, {"type": "handback", "sealed": self._seal(self.kept())})
        if self._list_dirty and due:
            self._list_dirty, self._sent = False, now
            self._send(teachers, {"type": "waiting_list", "people": self.waiting_list()})

    @staticmethod
    def _send(connections: Iterable[PageConnection], frame: dict[str, Any]) -> None:
        for connection in connections:
            connection.send(frame)

    def _changed(self, public: bool = False) -> None:
        self.version = max(self.version + 1, int(time.time() * 1000))
        self._kept_dirty = True
        if public:
            self._public_version, self._urgent = self.version, True


def _document(metadata: str) -> dict[str, Any]:
    try:
        found = json.loads(metadata or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

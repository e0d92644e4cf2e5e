"""Keep all classes of this host in step with the media server."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from livekit import api

from portal.config import Config
from portal.grants import permission_for, token_for
from portal.handback import Handback, Kept
from portal.journal import fault
from portal.live_class import MORE_TEACHERS, OVER, LiveClass, Orders, PageConnection, Person
from portal.media import Media, Unreachable
from portal.plans import VERIFICATION_ROOMS, ClassPlan, Plans, verification_plan
from portal.tickets import TICKET_SECONDS, Ticket
from portal.times import Times

ROOM_SECONDS = 3600
"""How long the media server keeps an empty room: longer than a class lasts without its teacher."""


class Classes:
    """The classes, each with a task that looks at its room while it is open."""

    def __init__(self, config: Config, media: Media, times: Times) -> None:
        self._config, self._media, self._times = config, media, times
        self.plans = Plans(config.classes)
        self._handback = Handback(config.secret)
        self._started = time.time()
        self._classrooms: dict[str, LiveClass] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._kicks: dict[str, asyncio.Event] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._opened: set[str] = set()
        self._surveyed = False
        self._early: list[tuple[LiveClass, str]] = []  # handed back before the survey

    async def running(self, app: web.Application) -> AsyncIterator[None]:  # noqa: ARG002
        """Look after the classes while the application runs."""
        survey = asyncio.create_task(self._survey())
        yield
        tasks = [survey, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # People

    def refusal(self, plan: ClassPlan, teacher: bool) -> str | None:
        """Return why no person of this role can join now, or None if they can."""
        classroom = self._classrooms.get(plan.room)
        if classroom and classroom.live:
            if classroom.is_full("teacher" if teacher else "pupil", time.monotonic()):
                return "full"
            return "locked" if classroom.locked and not teacher else None
        return "full" if plan.verification and self._verifications(plan.room) >= VERIFICATION_ROOMS else None

    def arrive(
        self, ticket: Ticket, connection: PageConnection, handback: str | None
    ) -> tuple[LiveClass, Person] | None:
        """Take the connection of a person; return their class, or None if it is over for them."""
        plan = self.plans.classes.get(ticket.room)
        if plan is None and ticket.ends is not None:
            plan = verification_plan(ticket.room, ticket.ends)
        if plan is None or (plan.verification and self._verifications(plan.room) >= VERIFICATION_ROOMS):
            connection.end(OVER, "ended" if plan is None else "full")
            return None
        classroom, now = self._classroom(plan), time.monotonic()
        if ticket.role == "teacher":
            self._open(classroom, now)
            if handback is not None:
                self._take_back(classroom, handback, now)
        person = classroom.arrive(ticket, connection, now)
        self._start(classroom)
        return None if person is None else (classroom, person)

    def _open(self, classroom: LiveClass, now: float) -> None:
        if not classroom.live and classroom.known:
            classroom.open(now)

    def _take_back(self, classroom: LiveClass, handback: str, now: float) -> None:
        if not self._surveyed:
            self._early.append((classroom, handback))
            return
        kept = self._handback.read(classroom.plan.room, handback)
        if kept is None or time.time() - kept.version / 1000 > TICKET_SECONDS:
            return
        # Then the class was open before this service started, and nothing is left of it on the media server either.
        fresh = classroom.plan.room not in self._opened and kept.version / 1000 < self._started
        classroom.take_back(kept, fresh, now)

    def _verifications(self, besides: str) -> int:
        """Return the number of verifications' rooms in use, without one of them."""
        for room, classroom in list(self._classrooms.items()):
            if classroom.plan.verification and not classroom.live and not classroom.people:
                del self._classrooms[room]
        return sum(c.plan.verification and room != besides for room, c in self._classrooms.items())

    # Rooms

    def _classroom(self, plan: ClassPlan) -> LiveClass:
        found = self._classrooms.get(plan.room)
        if found is None:
            found = LiveClass(plan, self._times, self._enter, lambda kept: self._seal(plan.room, kept))
            found.known = self._surveyed
            self._classrooms[plan.room] = found
            self._locks[plan.room], self._kicks[plan.room] = asyncio.Lock(), asyncio.Event()
        return found

    def _seal(self, room: str, kept: Kept) -> str:
        return self._handback.seal(room, kept)

    def _enter(self, classroom: LiveClass, person: Person) -> dict[str, Any]:
        token = token_for(
            self._config,
            classroom.plan.room,
            person.identity,
            person.name,
            person.role,
            classroom.may_publish(person),
        )
        return {
            "type": "enter",
            "token": token,
            "url": self._config.url,
            "identity": person.identity,
            "name": person.name,
        }

    def enter_again(self, classroom: LiveClass, person: Person) -> None:
        """Send a person who is admitted a fresh media token."""
        if person.connection:
            person.connection.send(self._enter(classroom, person))

    async def _survey(self) -> None:
        """Find the rooms that were there before this service, once the media server answers."""
        while True:
            try:
                found = await self._media.ask(lambda rooms: rooms.list_rooms(api.ListRoomsRequest()))
                break
            except (Unreachable, api.TwirpError):
                await asyncio.sleep(self._times.poll)
        now = time.monotonic()
        for room in found.rooms:
            if plan := self.plans.of_room(room.name, room.creation_time):
                self._classroom(plan).adopt(room.metadata, now)
                self._opened.add(room.name)
            else:
                await self._delete(room.name)
        self._surveyed = True
        for classroom in list(self._classrooms.values()):
            classroom.known = True
            if any(person.role == "teacher" for person in classroom.people.values()):
                self._open(classroom, now)
            for early, handback in self._early:
                if early is classroom:
                    self._take_back(classroom, handback, now)
            classroom.settle(now)
            self._start(classroom)
        self._early.clear()

    def _start(self, classroom: LiveClass) -> None:
        room = classroom.plan.room
        if classroom.live and classroom.known and room not in self._tasks:
            self._opened.add(room)
            self._tasks[room] = asyncio.create_task(self._run(classroom))
        self._kicks[room].set()

    async def _run(self, classroom: LiveClass) -> None:
        """Keep one open class in step until it is over."""
        room = classroom.plan.room
        try:
            while classroom.live:
                self._kicks[room].clear()
                await self.refresh(classroom)
                opening = classroom.presence.state == "awaited"
                with contextlib.suppress(TimeoutError):
                    pause = self._times.poll_opening if opening else self._times.poll
                    await asyncio.wait_for(self._kicks[room].wait(), pause)
        finally:
            del self._tasks[room]
        if classroom.plan.verification:
            del self._classrooms[room]

    async def refresh(self, classroom: LiveClass) -> None:
        """Look at the room of an open class, and change there what differs from the class's state."""
        async with self._locks[classroom.plan.room]:
            if not classroom.live:
                return
            try:
                await self._refresh(classroom)
            except (Unreachable, api.TwirpError):
                return  # the next look follows
            except Exception as error:
                print(f"error: {fault(error)}", file=sys.stderr)

    async def _refresh(self, classroom: LiveClass) -> None:
        room, participants = classroom.plan.room, []
        found = list((await self._media.ask(lambda r: r.list_rooms(api.ListRoomsRequest(names=[room])))).rooms)
        if found:
            participants = await self.participants(room)
        else:
            new = api.CreateRoomRequest(
                name=room,
                metadata=classroom.metadata(),
                max_participants=classroom.plan.size + MORE_TEACHERS,
                empty_timeout=ROOM_SECONDS,
                departure_timeout=ROOM_SECONDS,
            )
            await self._media.ask(lambda r: r.create_room(new))
        orders = classroom.observe(participants, time.monotonic())
        if orders.over:
            classroom.close("ended", time.monotonic())
            await self._delete(room)
            return
        await self._carry_out(room, orders)
        metadata = classroom.metadata()
        if found and found[0].metadata != metadata:
            change = api.UpdateRoomMetadataRequest(room=room, metadata=metadata)
            await self._media.ask(lambda r: r.update_room_metadata(change))

    async def _carry_out(self, room: str, orders: Orders) -> None:
        calls = [self.remove(room, identity) for identity in orders.remove]
        for update in orders.update:
            change = api.UpdateParticipantRequest(room=room, identity=update.person.identity)
            if update.name is not None:
                change.name = update.name
            if update.publishing is not None:
                change.permission.CopyFrom(permission_for(update.person.role, update.publishing))
            calls.append(self._update(change))
        await asyncio.gather(*calls)

    async def remove(self, room: str, identity: str) -> None:
        """Remove a participant from a room; without effect if they are gone."""
        who = api.RoomParticipantIdentity(room=room, identity=identity)
        with contextlib.suppress(api.TwirpError):
            await self._media.ask(lambda r: r.remove_participant(who))

    async def _update(self, change: Any) -> None:
        with contextlib.suppress(api.TwirpError):  # gone in the meantime
            await self._media.ask(lambda r: r.update_participant(change))

    async def participants(self, room: str) -> list[Any]:
        """Return the participants of a room."""
        found = await self._media.ask(lambda r: r.list_participants(api.ListParticipantsRequest(room=room)))
        return list(found.participants)

    async def _delete(self, room: str) -> None:
        """Delete a room, as soon as the media server answers."""
        while True:
            try:
                await self._media.ask(lambda r: r.delete_room(api.DeleteRoomRequest(room=room)))
            except Unreachable:
                await asyncio.sleep(self._times.poll)
            except api.TwirpError:  # there is no such room any more
                return
            else:
                return

"""Restarts of the join service and of the media server during a class."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.page.server import Settings, codes_of, post
from tests.unit.portal.conftest import SHORT, Servers
from tests.unit.portal.member import Member, metadata, participants, ticket, until
from tests.unit.portal.person import NotLetIn, Person

OUT_SECONDS = 2.0


@pytest.fixture
def at(servers: Servers) -> Settings:
    return servers.at


@pytest.fixture
async def people() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


class Class:
    """A teacher, a pupil inside, and one who was removed."""

    def __init__(self, at: Settings, room: str, people: contextlib.AsyncExitStack) -> None:
        self.at, self.room, self.people = at, room, people

    async def comes(self, role: str = "pupil") -> Member:
        return await self.people.enter_async_context(Member(self.at, await ticket(self.at, self.room, role)))

    async def opens(self) -> "Class":
        self.teacher, self.pupil, self.removed = await self.comes("teacher"), await self.comes(), await self.comes()
        await self.teacher.enters()
        self.inside, gone = await self.pupil.enters(), await self.removed.enters()
        self.renewed = await gone.gets("refresh_token")
        assert await self.teacher.ask("remove", identity=self.removed.identity) == {"ok": True}
        assert await gone.gets("leave")
        assert await self.removed.over() == "removed"
        return self

    async def has_left(self, person: Person) -> bool:
        return any(m.WhichOneof("message") == "leave" for m in person.seen)


@pytest.fixture
async def lesson(at: Settings, room: str, people: contextlib.AsyncExitStack) -> Class:
    return await Class(at, room, people).opens()


async def test_after_a_restart_of_the_service_the_class_is_as_it_was(
    servers: Servers, room: str, lesson: Class
) -> None:
    at, people = servers.at, lesson.people
    await lesson.teacher.ask("chat_mode", mode="teacher")
    await lesson.teacher.ask("lock", locked=True)
    before, sealed = await metadata(at, room), lesson.teacher.sealed
    await asyncio.to_thread(servers.stop, "portal")
    assert await lesson.pupil.closed() == 1012
    # While no service looks, the removed pupil comes back with the token that the media server renewed.
    back = await people.enter_async_context(Person(at.livekit, lesson.renewed))
    extra = await people.enter_async_context(Person(at.livekit, lesson.renewed, "&publish=x"))
    await asyncio.to_thread(servers.start, "portal")
    reloaded = await people.enter_async_context(Member(at, lesson.pupil.ticket))
    await reloaded.gets("enter")  # before the teacher has handed anything back
    assert await extra.gets("leave", OUT_SECONDS)
    handed = time.monotonic()
    teacher = await people.enter_async_context(Member(at, lesson.teacher.ticket, sealed))
    assert await back.gets("leave", OUT_SECONDS)
    assert time.monotonic() - handed < OUT_SECONDS
    assert (await teacher.gets("handback"))["sealed"]
    assert await metadata(at, room) == before
    again = await people.enter_async_context(Member(at, lesson.removed.ticket))
    assert await again.over() == "removed"
    body = {"code": codes_of(room)["pupil"], "name": "Ada"}
    assert (await asyncio.to_thread(post, at, "join", body))[0] == 423
    assert not await lesson.has_left(lesson.inside)
    await teacher.ask("lock", locked=False)
    waiting = await lesson.comes()
    assert (await waiting.gets("waiting"))["why"] == "admission"


async def test_without_anything_handed_back_no_new_pupil_enters_for_a_while(
    servers: Servers, room: str, lesson: Class
) -> None:
    at = servers.at
    await lesson.teacher.ask("waiting_room", on=False)
    hoarded = await ticket(at, room)
    await asyncio.to_thread(servers.stop, "portal")
    await asyncio.to_thread(servers.start, "portal")
    begin = time.monotonic()
    back = await lesson.people.enter_async_context(Member(at, lesson.pupil.ticket))
    await back.gets("enter")
    late = await lesson.people.enter_async_context(Member(at, hoarded))
    assert (await late.gets("waiting"))["why"] == "teacher"
    await late.enters(SHORT["recover"] + 2)
    assert time.monotonic() - begin > SHORT["recover"] - 1
    assert not await lesson.has_left(lesson.inside)


async def test_an_older_state_does_not_win(servers: Servers, room: str, lesson: Class) -> None:
    """What a teacher's page kept from before the last decision withdraws no removal, and admits no one."""
    at, older = servers.at, lesson.teacher.sealed
    second = await lesson.comes()
    assert (await second.gets("waiting"))["why"] == "admission"
    assert await lesson.teacher.ask("lock", locked=True) == {"ok": True}
    newer = lesson.teacher.sealed
    await asyncio.to_thread(servers.stop, "portal")
    await asyncio.to_thread(servers.start, "portal")
    old = await lesson.people.enter_async_context(Member(at, await _teacher_ticket(lesson), older))
    await old.gets("enter")
    new = await lesson.people.enter_async_context(Member(at, lesson.teacher.ticket, newer))
    await new.gets("enter")
    again = await lesson.people.enter_async_context(Member(at, lesson.removed.ticket))
    assert await again.over() == "removed"
    state = await metadata(at, room)
    assert state == {"locked": True, "chat": "all", "waiting_room": True, "teacher": True}
    other = await lesson.people.enter_async_context(Member(at, second.ticket))
    assert await other.over() == "locked"


async def _teacher_ticket(lesson: Class) -> str:
    return await ticket(lesson.at, lesson.room, "teacher")


async def test_after_a_restart_of_the_media_server_the_room_is_made_anew(
    servers: Servers, room: str, lesson: Class
) -> None:
    at = servers.at
    await lesson.teacher.ask("lock", locked=True)
    before = await metadata(at, room, version=True)
    await asyncio.to_thread(servers.stop, "livekit")
    assert await lesson.pupil.ask("chat", text="Hello") in ({"error": "unreachable"}, {"error": "not_there"})
    await asyncio.sleep(SHORT["pause"] + 0.5)
    await asyncio.to_thread(servers.start, "livekit")
    await until(lambda: metadata(at, room, version=True), before)
    for person in (lesson.teacher, lesson.pupil):
        assert await person.ask("token") == {"ok": True}
        await person.enters()
    for more in ("", "&publish=x"):
        assert await _is_put_out(at, lesson.renewed, more)
    again = await lesson.people.enter_async_context(Member(at, lesson.removed.ticket))
    assert await again.over() == "removed"
    assert (await metadata(at, room) or {})["teacher"] is True
    assert (await participants(at, room))[lesson.pupil.identity].permission.can_publish


async def test_after_a_restart_of_both_the_teacher_brings_everything_back(
    servers: Servers, room: str, lesson: Class
) -> None:
    at = servers.at
    await lesson.teacher.ask("lock", locked=True)
    before, sealed = await metadata(at, room), lesson.teacher.sealed
    await asyncio.to_thread(servers.stop, "portal")
    await asyncio.to_thread(servers.stop, "livekit")
    await asyncio.to_thread(servers.start, "livekit")
    await asyncio.to_thread(servers.start, "portal")
    pupil = await lesson.people.enter_async_context(Member(at, lesson.pupil.ticket))
    assert (await pupil.gets("waiting"))["why"] == "teacher"
    teacher = await lesson.people.enter_async_context(Member(at, lesson.teacher.ticket, sealed))
    await teacher.enters()
    await pupil.enters()
    again = await lesson.people.enter_async_context(Member(at, lesson.removed.ticket))
    assert await again.over() == "removed"
    assert await _is_put_out(at, lesson.renewed)
    assert await metadata(at, room) == before


async def test_the_service_starts_before_the_media_server(servers: Servers, room: str, people: object) -> None:
    """Pages connect at once, and enter when the media server answers."""
    assert isinstance(people, contextlib.AsyncExitStack)
    at = servers.at
    for what in ("portal", "livekit"):
        await asyncio.to_thread(servers.stop, what)
    await asyncio.to_thread(servers.start, "portal")
    teacher = await people.enter_async_context(Member(at, await ticket(at, room, "teacher")))
    pupil = await people.enter_async_context(Member(at, await ticket(at, room)))
    assert await pupil.ask("ping") == {"ok": True}
    assert teacher.frames == pupil.frames == []
    await asyncio.to_thread(servers.start, "livekit")
    await teacher.enters()
    await pupil.enters()


async def _is_put_out(at: Settings, token: str, more: str = "") -> bool:
    try:
        async with Person(at.livekit, token, more) as person:
            return await person.gets("leave", OUT_SECONDS) is not None
    except NotLetIn:
        return True

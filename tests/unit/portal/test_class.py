"""The life of a class with a real media server: opening, pause, end, places, waiting room."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from livekit import api
from livekit.protocol import models, rtc

from tests.page.server import Settings, codes_of, post
from tests.unit.portal.conftest import SHORT
from tests.unit.portal.member import Member, metadata, participants, ticket, until
from tests.unit.portal.person import NotLetIn, Person


@pytest.fixture
async def people(at: Settings) -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


async def member(stack: contextlib.AsyncExitStack, at: Settings, room: str, role: str = "pupil") -> Member:
    return await stack.enter_async_context(Member(at, await ticket(at, room, role)))


async def teacher(stack: contextlib.AsyncExitStack, at: Settings, room: str) -> Member:
    """Return a teacher who has opened the class."""
    found = await member(stack, at, room, "teacher")
    await found.enters()
    return found


async def test_no_pupil_enters_before_the_teacher(at: Settings, room: str, people: contextlib.AsyncExitStack) -> None:
    pupil = await member(people, at, room)
    assert await pupil.gets("waiting") == {"type": "waiting", "why": "teacher"}
    await asyncio.sleep(1.2)
    assert pupil.frames == []
    assert await pupil.ask("token") == {"error": "not_admitted"}
    assert await pupil.ask("chat", text="Hello") == {"error": "not_admitted"}
    assert await metadata(at, room) is None
    await teacher(people, at, room)
    begin = time.monotonic()
    person = await pupil.enters()
    assert time.monotonic() - begin < 2
    assert person.identity == pupil.identity
    assert await metadata(at, room) == {
        "locked": False,
        "chat": "all",
        "waiting_room": False,
        "teacher": True,
    }


async def test_a_ticket_is_no_media_token(at: Settings, room: str, people: contextlib.AsyncExitStack) -> None:
    await teacher(people, at, room)
    with pytest.raises(NotLetIn):
        async with Person(at.livekit, await ticket(at, room)):
            pass


async def test_no_participant_can_create_a_room(at: Settings, room: str, people: contextlib.AsyncExitStack) -> None:
    """The room of a token that was taken before the class ended is not created again by its holder."""
    first = await teacher(people, at, room)
    token = first.token
    async with api.LiveKitAPI(f"http://127.0.0.1:{at.livekit}", "classroom", at.secret) as server:
        assert (await first.ask("leave")) == {"ok": True}
        await server.room.delete_room(api.DeleteRoomRequest(room=room))
        with pytest.raises(NotLetIn):
            async with Person(at.livekit, token):
                pass


async def test_a_short_gap_changes_nothing(at: Settings, room: str, people: contextlib.AsyncExitStack) -> None:
    """The teacher is away for 5 s: no permission and no metadata change."""
    pupil = await member(people, at, room)
    async with Member(at, await ticket(at, room, "teacher")) as first:
        await first.enters()
        person = await pupil.enters()
        await asyncio.sleep(1.2)
    before = await metadata(at, room, version=True)
    await asyncio.sleep(5)
    assert await pupil.ask("chat", text="Are you there?") == {"ok": True}
    assert await metadata(at, room, version=True) == before
    async with Member(at, first.ticket) as back:
        await back.enters()
        await asyncio.sleep(1.2)
        assert await metadata(at, room, version=True) == before
        assert not [m for m in person.seen if m.WhichOneof("message") == "leave"]
        assert (await participants(at, room))[person.identity].permission.can_publish


async def test_without_a_teacher_a_class_is_paused_then_goes_on(
    short: Settings, room: str, people: contextlib.AsyncExitStack
) -> None:
    pupil = await member(people, short, room)
    async with Member(short, await ticket(short, room, "teacher")) as first:
        await first.enters()
        person = await pupil.enters()
    left = time.monotonic()
    await until(lambda: _can_publish(short, room, person.identity), False)
    assert SHORT["pause"] - 0.1 < time.monotonic() - left < SHORT["pause"] + 1.5
    assert (await metadata(short, room) or {})["teacher"] is False
    assert await pupil.ask("chat", text="Hello") == {"error": "paused"}
    permission = (await participants(short, room))[person.identity].permission
    assert permission.can_subscribe and not permission.can_publish_data
    await person.send(add_track=rtc.AddTrackRequest(cid="x", type=models.TrackType.AUDIO, source=2))
    assert await person.gets("track_published", 0.5) is None
    # Who comes now waits; who reloads gets a token that publishes nothing.
    late = await member(people, short, room)
    assert (await late.gets("waiting"))["why"] == "teacher"
    async with Member(short, pupil.ticket) as reloaded:
        again = await reloaded.enters()
        assert not again.joined.participant.permission.can_publish
        async with Member(short, first.ticket) as back:
            await back.enters()
            await until(lambda: _can_publish(short, room, person.identity), True)
            sources = (await participants(short, room))[person.identity].permission.can_publish_sources
            assert sorted(sources) == [models.TrackSource.CAMERA, models.TrackSource.MICROPHONE]
            assert (await metadata(short, room) or {})["teacher"] is True
            assert await reloaded.ask("chat", text="Hello") == {"ok": True}
            await late.enters()


async def test_a_class_without_a_teacher_ends(short: Settings, room: str, people: contextlib.AsyncExitStack) -> None:
    pupil = await member(people, short, room)
    waiting = await member(people, short, room)
    async with Member(short, await ticket(short, room, "teacher")) as first:
        await first.enters()
        person = await pupil.enters()
        await waiting.gets("enter")
    assert await pupil.over(SHORT["end"] + 2) == "ended"
    assert await waiting.over() == "ended"
    assert await person.gets("leave", 2)
    assert await metadata(short, room) is None
    # A ticket of before waits for the next class, and the next class begins as if there had been none.
    again = await people.enter_async_context(Member(short, pupil.ticket))
    assert (await again.gets("waiting"))["why"] == "teacher"
    await teacher(people, short, room)
    await again.enters()


async def test_a_teacher_who_opens_and_does_not_come_opens_nothing(
    short: Settings, room: str, people: contextlib.AsyncExitStack
) -> None:
    pupil = await member(people, short, room)
    first = await member(people, short, room, "teacher")
    await first.gets("enter")
    await asyncio.sleep(1)
    assert pupil.last("enter") is None
    assert await pupil.over(SHORT["end"] + 2) == "ended"


async def test_the_size_is_the_ceiling(short: Settings, small: str, people: contextlib.AsyncExitStack) -> None:
    """A class of three: two pupils and the teacher; a place is free again when somebody has left."""
    waiting = [await member(people, short, small) for _ in range(3)]
    for pupil in waiting:
        await pupil.gets("waiting")
    async with Member(short, await ticket(short, small, "teacher")) as first:
        await first.enters()
        assert await waiting[2].over() == "full"
        for pupil in waiting[:2]:
            await pupil.enters()
        body = {"code": codes_of(small)["pupil"], "name": "Ada"}
        assert await asyncio.to_thread(post, short, "join", body) == (503, {"error": "full"})
        await teacher(people, short, small)  # always
        async with api.LiveKitAPI(f"http://127.0.0.1:{short.livekit}", "classroom", short.secret) as server:
            found = await server.room.list_rooms(api.ListRoomsRequest(names=[small]))
            assert found.rooms[0].max_participants == 13
        assert await waiting[0].ask("leave") == {"ok": True}
        assert await waiting[0].closed() == 1000
        await (await member(people, short, small)).enters()


async def test_a_crash_of_a_page_frees_its_place_after_a_while(
    short: Settings, small: str, people: contextlib.AsyncExitStack
) -> None:
    async with Member(short, await ticket(short, small, "teacher")) as first:
        await first.enters()
        kept = await member(people, short, small)
        await kept.enters()
        async with Member(short, await ticket(short, small)) as crashed:
            await crashed.enters()
        body = {"code": codes_of(small)["pupil"], "name": "Ada"}
        assert (await asyncio.to_thread(post, short, "join", body))[0] == 503
        await asyncio.sleep(SHORT["grace"] + 0.5)
        assert (await asyncio.to_thread(post, short, "join", body))[0] == 200


async def test_the_waiting_room_admits_one_and_all_and_refuses(
    at: Settings, guarded: str, people: contextlib.AsyncExitStack
) -> None:
    early = await member(people, at, guarded)
    assert (await early.gets("waiting"))["why"] == "teacher"
    first = await teacher(people, at, guarded)
    assert (await early.gets("waiting"))["why"] == "admission"
    waiting = [await member(people, at, guarded) for _ in range(4)]
    for pupil in waiting:
        assert await pupil.gets("waiting") == {"type": "waiting", "why": "admission"}
    listed = await first.listed(5)
    assert [set(entry) for entry in listed] == [{"identity", "name", "since"}] * 5
    assert abs(listed[0]["since"] / 1000 - time.time()) < 30
    assert not any(pupil.frames for pupil in waiting)  # only teachers get the list
    assert await waiting[0].ask("admit", all=True) == {"error": "not_a_teacher"}
    assert await first.ask("admit", identity=listed[0]["identity"]) == {"ok": True}
    await early.enters()
    assert await first.ask("refuse", identity=listed[1]["identity"]) == {"ok": True}
    assert await waiting[0].over() == "refused"
    again = await people.enter_async_context(Member(at, waiting[0].ticket))
    assert await again.over() == "refused"
    assert await first.ask("admit", identity=listed[1]["identity"]) == {"error": "not_there"}
    assert await first.ask("admit", all=True) == {"ok": True}
    for pupil in waiting[1:]:
        await pupil.enters()
    await first.listed(0)
    # Who was admitted is not asked again.
    async with Member(at, early.ticket) as reloaded:
        await reloaded.enters()
    assert await first.ask("waiting_room", on=False) == {"ok": True}
    await (await member(people, at, guarded)).enters()


async def test_thirty_arrivals_are_few_frames_and_a_reloaded_tab_is_listed_once(
    short: Settings, guarded: str, people: contextlib.AsyncExitStack
) -> None:
    first = await teacher(people, short, guarded)
    await asyncio.sleep(0.5)
    first.frames.clear()
    tickets = [await ticket(short, guarded) for _ in range(30)]
    begin = time.monotonic()
    waiting = [await people.enter_async_context(Member(short, one)) for one in tickets]
    listed = await first.listed(30)
    frames = [frame for frame in first.frames if frame["type"] == "waiting_list"]
    assert len(frames) <= 2 + (time.monotonic() - begin) / SHORT["coalesce"]
    assert len({entry["identity"] for entry in listed}) == 30
    async with Member(short, tickets[0]) as reloaded:
        assert (await reloaded.gets("waiting"))["why"] == "admission"
        assert await waiting[0].closed() == 4002
        await asyncio.sleep(0.6)
        await first.listed(30)
    # A page that has gone stays listed for a while, and then goes.
    await asyncio.sleep(0.5)
    await first.listed(30)
    await first.listed(29, SHORT["grace"] + 1)
    for pupil in waiting[1:]:
        assert await pupil.ask("ping") == {"ok": True}


async def test_chat_has_three_modes(at: Settings, room: str, people: contextlib.AsyncExitStack) -> None:
    first = await teacher(people, at, room)
    pupil = await member(people, at, room)
    await pupil.enters()
    expected = {"all": ("ok", "ok"), "teacher": ("ok", "error"), "off": ("error", "error")}
    for mode, results in expected.items():
        assert await first.ask("chat_mode", mode=mode) == {"ok": True}
        assert (await metadata(at, room) or {})["chat"] == mode
        answers = [await person.ask("chat", text="Hello") for person in (first, pupil)]
        assert tuple(next(iter(answer)) for answer in answers) == results
        assert {answer["error"] for answer in answers if "error" in answer} <= {"chat_off"}
    assert await first.ask("chat_mode", mode="loud") == {"error": "bad_value"}


async def test_a_session_is_replaced_by_a_newer_one(at: Settings, room: str, people: contextlib.AsyncExitStack) -> None:
    first = await teacher(people, at, room)
    second = await people.enter_async_context(Member(at, first.ticket))
    assert await first.closed() == 4002
    await second.gets("enter")
    assert await second.ask("ping") == {"ok": True}
    await second.gets("handback")
    await second.gets("waiting_list")


async def _can_publish(at: Settings, room: str, identity: str) -> bool:
    return bool((await participants(at, room))[identity].permission.can_publish)

"""Attacks on removal, lock and roles with a real media server: in each, the person is out within two seconds."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator

import pytest

from portal.tickets import Tickets
from tests.page.server import Settings, codes_of, post
from tests.unit.portal.member import Member, metadata, participants, ticket, until
from tests.unit.portal.person import NotLetIn, Person

OUT_SECONDS = 2.0


@pytest.fixture
async def people(at: Settings) -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def first(at: Settings, room: str, people: contextlib.AsyncExitStack) -> Member:
    """The teacher, who has opened the class."""
    found = await people.enter_async_context(Member(at, await ticket(at, room, "teacher", "Mme")))
    await found.enters()
    return found


@pytest.fixture
async def pupil(at: Settings, room: str, people: contextlib.AsyncExitStack, first: Member) -> Member:
    """A pupil inside."""
    found = await people.enter_async_context(Member(at, await ticket(at, room)))
    await found.enters()
    await until(lambda: _is_inside(at, room, found.identity), True)
    return found


async def _is_inside(at: Settings, room: str, identity: str) -> bool:
    return identity in await participants(at, room)


async def is_put_out(at: Settings, token: str, more: str = "") -> bool:
    """Return whether who connects with this token is refused, or removed within two seconds."""
    try:
        async with Person(at.livekit, token, more) as person:
            return await person.gets("leave", OUT_SECONDS) is not None
    except NotLetIn:
        return True


async def test_identities_made_with_publish_are_put_out(at: Settings, room: str, pupil: Member) -> None:
    others = [asyncio.create_task(is_put_out(at, pupil.token, f"&publish=x{n}")) for n in range(3)]
    assert await asyncio.gather(*others) == [True] * 3
    assert set(await participants(at, room)) >= {pupil.identity}
    assert not [identity for identity in await participants(at, room) if "#" in identity]


async def test_removed_pupils_stay_out_with_every_token(
    at: Settings, room: str, first: Member, pupil: Member, people: contextlib.AsyncExitStack
) -> None:
    """With the token that they have, the renewed one of the media server, an identity of `?publish=`, in a second tab."""
    assert await pupil.ask("token") == {"ok": True}
    person = await pupil.enters()  # the first connection is replaced
    renewed = await person.gets("refresh_token")
    begin = time.monotonic()
    assert await first.ask("remove", identity=pupil.identity) == {"ok": True}
    assert await person.gets("leave")
    assert time.monotonic() - begin < OUT_SECONDS
    assert await pupil.over() == "removed"
    attempts = [(pupil.token, ""), (renewed, ""), (pupil.token, "&publish=x"), (renewed, "&publish=y")]
    for token, more in attempts:
        assert await is_put_out(at, token, more), more
    for _ in range(2):
        again = await people.enter_async_context(Member(at, pupil.ticket))
        assert await again.over() == "removed"
    assert not [i for i in await participants(at, room) if i.startswith(pupil.identity)]


async def test_who_joins_after_a_removal_waits_until_the_teacher_switches_that_off(
    at: Settings, room: str, first: Member, pupil: Member, people: contextlib.AsyncExitStack
) -> None:
    """The removed pupil has the code, and may have taken more tickets before, with and without a session."""
    hoarded = await ticket(at, room)
    outstanding = await people.enter_async_context(Member(at, await ticket(at, room)))
    token = (await outstanding.gets("enter"))["token"]
    await first.ask("remove", identity=pupil.identity)
    assert (await metadata(at, room) or {})["waiting_room"] is True
    assert (await outstanding.gets("waiting"))["why"] == "admission"
    assert await is_put_out(at, token)
    for taken in (hoarded, await ticket(at, room)):
        later = await people.enter_async_context(Member(at, taken))
        assert (await later.gets("waiting"))["why"] == "admission"
    await first.ask("waiting_room", on=False)
    await (await people.enter_async_context(Member(at, await ticket(at, room)))).enters()
    assert later.last("enter") is None  # who is on the list stays there


async def test_a_lock_holds_against_hoarded_tickets_and_tokens(
    at: Settings, room: str, first: Member, pupil: Member, people: contextlib.AsyncExitStack
) -> None:
    hoarded = await ticket(at, room)
    outstanding = await people.enter_async_context(Member(at, await ticket(at, room)))
    token = (await outstanding.gets("enter"))["token"]
    assert await first.ask("lock", locked=True) == {"ok": True}
    assert (await metadata(at, room) or {})["locked"] is True
    assert await outstanding.over() == "locked"
    for more in ("", "&publish=x"):
        assert await is_put_out(at, token, more)
    late = await people.enter_async_context(Member(at, hoarded))
    assert await late.over() == "locked"
    body = {"code": codes_of(room)["pupil"], "name": "Ada"}
    assert await asyncio.to_thread(post, at, "join", body) == (423, {"error": "locked"})
    # Who is inside keeps the place over a reload, and so does the teacher; further teachers enter.
    async with Member(at, pupil.ticket) as reloaded:
        person = await reloaded.enters()
        await asyncio.sleep(1.5)
        assert not [m for m in person.seen if m.WhichOneof("message") == "leave"]
    async with Member(at, await ticket(at, room, "teacher")) as second:
        await second.enters()
    assert await first.ask("lock", locked=False) == {"ok": True}
    await (await people.enter_async_context(Member(at, hoarded))).enters()


async def test_a_lock_leaves_the_waiting_list(
    at: Settings, room: str, first: Member, pupil: Member, people: contextlib.AsyncExitStack
) -> None:
    await first.ask("waiting_room", on=True)
    waiting = await people.enter_async_context(Member(at, await ticket(at, room)))
    assert (await waiting.gets("waiting"))["why"] == "admission"
    await first.ask("lock", locked=True)
    async with Member(at, waiting.ticket) as reloaded:
        assert (await reloaded.gets("waiting"))["why"] == "admission"
        assert await first.ask("admit", all=True) == {"ok": True}
        await reloaded.enters()


async def test_ending_a_raid_keeps_only_those_the_teacher_chose(
    at: Settings, room: str, first: Member, pupil: Member, people: contextlib.AsyncExitStack
) -> None:
    bots = [await people.enter_async_context(Member(at, await ticket(at, room))) for _ in range(8)]
    inside = [await bot.enters() for bot in bots]
    begin = time.monotonic()
    assert await first.ask("end_raid", keep=[pupil.identity]) == {"ok": True}
    for bot, person in zip(bots, inside, strict=True):
        assert await person.gets("leave", OUT_SECONDS)
        assert (await bot.gets("waiting"))["why"] == "admission"
        assert await bot.ask("token") == {"error": "not_admitted"}
        assert await bot.ask("chat", text="still here") == {"error": "not_admitted"}
    assert time.monotonic() - begin < OUT_SECONDS
    assert await metadata(at, room) == {"locked": True, "chat": "off", "waiting_room": True, "teacher": True}
    assert all(await asyncio.gather(*(is_put_out(at, bot.token) for bot in bots)))
    assert set(await participants(at, room)) == {first.identity, pupil.identity}
    await first.listed(8)
    body = {"code": codes_of(room)["pupil"], "name": "Ada"}
    assert (await asyncio.to_thread(post, at, "join", body))[0] == 423
    # One of them was a pupil after all.
    assert await first.ask("admit", identity=bots[0].identity) == {"ok": True}
    await bots[0].enters()


async def test_a_token_of_another_room_enters_no_other(
    at: Settings, room: str, first: Member, pupil: Member, people: contextlib.AsyncExitStack
) -> None:
    other = await people.enter_async_context(Member(at, await ticket(at, "cm2", "teacher")))
    await other.enters()
    with contextlib.suppress(NotLetIn):
        async with Person(at.livekit, pupil.token, "&room=cm2") as person:
            assert person.joined.room.name == room
    assert pupil.identity not in await participants(at, "cm2")
    assert await other.ask("remove", identity=pupil.identity) == {"ok": True}
    assert await other.ask("hand", raised=False, identity=pupil.identity) == {"error": "not_there"}
    async with Member(at, pupil.ticket) as reloaded:
        await reloaded.enters()  # removed from one class is not removed from another


async def test_only_tickets_of_this_service_are_accepted(at: Settings, room: str, first: Member) -> None:
    good = await ticket(at, room)
    await first.ask("chat_mode", mode="off")
    forged = [
        Tickets("another secret").issue(room, "Ada", "teacher"),
        Tickets(at.secret).issue(room, "Ada", "pupil", ends=time.time() - 1),
        good[:-1],
        good[1:],
        good + "A",
        "A" + good,
        good.replace(good[10], "é", 1),
        first.sealed,
        first.token,
        "",
        "." * 300,
    ]
    for text in forged:
        async with Member(at, text) as intruder:
            assert await intruder.closed() == 4001, text[:40]
            assert intruder.frames == []


async def test_pupils_have_no_power_of_a_teacher(at: Settings, room: str, first: Member, pupil: Member) -> None:
    requests: dict[str, dict[str, object]] = {
        "mute_all": {},
        "lock": {"locked": True},
        "chat_mode": {"mode": "off"},
        "delete": {"message": "0" * 16},
        "waiting_room": {"on": True},
        "admit": {"all": True},
        "refuse": {"identity": first.identity},
        "remove": {"identity": first.identity},
        "end_raid": {"keep": []},
        "hand": {"raised": False, "identity": first.identity},
    }
    before = await metadata(at, room, version=True)
    for kind, values in requests.items():
        assert await pupil.ask(kind, **values) == {"error": "not_a_teacher"}, kind
        await asyncio.sleep(0.11)
    assert await metadata(at, room, version=True) == before
    assert first.identity in await participants(at, room)


async def test_a_bot_without_media_cannot_write(at: Settings, room: str, first: Member) -> None:
    """Only those whom the teacher sees among the participants can write."""
    async with Member(at, await ticket(at, room)) as bot:
        await bot.gets("enter")
        assert await bot.ask("chat", text="Hello") == {"error": "not_there"}
        assert await bot.ask("hand", raised=True) == {"error": "not_there"}


async def test_a_hand_is_an_attribute_that_the_service_sets(
    at: Settings, room: str, first: Member, pupil: Member
) -> None:
    async def hand() -> str:
        return str((await participants(at, room))[pupil.identity].attributes["hand"])

    assert await pupil.ask("hand", raised=True) == {"ok": True}
    await until(lambda: _raised(hand), True)
    assert abs(int(await hand()) / 1000 - time.time()) < 10
    assert await pupil.ask("hand", raised=True, identity=first.identity) == {"error": "not_a_teacher"}
    assert await first.ask("hand", raised=True, identity=pupil.identity) == {"error": "not_a_teacher"}
    assert await first.ask("hand", raised=False, identity=pupil.identity) == {"ok": True}
    await until(lambda: _raised(hand), False)
    missing = f"p-{secrets.token_hex(8)}"
    assert await first.ask("hand", raised=False, identity=missing) == {"error": "not_there"}


async def _raised(hand: object) -> bool:
    return bool(await hand())  # type: ignore[operator]

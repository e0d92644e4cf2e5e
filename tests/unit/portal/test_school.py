"""A school of 600 pupils behind one address enters its classes while somebody guesses codes behind the same address."""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.page.server import ROOMS, SIZE, Settings, livekit, portal, post, settings
from tests.unit.portal.member import Member, participants, ticket

PUPILS, SECONDS, AT_ONCE = 600, 60.0, 20
CLASSES = ROOMS[: -(-PUPILS // (SIZE - 1))]


@pytest.fixture
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Servers of its own, as the guesser's limit concerns the address of all tests."""
    here = settings(tmp_path_factory.mktemp("school"))
    with livekit(here), portal(here):
        yield here


async def guess(school: Settings, found: Counter[int]) -> None:
    """Try wrong codes from the school's address until the task is cancelled."""
    while True:
        status, _ = await asyncio.to_thread(post, school, "join", {"code": secrets.token_hex(5), "name": "x"})
        found[status] += 1


async def test_a_school_enters_beside_a_guesser(school: Settings) -> None:
    free, guessed = asyncio.Semaphore(AT_ONCE), Counter[int]()

    async def enter(room: str, role: str) -> None:
        async with free:
            member = Member(school, await ticket(school, room, role))
            await people.enter_async_context(member)
            await member.enters(SECONDS)

    async with contextlib.AsyncExitStack() as people, asyncio.TaskGroup() as group:
        guessers = [group.create_task(guess(school, guessed)) for _ in range(4)]
        await asyncio.gather(*(enter(room, "teacher") for room in CLASSES))
        begin = time.monotonic()
        await asyncio.gather(*(enter(CLASSES[number % len(CLASSES)], "pupil") for number in range(PUPILS)))
        took = time.monotonic() - begin
        for task in guessers:
            task.cancel()
        inside = [len(await participants(school, room)) for room in CLASSES]
    assert sum(inside) == PUPILS + len(CLASSES), inside
    assert took <= SECONDS
    assert set(guessed) == {403, 429} and guessed[429] > PUPILS, guessed

"""The chat of the join service with a real media server: permissions, texts and limits."""

import asyncio
import json
import secrets
import time
import types

import jwt
import pytest

from portal import chat
from portal.chat import TEXT_LENGTH, clean_text
from tests.page.server import CODES, Settings, post
from tests.unit.portal.person import Person


def ticket(at: Settings, role: str = "pupil") -> str:
    status, answer = post(at, "join", {"code": CODES[role], "name": "Ada"})
    assert status == 200
    return answer["token"]


async def write(at: Settings, text: object, token: str) -> tuple[int, dict]:
    return await asyncio.to_thread(post, at, "chat", {"text": text}, token)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (" Bonjour ", "Bonjour"),
        ("a\r\nb\rc\td", "a\nb\nc\td"),
        ("a\0b\x1bc\x7fd\x85e", "abcde"),
        ("e\u0301", "é"),
        ("a\u202eb\u2066c", "abc"),
        ("\ud83dx", "x"),
        ("👩‍🏫 🏴󠁧󠁢󠁥󠁮󠁧󠁿 نور", "👩‍🏫 🏴󠁧󠁢󠁥󠁮󠁧󠁿 نور"),
        ("x" * TEXT_LENGTH, "x" * TEXT_LENGTH),
        ("😀" * TEXT_LENGTH, "😀" * TEXT_LENGTH),
        ("\0" * 50 + "x" * TEXT_LENGTH, "x" * TEXT_LENGTH),
    ],
)
def test_a_text_is_cleaned(written: str, shown: str) -> None:
    assert clean_text(written) == shown


UNFIT = ["", "  \n\t ", "\0\x07", "\ud83d", "\u200d\u200b", "x" * (TEXT_LENGTH + 1), 7, None, True, ["a"], {"a": "b"}]


@pytest.mark.parametrize("value", UNFIT)
def test_an_invalid_text_is_refused(value: object) -> None:
    assert clean_text(value) is None


def test_a_message_has_the_sender_s_name_and_role_from_the_media_server() -> None:
    person = types.SimpleNamespace(identity="t-1", name="Mme", attributes={"role": "teacher"})
    first, second = (json.loads(chat.message(person, "Bonjour")) for _ in range(2))
    assert first.pop("id") != second.pop("id")
    assert abs(first.pop("at") / 1000 - time.time()) < 5
    assert first == {"identity": "t-1", "name": "Mme", "role": "teacher", "text": "Bonjour"}
    person.attributes["role"] = "admin"
    assert json.loads(chat.message(person, "Bonjour"))["role"] == "pupil"


async def test_only_participants_in_the_room_can_write(at: Settings) -> None:
    token = ticket(at)
    assert (await write(at, "Bonjour", token))[0] == 401
    assert (await write(at, "Bonjour", ""))[0] == 401
    async with Person(at.livekit, token):
        assert await write(at, "Bonjour", token) == (200, {})
        for value in UNFIT[:4] + UNFIT[-3:]:
            assert (await write(at, value, token))[0] == 422, value
        assert (await asyncio.to_thread(post, at, "chat", {}, token))[0] == 422
        assert (await asyncio.to_thread(post, at, "chat", {"text": "x" * 5000}, token))[0] == 413
        await asyncio.sleep(1.1)
        # Claims with another room, another participant or another key.
        said = jwt.decode(token, at.secret, algorithms=["HS256"])
        other = said | {"video": said["video"] | {"room": f"room-{secrets.token_hex(4)}"}}
        assert (await write(at, "Bonjour", jwt.encode(other, at.secret, "HS256")))[0] == 401
        assert (await write(at, "Bonjour", jwt.encode(said | {"sub": "p-none"}, at.secret, "HS256")))[0] == 401
        assert (await write(at, "Bonjour", jwt.encode(said, "x" * 48, "HS256")))[0] == 401
        # The expired token still authenticates its participant in the room.
        old = said | {"exp": int(time.time()) - 3600, "nbf": int(time.time()) - 3720}
        await asyncio.sleep(1.1)
        assert (await write(at, "Bonjour", jwt.encode(old, at.secret, "HS256")))[0] == 200


async def test_removed_participants_cannot_write(at: Settings) -> None:
    teachers, token = ticket(at, "teacher"), ticket(at)
    async with Person(at.livekit, teachers), Person(at.livekit, token) as pupil:
        assert (await write(at, "Bonjour", token))[0] == 200
        removed = await asyncio.to_thread(post, at, "remove", {"identity": pupil.identity}, teachers)
        assert removed[0] == 200
        assert (await write(at, "Bonjour", token))[0] == 401
        async with Person(at.livekit, token):
            assert (await write(at, "Bonjour", token))[0] == 401
        assert (await write(at, "Bonjour", teachers))[0] == 200


async def test_the_limit_of_messages_applies_to_each_participant(at: Settings) -> None:
    fast, other = ticket(at), ticket(at)
    async with Person(at.livekit, fast), Person(at.livekit, other):
        begin = time.monotonic()
        statuses = [status for status, _ in await asyncio.gather(*(write(at, "x", fast) for _ in range(100)))]
        seconds = time.monotonic() - begin
        assert set(statuses) == {200, 429}
        assert statuses.count(200) <= 10 * (seconds + 1)
        assert (await write(at, "Bonjour", other))[0] == 200
        await asyncio.sleep(1.1)
        assert (await write(at, "Bonjour", fast))[0] == 200

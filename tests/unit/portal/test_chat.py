"""The chat of the join service with a real media server: permissions, texts and limits."""

import asyncio
import json
import time

import pytest

from portal import chat
from portal.chat import TEXT_LENGTH, clean_text
from portal.live_class import Person
from tests.page.server import Settings
from tests.unit.portal.member import Member, ticket


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


def test_a_message_has_the_sender_s_name_and_role() -> None:
    person = Person("t-1", "Mme", "teacher", 0.0)
    first, second = (json.loads(chat.message(person, "Bonjour")) for _ in range(2))
    assert chat.MESSAGE_ID.fullmatch(first["id"]) and first.pop("id") != second.pop("id")
    assert abs(first.pop("at") / 1000 - time.time()) < 5
    assert first == {"identity": "t-1", "name": "Mme", "role": "teacher", "text": "Bonjour"}


async def test_texts_are_checked(at: Settings, room: str) -> None:
    async with (
        Member(at, await ticket(at, room, "teacher")) as teacher,
        Member(at, await ticket(at, room)) as pupil,
    ):
        await teacher.enters()
        await pupil.enters()
        for value in UNFIT:
            if value == "\ud83d":  # no valid frame at all: see test_frames.py
                continue
            expected = "bad_text" if isinstance(value, str) else "bad_value"
            assert await pupil.ask("chat", text=value) == {"error": expected}, value
            await asyncio.sleep(0.11)
        assert await pupil.ask("chat", text="Bonjour") == {"ok": True}
        assert await pupil.ask("chat") == {"error": "bad_value"}
        assert await teacher.ask("delete", message="0123456789abcdef") == {"ok": True}
        for message in ("", "x", "0" * 17, "0123456789ABCDEF", "../../../../aaaa"):
            assert await teacher.ask("delete", message=message) == {"error": "bad_value"}


async def test_the_limit_of_messages_applies_to_each_participant(at: Settings, room: str) -> None:
    async with (
        Member(at, await ticket(at, room, "teacher")) as teacher,
        Member(at, await ticket(at, room)) as fast,
    ):
        await teacher.enters()
        await fast.enters()
        for number in range(20):
            await fast.socket.send_json({"type": "chat", "re": number, "text": "x"})
        answers = [await fast.gets("answer") for _ in range(20)]
        assert {answer.get("error") for answer in answers} == {None, "too_many"}
        assert await teacher.ask("chat", text="Bonjour") == {"ok": True}
        await asyncio.sleep(1.1)
        assert await fast.ask("chat", text="Bonjour") == {"ok": True}

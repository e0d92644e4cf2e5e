"""Malformed, oversized and too many frames on the WebSocket: each is answered, or closes its connection; none is logged."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from portal.frames import FRAME_BYTES, REQUIRED, TEACHERS, Refused, parse, request
from tests.page.server import Settings
from tests.unit.portal.conftest import SHORT
from tests.unit.portal.member import Member, ticket
from tests.unit.portal.test_requests import CANARY, VALUES, written

GOOD: dict[str, dict[str, Any]] = {
    "chat": {"text": "Hello"},
    "hand": {"raised": True, "identity": "p-1"},
    "lock": {"locked": False},
    "chat_mode": {"mode": "all"},
    "delete": {"message": "0" * 16},
    "waiting_room": {"on": False},
    "admit": {"identity": "p-1", "all": True},
    "refuse": {"identity": "p-1"},
    "remove": {"identity": "p-1"},
    "end_raid": {"keep": []},
}
ERRORS = {
    *("bad_message", "bad_value", "bad_text", "too_many", "not_a_teacher", "not_admitted", "not_there", "chat_off"),
    *("paused", "full", "unreachable"),
}
REFUSED = {
    "nothing": "",
    "no JSON": CANARY,
    "a text": json.dumps(CANARY),
    "a list": '[{"type": "ping", "re": 1}]',
    "null": "null",
    "NaN": '{"type": "ping", "re": NaN}',
    "an endless number": '{"type": "ping", "re": 1e999}',
    "a long number": '{"type": "ping", "re": ' + "1" * 7000 + "}",
    "half of an emoji": '{"type": "ping", "re": 1, "x": "\\ud83d"}',
    "half of an emoji as key": '{"type": "ping", "re": 1, "\\ud83d": 1}',
    "the same key twice": '{"type": "ping", "type": "lock", "re": 1, "locked": true}',
    "the same key twice inside": '{"type": "ping", "re": 1, "x": {"a": 1, "a": 2}}',
    "too deep": "[" * 8000,
    "deep": '{"type": "ping", "re": 1, "x": ' + "[" * 3900 + "]" * 3900 + "}",
    "no number": '{"type": "ping"}',
    "a negative number": '{"type": "ping", "re": -1}',
    "a large number": '{"type": "ping", "re": 2147483649}',
    "a text as number": '{"type": "ping", "re": "1"}',
    "true as number": '{"type": "ping", "re": true}',
    "a fraction as number": '{"type": "ping", "re": 1.0}',
    "no type": '{"re": 1}',
    "an unknown type": '{"re": 1, "type": "' + CANARY + '"}',
    "a list as type": '{"re": 1, "type": ["ping"]}',
    "an object as type": '{"re": 1, "type": {"ping": 1}}',
    "a second hello": '{"type": "hello", "re": 1, "ticket": "x"}',
    "a byte order mark": '\ufeff{"type": "ping", "re": 1}',
    "NUL": '{"type": "ping", "re": 1}\0',
}
"""Frames that are answered `bad_message`, by their fault."""


@pytest.fixture(scope="module")
def real(at: Settings) -> Iterator[Settings]:
    yield at
    written(at)
    lines = (at.folder / "portal.log").read_text().splitlines()
    assert not [line for line in lines if "/portal/" in line], lines


@pytest.fixture
async def sessions(real: Settings, room: str) -> AsyncIterator[dict[str, str]]:
    """Tickets of a teacher who holds a class, and of a pupil in it."""
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for role in ("teacher", "pupil"):
            member = await stack.enter_async_context(Member(real, await ticket(real, room, role)))
            await member.enters()
            found[role] = member.ticket
        yield found


async def every_frame(at: Settings, ticket: str, frames: list[str]) -> list[dict[str, Any]]:
    """Send frames, a few for each session, and return their answers."""
    answers = []
    for first in range(0, len(frames), 8):
        async with Member(at, ticket) as member:
            for frame in frames[first : first + 8]:
                await member.socket.send_str(frame)
                answers.append(await member.gets("answer"))
    return answers


async def test_frames_that_are_no_request_are_refused(real: Settings, sessions: dict[str, str]) -> None:
    answers = await every_frame(real, sessions["pupil"], list(REFUSED.values()))
    wrong = [(why, a) for why, a in zip(REFUSED, answers, strict=True) if a.get("error") != "bad_message"]
    assert wrong == []
    async with Member(real, sessions["pupil"]) as member:
        assert await member.ask("ping", more="is ignored") == {"ok": True}
        assert await member.ask("ping", type="ping") == {"ok": True}


@pytest.mark.parametrize("role", ["pupil", "teacher"])
async def test_every_value_of_every_request_is_answered(real: Settings, sessions: dict[str, str], role: str) -> None:
    frames = []
    for kind, values in GOOD.items():
        if role == "pupil" and kind in TEACHERS:
            continue
        for key in values:
            for value in VALUES:
                rest = json.dumps({"type": kind, "re": 7, **{k: v for k, v in values.items() if k != key}})
                frames.append(f'{{"{key}": {value}, "canary": "{CANARY}", {rest[1:]}')
    for answer in await every_frame(real, sessions[role], frames):
        assert answer["re"] in {7, None}
        assert answer.get("ok") is True or answer["error"] in ERRORS, answer
    async with Member(real, sessions[role]) as member:
        assert await member.ask("ping") == {"ok": True}


async def test_missing_values_are_refused(real: Settings, sessions: dict[str, str]) -> None:
    frames = [json.dumps({"type": kind, "re": 1}) for kind, values in REQUIRED.items() if values]
    answers = await every_frame(real, sessions["teacher"], frames)
    assert {answer.get("error") for answer in answers} == {"bad_value"}


async def test_frames_of_bytes_are_refused_and_broken_ones_close(real: Settings, sessions: dict[str, str]) -> None:
    async with Member(real, sessions["pupil"]) as member:
        await member.socket.send_bytes(b'{"type": "ping", "re": 1}')
        assert await member.gets("answer") == {"type": "answer", "re": None, "error": "bad_message"}
        for _ in range(3):
            await member.socket.ping(CANARY.encode())
        await member.socket.pong(CANARY.encode())
        assert await member.ask("ping") == {"ok": True}
    for broken, code in ((b"\xff\xfe" + CANARY.encode(), 1007), (b"\xed\xa0\xbd", 1007)):
        async with Member(real, sessions["pupil"]) as member:
            await member.socket._writer.send_frame(broken, WSMsgType.TEXT)
            assert await member.closed() == code


@pytest.mark.parametrize("size", [FRAME_BYTES + 1, 65_536, 5_000_000])
async def test_a_large_frame_closes(real: Settings, sessions: dict[str, str], size: int) -> None:
    async with Member(real, sessions["pupil"]) as member:
        text = json.dumps({"type": "chat", "re": 1, "text": ""})
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await member.socket.send_str(text[:-2] + "x" * (size - len(text)) + text[-2:])
        # The service reads no more than it needs: the closing frame may be lost as the page still sends.
        assert await member.closed(10) in ({1009, 1006} if size > 1_000_000 else {1009})
    async with Member(real, sessions["pupil"]) as member:
        fits = text[:-2] + "x" * (FRAME_BYTES - 1 - len(text)) + text[-2:]
        await member.socket.send_str(fits)
        assert (await member.gets("answer"))["error"] == "bad_text"


async def test_ten_frames_a_second(real: Settings, sessions: dict[str, str]) -> None:
    async with Member(real, sessions["pupil"]) as member:
        begin = time.monotonic()
        for number in range(30):
            await member.socket.send_json({"type": "ping", "re": number})
        answers = [await member.gets("answer") for _ in range(30)]
        seconds = time.monotonic() - begin
        good = sum("ok" in answer for answer in answers)
        assert 10 <= good <= 10 * (seconds + 1)
        assert {answer["error"] for answer in answers if "error" in answer} == {"too_many"}
        assert [answer["re"] for answer in answers] == list(range(30))
        await asyncio.sleep(1.1)
        assert await member.ask("ping") == {"ok": True}


async def test_a_flood_closes(real: Settings, sessions: dict[str, str]) -> None:
    async with Member(real, sessions["pupil"]) as member:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            for number in range(500):
                await member.socket.send_json({"type": "ping", "re": number})
        assert await member.closed() == 4008
        answers = [frame for frame in member.frames if frame["type"] == "answer"]
        assert sum("error" in answer for answer in answers) == 30
    # The limit of messages is the person's, whatever the number of sessions.
    sent = 0
    for _ in range(10):
        async with Member(real, sessions["pupil"]) as member:
            for _ in range(8):
                sent += await member.ask("chat", text="x") == {"ok": True}
    assert sent <= 60


HELLOS = {
    "nothing": "",
    "no JSON": CANARY,
    "no ticket": '{"type": "hello"}',
    "a number as ticket": '{"type": "hello", "ticket": 1}',
    "half of an emoji": '{"type": "hello", "ticket": "\\ud83d"}',
    "no hello": '{"type": "ping", "re": 1}',
    "a list": "[]",
    "letters of another script": '{"type": "hello", "ticket": "é\u0660"}',
    "too deep": "[" * 8000,
}


@pytest.mark.parametrize("why", HELLOS)
async def test_a_first_frame_without_a_ticket_closes(real: Settings, why: str) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{real.portal}/api/class") as socket:
        await socket.send_str(HELLOS[why])
        message = await socket.receive(5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 4001)


async def test_a_silent_connection_is_closed(short: Settings) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{short.portal}/api/class") as socket:
        begin = time.monotonic()
        assert (await socket.receive(5)).data == 4001
        assert time.monotonic() - begin >= SHORT["hello"] - 0.1


@pytest.mark.parametrize("handback", ["x", "é", "\0", "A" * 5000, "a.b.c", "AAAA", "=" * 40])
async def test_a_forged_handback_is_ignored(real: Settings, room: str, handback: str) -> None:
    async with Member(real, await ticket(real, room, "teacher"), handback) as member:
        await member.enters()
        assert await member.ask("ping") == {"ok": True}


@pytest.mark.parametrize("origin", ["https://evil.example", "http://class.example", "null"])
async def test_pages_of_other_sites_get_no_websocket(real: Settings, origin: str) -> None:
    url = f"http://127.0.0.1:{real.portal}/api/class"
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(url, origin=origin)
        assert refused.value.status == 403
        async with http.ws_connect(url, origin="https://class.example"):
            pass


def test_requests_have_a_fixed_shape() -> None:
    for kind, values in GOOD.items():
        found = request({"type": kind, "re": 0, **values})
        assert (found.kind, found.number, found.values) == (kind, 0, values)
        for key in values:
            for value in (None, 1, 1.5, {}, [1]):
                with pytest.raises(Refused, match="bad_value"):
                    request({"type": kind, "re": 0, **values, key: value})
    with pytest.raises(Refused, match="bad_message"):
        parse(json.dumps([secrets.token_hex(4)]))

"""A person of a class: a ticket, the WebSocket of the join service, and signalling of the media server."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import aiohttp
import jwt
from livekit import api

from tests.page.server import Settings, codes_of, post
from tests.unit.portal.person import Person

SECONDS = 5.0


async def ticket(at: Settings, room: str, role: str = "pupil", name: str = "Ada") -> str:
    status, answer = await asyncio.to_thread(post, at, "join", {"code": codes_of(room)[role], "name": name})
    assert (status, answer.get("role")) == (200, role), answer
    return str(answer["ticket"])


class Member:
    """One session with a ticket; it says `hello` when its context is entered."""

    def __init__(self, at: Settings, ticket: str, handback: str = "") -> None:
        self._at, self.ticket, self._handback = at, ticket, handback
        self.frames: list[dict[str, Any]] = []
        self.sealed = ""
        self.close_code: int | None = None
        self._number = 0
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Member":
        http = await self._stack.enter_async_context(aiohttp.ClientSession())
        self.socket = await self._stack.enter_async_context(
            http.ws_connect(f"http://127.0.0.1:{self._at.portal}/api/class")
        )
        hello = {"type": "hello", "ticket": self.ticket} | ({"handback": self._handback} if self._handback else {})
        await self.socket.send_json(hello)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._reader.cancel()
        await self._stack.aclose()

    async def _read(self) -> None:
        async for message in self.socket:
            frame = json.loads(message.data)
            self.frames.append(frame)
            self.sealed = frame.get("sealed", self.sealed)
        self.close_code = self.socket.close_code

    def last(self, kind: str) -> dict[str, Any] | None:
        return next((frame for frame in reversed(self.frames) if frame["type"] == kind), None)

    async def gets(self, kind: str, seconds: float = SECONDS) -> dict[str, Any]:
        """Wait for a frame of this kind, take it and, unless it is an answer, all before it, and return it."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            for at, frame in enumerate(self.frames):
                if frame["type"] == kind:
                    del self.frames[at if kind == "answer" else 0 : at + 1]
                    return frame
            left = end - asyncio.get_running_loop().time()
            assert left > 0, f"no {kind} within {seconds} s, but {[f['type'] for f in self.frames]}"
            await asyncio.sleep(0.02)

    async def ask(self, kind: str, **values: Any) -> dict[str, Any]:
        """Send a request, and return its answer without `type` and `re`."""
        self._number += 1
        await self.socket.send_json({"type": kind, "re": self._number, **values})
        answer = await self.gets("answer")
        assert answer.pop("re") == self._number
        del answer["type"]
        return answer

    async def listed(self, count: int, seconds: float = SECONDS) -> list[dict[str, Any]]:
        """Wait for a waiting list of this length."""

        async def length() -> int:
            return len((self.last("waiting_list") or {}).get("people", []))

        await until(length, count, seconds)
        return list((self.last("waiting_list") or {}).get("people", []))

    async def closed(self, seconds: float = SECONDS) -> int | None:
        """Return the code with which the service closed the connection."""
        await asyncio.wait_for(self._reader, seconds)
        return self.close_code

    async def over(self, seconds: float = SECONDS) -> str:
        """Return why it is over for this person."""
        why = str((await self.gets("over", seconds))["why"])
        assert await self.closed() == 4003
        return why

    async def enters(self, seconds: float = SECONDS) -> Person:
        """Wait for `enter`, connect to the media server, and stay connected until this session's context ends."""
        self.token = str((await self.gets("enter", seconds))["token"])
        self.person = await self._stack.enter_async_context(Person(self._at.livekit, self.token))
        return self.person

    @property
    def identity(self) -> str:
        return str(jwt.decode(self.token, self._at.secret, algorithms=["HS256"])["sub"])


async def participants(at: Settings, room: str) -> dict[str, Any]:
    """Return the participants of a room by identity, from the media server."""
    async with api.LiveKitAPI(f"http://127.0.0.1:{at.livekit}", "classroom", at.secret) as server:
        found = await server.room.list_participants(api.ListParticipantsRequest(room=room))
    return {person.identity: person for person in found.participants}


async def metadata(at: Settings, room: str, version: bool = False) -> dict[str, Any] | None:
    """Return the public state of a class from the media server, or None without a room."""
    async with api.LiveKitAPI(f"http://127.0.0.1:{at.livekit}", "classroom", at.secret) as server:
        found = await server.room.list_rooms(api.ListRoomsRequest(names=[room]))
    if not found.rooms:
        return None
    state: dict[str, Any] = json.loads(found.rooms[0].metadata)
    assert isinstance(state["v"], int)
    return state if version else {key: value for key, value in state.items() if key != "v"}


async def until(look: Callable[[], Awaitable[object]], wanted: object, seconds: float = SECONDS) -> None:
    """Wait until `look` returns `wanted`."""
    end = asyncio.get_running_loop().time() + seconds
    while (found := await look()) != wanted:
        assert asyncio.get_running_loop().time() < end, found
        await asyncio.sleep(0.05)

"""Participants without a browser: sessions of the join service, run in a thread so that tests may block."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from tests.page.server import Settings
from tests.unit.portal.member import Member, ticket

SECONDS = 20.0


class Visitor:
    """A member of a class, for tests that do not run in an event loop."""

    def __init__(self, visitors: "Visitors", member: Member) -> None:
        self._visitors, self._member = visitors, member

    def ask(self, kind: str, **values: Any) -> dict[str, Any]:
        """Send a request and return its answer."""
        found: dict[str, Any] = self._visitors.run(self._member.ask(kind, **values))
        return found

    def gets(self, kind: str) -> dict[str, Any]:
        """Wait for a frame of this kind and return it."""
        found: dict[str, Any] = self._visitors.run(self._member.gets(kind))
        return found

    def over(self) -> str:
        """Wait until the session is over, and return why."""
        return str(self._visitors.run(self._member.over()))

    def enters(self) -> "Visitor":
        """Wait for the permission to enter, and connect to the media server, signalling only."""
        self._visitors.run(self._member.enters())
        return self

    def admitted(self) -> "Visitor":
        """Wait for the permission to enter, without a connection to the media server."""
        self._member.token = str(self.gets("enter")["token"])
        return self

    def floods(self, times: int, kind: str, **values: Any) -> list[dict[str, Any]]:
        """Send a request many times without waiting for the answers, and return those that arrive before the service closes."""

        async def flood() -> list[dict[str, Any]]:
            for number in range(times):
                if self._member.socket.closed:
                    break
                with contextlib.suppress(ConnectionError):
                    await self._member.socket.send_json({"type": kind, "re": number, **values})
            await self._member.closed(SECONDS)
            return [frame for frame in self._member.frames if frame["type"] == "answer"]

        found: list[dict[str, Any]] = self._visitors.run(flood())
        return found

    @property
    def token(self) -> str:
        """The media token of the last `enter`."""
        return self._member.token


class Visitors:
    """Members of classes, as a context manager that lets all of them leave at the end."""

    def __init__(self, at: Settings) -> None:
        self._at = at
        self._loop = asyncio.new_event_loop()
        self._members: list[Member] = []

    def __enter__(self) -> "Visitors":
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the thread and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def join(self, room: str, role: str, *names: str) -> list[Visitor]:
        """Exchange a class code for a ticket for each name, and begin sessions with them."""

        async def begin(name: str) -> Member:
            return await Member(self._at, await ticket(self._at, room, role, name)).__aenter__()

        async def begin_all() -> list[Member]:
            return await asyncio.gather(*map(begin, names))

        members: list[Member] = self.run(begin_all())
        self._members += members
        return [Visitor(self, member) for member in members]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        async def leave(member: Member) -> None:
            if not member.socket.closed:
                await member.socket.send_json({"type": "leave", "re": 0})
            await member.__aexit__(None, None, None)

        async def leave_all() -> None:
            await asyncio.gather(*map(leave, self._members))

        self.run(leave_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

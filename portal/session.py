"""Serve one WebSocket: first frame, limits, requests and answers."""

import asyncio
import contextlib
import json
import sys
import time
from collections import deque
from typing import Any

from aiohttp import WSMsgType, web

from portal.classes import Classes
from portal.command_handlers import Commands
from portal.frames import ANSWER, FRAME_BYTES, Refused, number_of, parse, request
from portal.journal import fault
from portal.live_class import DONE, LiveClass, Person
from portal.tickets import Ticket, Tickets
from portal.times import Times

FRAMES, FRAMES_SECONDS = 10, 1.0
REFUSED, REFUSED_SECONDS = 30, 10.0
"""Limits of frames, and of refused frames, of one session."""
QUEUE = 400
"""Frames that may wait to be sent; a page that reads none of them is disconnected."""
HEARTBEAT = 20.0
BAD_TICKET, FLOOD, FAULT, RESTART = 4001, 4008, 1011, 1012
"""Close codes; the others are in live_class.py."""


class Session:
    """One WebSocket of a person."""

    def __init__(self) -> None:
        self._socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=FRAME_BYTES, compress=False)
        self._queue: asyncio.Queue[str | int] = asyncio.Queue(QUEUE)
        self._ended = False
        self._times: deque[float] = deque(maxlen=FRAMES)
        self._refusals: deque[float] = deque(maxlen=REFUSED)

    def send(self, frame: dict[str, Any]) -> None:
        """Queue a frame."""
        self._put(json.dumps(frame, ensure_ascii=False))

    def end(self, code: int, why: str | None = None) -> None:
        """Queue the last frame, and the closing."""
        if why:
            self.send({"type": "over", "why": why})
        self._put(code)
        self._ended = True

    def _put(self, item: str | int) -> None:
        if self._ended:
            return
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self._ended = True
            while not self._queue.empty():
                self._queue.get_nowait()
            self._queue.put_nowait(FLOOD)

    async def serve(
        self, http: web.Request, tickets: Tickets, classes: Classes, commands: Commands, times: Times
    ) -> web.WebSocketResponse:
        """Serve the connection until it ends."""
        await self._socket.prepare(http)
        writer = asyncio.create_task(self._write())
        try:
            if place := await self._hello(tickets, classes, times):
                try:
                    await self._serve(*place, commands)
                finally:
                    place[0].part(place[1], self, time.monotonic())
            if self._ended:
                await writer
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await self._socket.close()
        return self._socket

    async def _write(self) -> None:
        while isinstance(item := await self._queue.get(), str):
            try:
                await self._socket.send_str(item)
            except (ConnectionError, RuntimeError):  # the page has gone
                return
        await self._socket.close(code=item)

    async def _hello(self, tickets: Tickets, classes: Classes, times: Times) -> tuple[LiveClass, Person] | None:
        """Read the first frame; return the person's class, or None if the connection ends."""
        found, ticket = {}, None
        with contextlib.suppress(TimeoutError, Refused):
            message = await self._socket.receive(times.hello)
            found = parse(message.data) if message.type is WSMsgType.TEXT else {}
            ticket = _ticket(found, tickets)
        if ticket is None:
            self.end(BAD_TICKET)
            return None
        handback = found.get("handback")
        return classes.arrive(ticket, self, handback if isinstance(handback, str) else None)

    async def _serve(self, classroom: LiveClass, person: Person, commands: Commands) -> None:
        async for message in self._socket:
            if self._ended:
                return
            number = None
            try:
                if message.type is not WSMsgType.TEXT:
                    raise Refused("bad_message")
                allowed = self._may_send()
                found = parse(message.data)
                number = number_of(found)
                if not allowed:
                    raise Refused("too_many")
                wanted = request(found)
                answer = await commands.carry_out(classroom, person, wanted)
                self.send({"type": ANSWER, "re": number, "ok": True, **answer})
                if wanted.kind == "leave":
                    self.end(DONE)
            except Refused as refused:
                self.send({"type": ANSWER, "re": number, "error": str(refused)})
                if self._is_flooding():
                    self.end(FLOOD)
            except Exception as error:
                print(f"error: {fault(error)}", file=sys.stderr)
                self.end(FAULT)

    def _may_send(self) -> bool:
        now = time.monotonic()
        if len(self._times) == FRAMES and now - self._times[0] < FRAMES_SECONDS:
            return False
        self._times.append(now)
        return True

    def _is_flooding(self) -> bool:
        """Count a refused frame, and return whether there were too many."""
        now = time.monotonic()
        self._refusals.append(now)
        return len(self._refusals) == REFUSED and now - self._refusals[0] < REFUSED_SECONDS


def _ticket(found: dict[str, Any], tickets: Tickets) -> Ticket | None:
    text = found.get("ticket")
    return tickets.read(text) if found.get("type") == "hello" and isinstance(text, str) else None

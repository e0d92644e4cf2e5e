"""Serve the join service's HTTP API."""

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from portal.classes import Classes
from portal.codes import Codes
from portal.command_handlers import Commands
from portal.config import Config
from portal.journal import fault
from portal.media import Media
from portal.names import clean_name
from portal.openapi import OPENAPI
from portal.rate_limit import RoomAccess, network
from portal.session import RESTART, Session
from portal.tickets import Tickets
from portal.times import Times

BODY_BYTES = 4096

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Portal:
    """The request handlers."""

    def __init__(self, config: Config, times: Times) -> None:
        self._door, self._media, self._times = RoomAccess(), Media(config), times
        self._codes, self._tickets = Codes(config.codes, config.secret), Tickets(config.secret)
        self._classes = Classes(config, self._media, times)
        self._commands = Commands(self._classes, self._media, self._door)
        self._origin = f"https://{config.domain}"
        self._sessions: set[Session] = set()

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=BODY_BYTES, middlewares=[_plain_problems])
        app.add_routes(
            [
                web.get("/api/health", self.health),
                web.get("/api/openapi.json", self.openapi),
                web.post("/api/join", self.join),
                web.get("/api/class", self.of_class),
            ]
        )
        app.cleanup_ctx.extend([self._connected, self._classes.running])
        app.on_shutdown.append(self._end_sessions)
        return app

    async def health(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """Answer `status: ok`."""
        return web.json_response({"status": "ok"})

    async def openapi(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """Answer with the OpenAPI description."""
        return web.json_response(OPENAPI)

    async def join(self, request: web.Request) -> web.Response:
        """Issue a ticket for a class code and a pseudonym.

        403 other site or wrong code, 415 not JSON, 422 bad name, 423 locked, 429 too many wrong codes, 503 full.
        """
        if self._is_from_elsewhere(request):
            return _problem(403, "other_site")
        if request.content_type != "application/json":
            return _problem(415, "not_json")
        address = network(request.headers.get("X-Real-IP", request.remote or ""))
        body = await _body(request)
        code, name = body.get("code"), clean_name(body.get("name"))
        admission = self._codes.admit(code) if isinstance(code, str) else None
        plan = self._classes.plans.of_code(admission, code) if admission and isinstance(code, str) else None
        # Over the limit, answer 429 even to a correct code, so that guessing is useless, except from addresses that have
        # sent a correct code for the room before: their class can still join.
        if self._door.wrong.full(address) and not (admission and self._door.knows(address, admission.room)):
            return _problem(429, "too_many")
        if admission is None or plan is None:
            self._door.wrong.note(address)
            return _problem(403, "wrong_code")
        self._door.opened(address, admission.room)
        if name is None:
            return _problem(422, "bad_name")
        if error := self._classes.refusal(plan, admission.role == "teacher"):
            return _problem({"locked": 423, "full": 503}[error], error)
        ticket = self._tickets.issue(plan.room, name, admission.role, plan.ends)
        return web.json_response({"ticket": ticket, "role": admission.role})

    async def of_class(self, request: web.Request) -> web.StreamResponse:
        """Serve the WebSocket of a person."""
        if self._is_from_elsewhere(request):
            return _problem(403, "other_site")
        if not web.WebSocketResponse().can_prepare(request):
            return _problem(426, "no_websocket")
        session = Session()
        self._sessions.add(session)
        try:
            return await session.serve(request, self._tickets, self._classes, self._commands, self._times)
        finally:
            self._sessions.discard(session)

    def _is_from_elsewhere(self, request: web.Request) -> bool:
        """Return whether a browser sent this for a page of another site."""
        return request.headers.get("Origin", self._origin) != self._origin

    async def _connected(self, app: web.Application) -> AsyncIterator[None]:  # noqa: ARG002
        await self._media.open()
        yield
        await self._media.close()

    async def _end_sessions(self, app: web.Application) -> None:  # noqa: ARG002
        for session in self._sessions:
            session.end(RESTART)


def _problem(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)


@web.middleware
async def _plain_problems(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
    """Answer every failure as JSON, and log nothing about the sender or the content."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        problem = _problem(error.status, error.reason.lower().replace(" ", "_"))
        if "Allow" in error.headers:
            problem.headers["Allow"] = error.headers["Allow"]
        return problem
    except Exception as error:
        print(f"error: {fault(error)}", file=sys.stderr)
        return _problem(500, "fault")


async def _body(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body, read as UTF-8 whatever the headers say; an empty dict if it is not one."""
    try:
        raw = (await request.read()).decode()
        found = json.loads(raw)
        # Surrogates cannot be encoded.
        whole = _is_unicode(json.dumps(found, ensure_ascii=False))
    except (ValueError, RecursionError, web.RequestPayloadError):
        return {}
    return found if whole and isinstance(found, dict) else {}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

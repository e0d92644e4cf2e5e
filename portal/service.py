"""Serve the join service's HTTP API."""

import asyncio
import contextlib
import datetime
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from livekit import api

from portal import chat
from portal.codes import Admission, Codes
from portal.config import Config
from portal.journal import fault
from portal.media import Media, Unreachable
from portal.names import clean_name
from portal.openapi import OPENAPI
from portal.rate_limit import RoomAccess, network

TOKEN_SECONDS = 120
"""Validity of a token for joining; afterwards the media server renews it for those in the room."""
LESSON = datetime.timedelta(hours=12)
"""Time after its expiry for which a token still authenticates requests, if its participant is in the room."""
BODY_BYTES = 4096
WATCH_SECONDS = 2.0

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def token_for(config: Config, admission: Admission, name: str) -> str:
    """Return a LiveKit token (JWT) for the room with a random identity and only the grants of the role."""
    teacher = admission.role == "teacher"
    sources = ["camera", "microphone", *(["screen_share", "screen_share_audio"] if teacher else [])]
    grants = api.VideoGrants(
        room_join=True,
        room=admission.room,
        room_admin=teacher,
        can_publish=True,
        can_subscribe=True,
        # Audio and video only: everything else goes through this service, which checks and limits it.
        can_publish_data=False,
        can_publish_sources=sources,
        # Participants cannot change their name or role; hands are raised through this service.
        can_update_own_metadata=False,
    )
    identity = ("t-" if teacher else "p-") + secrets.token_hex(8)
    token = api.AccessToken(config.key, config.secret).with_identity(identity).with_name(name).with_grants(grants)
    token = token.with_attributes({"role": admission.role}).with_ttl(datetime.timedelta(seconds=TOKEN_SECONDS))
    return str(token.to_jwt())


def is_locked(metadata: str) -> bool:
    """Return whether a room's metadata (JSON) has `locked: true`."""
    try:
        found = json.loads(metadata or "{}")
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("locked") is True


class Portal:
    """The request handlers."""

    def __init__(self, config: Config) -> None:
        self._config, self._door, self._media = config, RoomAccess(), Media(config)
        self._codes = Codes(config.codes, config.secret)
        self._strict = api.TokenVerifier(config.key, config.secret)
        self._lenient = api.TokenVerifier(config.key, config.secret, leeway=LESSON)

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=BODY_BYTES, middlewares=[_plain_problems])
        app.add_routes(
            [
                web.get("/api/health", self.health),
                web.get("/api/openapi.json", self.openapi),
                web.post("/api/join", self.join),
                web.post("/api/hand", self.hand),
                web.post("/api/chat", self.chat),
                web.post("/api/mute-all", self.mute_all),
                web.post("/api/remove", self.remove),
                web.post("/api/lock", self.lock),
            ]
        )
        app.cleanup_ctx.append(self._running)
        return app

    async def health(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """Answer `status: ok`."""
        return web.json_response({"status": "ok"})

    async def openapi(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """Answer with the OpenAPI description."""
        return web.json_response(OPENAPI)

    async def join(self, request: web.Request) -> web.Response:
        """Issue a token for a class code and a pseudonym: 403 wrong code, 422 bad name, 423 locked, 429 too many requests."""
        address = network(request.headers.get("X-Real-IP", request.remote or ""))
        body = await _body(request)
        code, name = body.get("code"), clean_name(body.get("name"))
        admission = self._codes.admit(code) if isinstance(code, str) else None
        # Over the limit, answer 429 even to a correct code, so that guessing is useless, except from addresses that have
        # sent a correct code for the room before: their class can still join.
        if self._door.wrong.full(address) and not (admission and self._door.knows(address, admission.room)):
            return _problem(429, "too_many")
        if admission is None:
            self._door.wrong.note(address)
            return _problem(403, "wrong_code")
        self._door.opened(address, admission.room)
        if name is None:
            return _problem(422, "bad_name")
        if admission.role != "teacher" and await self._is_locked(admission.room):
            return _problem(423, "locked")
        answer = {"token": token_for(self._config, admission, name), "url": self._config.url, "role": admission.role}
        return web.json_response(answer)

    async def hand(self, request: web.Request) -> web.Response:
        """Raise or lower one's own hand; a teacher can lower any hand."""
        claims = await self._claims(request)
        body = await _body(request)
        raised, identity = body.get("raised"), body.get("identity", claims.identity)
        if not isinstance(raised, bool) or not isinstance(identity, str) or not identity:
            return _problem(422, "bad_hand")
        if identity != claims.identity and (raised or not claims.video.room_admin):
            return _problem(403, "not_a_teacher")
        if self._door.hands.full(claims.identity):
            return _problem(429, "too_many")
        self._door.hands.note(claims.identity)
        attributes = {"hand": str(int(time.time() * 1000)) if raised else ""}
        change = api.UpdateParticipantRequest(room=claims.video.room, identity=identity, attributes=attributes)
        await self._media.ask(lambda rooms: rooms.update_participant(change))
        return web.json_response({"raised": raised})

    async def chat(self, request: web.Request) -> web.Response:
        """Send a text to the room, with name and role of the sender, who has to be in the room."""
        claims, _ = self._bearer(request)
        text = chat.clean_text((await _body(request)).get("text"))
        if not self._door.may_write(claims.identity):
            return _problem(429, "too_many")
        if text is None:
            return _problem(422, "bad_text")
        person = await self._person(claims)
        if person is None:
            raise _refusal(web.HTTPUnauthorized, "no_token")
        data = api.SendDataRequest(
            room=claims.video.room,
            data=chat.message(person, text),
            kind=api.DataPacket.Kind.RELIABLE,
            topic=chat.TOPIC,
        )
        await self._media.ask(lambda rooms: rooms.send_data(data))
        return web.json_response({})

    async def mute_all(self, request: web.Request) -> web.Response:
        """Mute all microphones except the teacher's own; answer with their number in `muted`."""
        claims = await self._claims(request, teacher=True)
        room = claims.video.room
        wanted = [
            api.MuteRoomTrackRequest(room=room, identity=person.identity, track_sid=track.sid, muted=True)
            for person in await self._people(room)
            for track in person.tracks
            if person.identity != claims.identity and track.source == api.TrackSource.MICROPHONE and not track.muted
        ]

        async def mute(track: Any) -> bool:
            try:
                await self._media.ask(lambda rooms: rooms.mute_published_track(track))
            except api.TwirpError:  # gone in the meantime
                return False
            return True

        return web.json_response({"muted": sum(await asyncio.gather(*map(mute, wanted)))})

    async def remove(self, request: web.Request) -> web.Response:
        """Remove a participant from the room and ban their token."""
        claims = await self._claims(request, teacher=True)
        identity = (await _body(request)).get("identity")
        if not isinstance(identity, str) or not identity or identity == claims.identity:
            return _problem(422, "bad_identity")
        await self._show_out(claims.video.room, identity)
        self._door.ban(claims.video.room, identity)
        return web.json_response({})

    async def lock(self, request: web.Request) -> web.Response:
        """Lock the room for new pupils, or unlock it; stored in the room's metadata until the room is empty."""
        claims = await self._claims(request, teacher=True)
        room, locked = claims.video.room, (await _body(request)).get("locked")
        if not isinstance(locked, bool):
            return _problem(422, "bad_lock")
        metadata = json.dumps({"locked": locked})
        change = api.UpdateRoomMetadataRequest(room=room, metadata=metadata)
        try:
            await self._media.ask(lambda rooms: rooms.update_room_metadata(change))
        except api.TwirpError:  # the room does not exist yet
            new = api.CreateRoomRequest(name=room, metadata=metadata)
            await self._media.ask(lambda rooms: rooms.create_room(new))
        self._door.locked[room] = locked
        return web.json_response({"locked": locked})

    async def _running(self, app: web.Application) -> AsyncIterator[None]:  # noqa: ARG002
        await self._media.open()
        watch = asyncio.create_task(self._keep_out())
        yield
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await self._media.close()

    async def _keep_out(self) -> None:
        """Remove banned participants again if they rejoin with a token that is still valid.

        The media server accepts a token until it expires, and sends this service no events, so rooms are polled.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for room, banned in self._door.banned().items():
                with contextlib.suppress(api.TwirpError, Unreachable):
                    for person in await self._people(room):
                        if person.identity in banned:
                            await self._show_out(room, person.identity)

    async def _show_out(self, room: str, identity: str) -> None:
        who = api.RoomParticipantIdentity(room=room, identity=identity)
        await self._media.ask(lambda rooms: rooms.remove_participant(who))

    async def _people(self, room: str) -> list[Any]:
        found = await self._media.ask(lambda rooms: rooms.list_participants(api.ListParticipantsRequest(room=room)))
        return list(found.participants)

    async def _is_locked(self, room: str) -> bool:
        """Return whether a room is locked, by its metadata, or by its last known state if no media server answers."""
        try:
            found = await self._media.ask(lambda rooms: rooms.list_rooms(api.ListRoomsRequest(names=[room])))
        except (api.TwirpError, Unreachable):
            return self._door.locked.get(room, False)
        self._door.locked[room] = any(is_locked(r.metadata) for r in found.rooms)
        return self._door.locked[room]

    async def _claims(self, request: web.Request, *, teacher: bool = False) -> Any:
        """Return the claims of a token that is fresh or whose participant is in the room; else 401, or 403 for a pupil."""
        claims, fresh = self._bearer(request)
        if not fresh and await self._person(claims) is None:
            raise _refusal(web.HTTPUnauthorized, "no_token")
        if teacher and not claims.video.room_admin:
            raise _refusal(web.HTTPForbidden, "not_a_teacher")
        return claims

    def _bearer(self, request: web.Request) -> tuple[Any, bool]:
        """Return the claims of the request's token, and whether it is unexpired; 401 without one, or if banned."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        fresh = _verified(self._strict, token)
        claims = fresh or _verified(self._lenient, token)
        if scheme.lower() != "bearer" or claims is None or self._door.is_banned(claims.video.room, claims.identity):
            raise _refusal(web.HTTPUnauthorized, "no_token")
        return claims, fresh is not None

    async def _person(self, claims: Any) -> Any:
        """Return the token's participant from the media server, or None if they are not in the room."""
        who = api.RoomParticipantIdentity(room=claims.video.room, identity=claims.identity)
        try:
            return await self._media.ask(lambda rooms: rooms.get_participant(who))
        except api.TwirpError:
            return None


def _verified(verifier: Any, token: str) -> Any:
    try:
        claims = verifier.verify(token)
    except Exception:  # any fault makes the token invalid
        return None
    names = (claims.video.room, claims.identity)
    return claims if all(isinstance(name, str) and name and _is_unicode(name) for name in names) else None


def _problem(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)


def _refusal(kind: type[web.HTTPException], error: str) -> web.HTTPException:
    return kind(text=json.dumps({"error": error}), content_type="application/json")


@web.middleware
async def _plain_problems(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
    """Answer every failure as JSON, and log nothing about the sender or the content."""
    try:
        return await handler(request)
    except Unreachable:
        return _problem(503, "unreachable")
    except api.TwirpError as error:
        return _problem(404, "not_there") if error.status < 500 else _problem(503, "unreachable")
    except web.HTTPException as error:
        if error.content_type == "application/json":
            raise
        problem = _problem(error.status, error.reason.lower().replace(" ", "_"))
        if "Allow" in error.headers:
            problem.headers["Allow"] = error.headers["Allow"]
        return problem
    except asyncio.CancelledError:
        raise
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

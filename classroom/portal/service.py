"""The join service's HTTP interface."""

import datetime
import json
import re
import secrets
import time
import unicodedata
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from livekit import api

from classroom.portal.codes import Admission, Codes
from classroom.portal.config import Config

NAME_LENGTH = 40
TOKEN_MINUTES = 10
"""A token opens the door; who is inside stays, as the media server renews it."""
WRONG_CODES, WRONG_SECONDS = 20, 60.0
"""Wrong codes from one address in this time; a school behind one address joins with right codes as often as it likes."""
BODY_BYTES = 4096


@dataclass
class Door:
    """What is remembered while the service runs, and nowhere else: wrong codes by address, locked rooms, the removed."""

    wrong: dict[str, deque[float]] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)

    def too_many(self, address: str) -> bool:
        """Whether an address has tried too many wrong codes lately."""
        now = time.monotonic()
        for known in list(self.wrong):
            times = self.wrong[known]
            while times and now - times[0] > WRONG_SECONDS:
                times.popleft()
            if not times:
                del self.wrong[known]
        return len(self.wrong.get(address, ())) >= WRONG_CODES

    def note_wrong(self, address: str) -> None:
        """Remember a wrong code for a minute."""
        self.wrong.setdefault(address, deque()).append(time.monotonic())


def clean_name(value: Any) -> str | None:
    """Return a pseudonym fit to be shown, or None: 1 to 40 characters, no control or direction characters."""
    if not isinstance(value, str):
        return None
    name = re.sub(r"\s+", " ", unicodedata.normalize("NFC", value)).strip()
    if not 1 <= len(name) <= NAME_LENGTH or any(unicodedata.category(c)[0] == "C" for c in name):
        return None
    return name


def token_for(config: Config, admission: Admission, name: str) -> str:
    """Return a token for the room, with just the powers of the role, under a random identity."""
    teacher = admission.role == "teacher"
    sources = ["camera", "microphone", *(["screen_share", "screen_share_audio"] if teacher else [])]
    grants = api.VideoGrants(
        room_join=True,
        room=admission.room,
        room_admin=teacher,
        can_publish=True,
        can_subscribe=True,
        can_publish_data=True,
        can_publish_sources=sources,
        can_update_own_metadata=False,
    )
    identity = ("t-" if teacher else "p-") + secrets.token_hex(8)
    token = api.AccessToken(config.key, config.secret).with_identity(identity).with_name(name).with_grants(grants)
    token = token.with_attributes({"role": admission.role}).with_ttl(datetime.timedelta(minutes=TOKEN_MINUTES))
    return str(token.to_jwt())


class Portal:
    """The handlers, over one configuration."""

    def __init__(self, config: Config) -> None:
        self._config, self._door = config, Door()
        self._codes = Codes(config.codes, config.secret)

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=BODY_BYTES)
        app.add_routes(
            [
                web.get("/api/health", self.health),
                web.post("/api/join", self.join),
                web.post("/api/mute-all", self.mute_all),
                web.post("/api/remove", self.remove),
                web.post("/api/lock", self.lock),
            ]
        )
        return app

    async def health(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """Answer that the service runs."""
        return web.json_response({"status": "ok"})

    async def join(self, request: web.Request) -> web.Response:
        """Give a token for a class code and a pseudonym: 403 wrong code, 422 bad name, 423 locked, 429 too many."""
        address = request.headers.get("X-Real-IP", request.remote or "")
        if self._door.too_many(address):
            return _problem(429, "too_many")
        body = await _body(request)
        code, name = body.get("code"), clean_name(body.get("name"))
        admission = self._codes.admit(code) if isinstance(code, str) else None
        if admission is None:
            self._door.note_wrong(address)
            return _problem(403, "wrong_code")
        if name is None:
            return _problem(422, "bad_name")
        if admission.role != "teacher" and await self._is_locked(admission.room):
            return _problem(423, "locked")
        answer = {"token": token_for(self._config, admission, name), "url": self._config.url, "role": admission.role}
        return web.json_response(answer)

    async def mute_all(self, request: web.Request) -> web.Response:
        """Mute every microphone but the teacher's own."""
        claims = self._teacher(request)
        room, own = claims.video.room, claims.identity
        muted = 0
        async with self._livekit() as livekit:
            found = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
            for person in found.participants:
                for track in person.tracks:
                    if person.identity != own and track.source == api.TrackSource.MICROPHONE and not track.muted:
                        await livekit.room.mute_published_track(
                            api.MuteRoomTrackRequest(
                                room=room, identity=person.identity, track_sid=track.sid, muted=True
                            )
                        )
                        muted += 1
        return web.json_response({"muted": muted})

    async def remove(self, request: web.Request) -> web.Response:
        """Remove one participant from the room."""
        claims = self._teacher(request)
        identity = (await _body(request)).get("identity")
        if not isinstance(identity, str) or not identity or identity == claims.identity:
            return _problem(422, "bad_identity")
        async with self._livekit() as livekit:
            try:
                await livekit.room.remove_participant(
                    api.RoomParticipantIdentity(room=claims.video.room, identity=identity)
                )
            except api.TwirpError:
                return _problem(404, "not_there")
        return web.json_response({})

    async def lock(self, request: web.Request) -> web.Response:
        """Keep pupils out of the room, or let them in again; the room itself remembers it until it is empty."""
        claims = self._teacher(request)
        locked = (await _body(request)).get("locked")
        if not isinstance(locked, bool):
            return _problem(422, "bad_lock")
        metadata = json.dumps({"locked": locked})
        async with self._livekit() as livekit:
            await livekit.room.update_room_metadata(
                api.UpdateRoomMetadataRequest(room=claims.video.room, metadata=metadata)
            )
        return web.json_response({"locked": locked})

    async def _is_locked(self, room: str) -> bool:
        async with self._livekit() as livekit:
            try:
                found = await livekit.room.list_rooms(api.ListRoomsRequest(names=[room]))
            except (api.TwirpError, OSError):
                return False
        return any('"locked": true' in r.metadata for r in found.rooms)

    def _livekit(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(self._config.livekit[0], self._config.key, self._config.secret)

    def _teacher(self, request: web.Request) -> Any:
        """Return the claims of a teacher's token; 401 without a valid one, 403 for a pupil's."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            claims = api.TokenVerifier(self._config.key, self._config.secret).verify(token)
        except Exception:  # whatever is wrong with a token, it opens nothing
            claims = None
        if scheme != "Bearer" or claims is None or claims.video is None:
            raise web.HTTPUnauthorized(text='{"error": "no_token"}', content_type="application/json")
        if not claims.video.room_admin:
            raise web.HTTPForbidden(text='{"error": "not_a_teacher"}', content_type="application/json")
        return claims


def _problem(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        found = await request.json()
    except (ValueError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}

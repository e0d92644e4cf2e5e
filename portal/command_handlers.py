"""Carry out what people of a class ask for; the service alone decides what is allowed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import api

from portal import chat
from portal.classes import Classes
from portal.frames import TEACHERS, Command, Refused
from portal.live_class import IDENTITY, LiveClass, Person
from portal.media import Media, Unreachable
from portal.rate_limit import RoomAccess

Answer = dict[str, Any]
CommandHandler = Callable[[LiveClass, Person, dict[str, Any]], Awaitable[Answer | None]]


class Commands:
    """Carries out requests."""

    def __init__(self, classes: Classes, media: Media, limits: RoomAccess) -> None:
        self._classes, self._media, self._limits = classes, media, limits
        self._handlers: dict[str, CommandHandler] = {
            "chat": self._chat,
            "hand": self._hand,
            "token": self._token,
            "leave": self._leave,
            "ping": self._ping,
            "mute_all": self._mute_all,
            "lock": self._lock,
            "chat_mode": self._chat_mode,
            "delete": self._delete,
            "waiting_room": self._waiting_room,
            "admit": self._admit,
            "refuse": self._refuse,
            "remove": self._remove,
            "end_raid": self._end_raid,
        }

    async def carry_out(self, classroom: LiveClass, person: Person, request: Command) -> Answer:
        """Carry out a request; return what its answer contains, or raise Refused."""
        if request.kind in TEACHERS and person.role != "teacher":
            raise Refused("not_a_teacher")
        if request.kind not in {"leave", "ping"} and not person.admitted:
            raise Refused("not_admitted")
        try:
            return await self._handlers[request.kind](classroom, person, request.values) or {}
        except Unreachable:
            raise Refused("unreachable") from None
        except api.TwirpError:
            raise Refused("not_there") from None

    async def _chat(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:
        text = chat.clean_text(values["text"])
        if text is None:
            raise Refused("bad_text")
        if not self._limits.may_write(person.identity):
            raise Refused("too_many")
        if person.role == "pupil" and classroom.presence.state == "paused":
            raise Refused("paused")
        if classroom.chat == "off" or (classroom.chat == "teacher" and person.role != "teacher"):
            raise Refused("chat_off")
        # Who writes is in the room, where the teacher sees them.
        who = api.RoomParticipantIdentity(room=classroom.plan.room, identity=person.identity)
        await self._media.ask(lambda rooms: rooms.get_participant(who))
        await self._send(classroom, chat.message(person, text))

    async def _delete(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        if not chat.MESSAGE_ID.fullmatch(values["message"]):
            raise Refused("bad_value")
        await self._send(classroom, chat.deletion(values["message"]))

    async def _send(self, classroom: LiveClass, message: bytes) -> None:
        data = api.SendDataRequest(
            room=classroom.plan.room, data=message, kind=api.DataPacket.Kind.RELIABLE, topic=chat.TOPIC
        )
        await self._media.ask(lambda rooms: rooms.send_data(data))

    async def _hand(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:
        raised, identity = values["raised"], values.get("identity", person.identity)
        if identity != person.identity and (raised or person.role != "teacher"):
            raise Refused("not_a_teacher")
        if not IDENTITY.fullmatch(identity):
            raise Refused("bad_value")
        if self._limits.hands.full(person.identity):
            raise Refused("too_many")
        self._limits.hands.note(person.identity)
        attributes = {"hand": str(int(time.time() * 1000)) if raised else ""}
        change = api.UpdateParticipantRequest(room=classroom.plan.room, identity=identity, attributes=attributes)
        await self._media.ask(lambda rooms: rooms.update_participant(change))

    async def _token(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        self._classes.enter_again(classroom, person)

    async def _leave(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        classroom.leave(person)
        await self._classes.refresh(classroom)

    async def _ping(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:
        """Do nothing but answer."""

    async def _mute_all(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> Answer:  # noqa: ARG002
        """Mute all microphones except the teacher's own."""
        room = classroom.plan.room
        wanted = [
            api.MuteRoomTrackRequest(room=room, identity=found.identity, track_sid=track.sid, muted=True)
            for found in await self._classes.participants(room)
            for track in found.tracks
            if found.identity != person.identity and track.source == api.TrackSource.MICROPHONE and not track.muted
        ]

        async def mute(track: Any) -> bool:
            try:
                await self._media.ask(lambda rooms: rooms.mute_published_track(track))
            except api.TwirpError:  # gone in the meantime
                return False
            return True

        return {"muted": sum(await asyncio.gather(*map(mute, wanted)))}

    async def _lock(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        await self._decide(classroom, lambda now: classroom.lock(values["locked"], now))

    async def _chat_mode(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        classroom.set_chat(values["mode"])
        await self._classes.refresh(classroom)

    async def _waiting_room(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        classroom.set_waiting_room(values["on"], time.monotonic())
        await self._classes.refresh(classroom)

    async def _admit(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        if (values.get("all") is True) == ("identity" in values):
            raise Refused("bad_value")
        now = time.monotonic()
        error = classroom.admit(values["identity"], now) if "identity" in values else classroom.admit_all(now)
        if error:
            raise Refused(error)

    async def _refuse(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        if error := classroom.refuse(values["identity"], time.monotonic()):
            raise Refused(error)

    async def _remove(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:
        identity = values["identity"]
        if not IDENTITY.fullmatch(identity) or identity == person.identity:
            raise Refused("bad_value")
        await self._decide(classroom, lambda now: classroom.remove(identity, now))

    async def _end_raid(self, classroom: LiveClass, person: Person, values: dict[str, Any]) -> None:  # noqa: ARG002
        await self._decide(classroom, lambda now: classroom.end_raid(values["keep"], now))

    async def _decide(self, classroom: LiveClass, decision: Callable[[float], None]) -> None:
        """Apply a decision on who is inside: look who is, decide, and carry it out on the media server."""
        await self._classes.refresh(classroom)
        decision(time.monotonic())
        await self._classes.refresh(classroom)

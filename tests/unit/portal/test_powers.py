"""Permissions of tokens, checked with a real LiveKit server."""

import asyncio
import time

import jwt
import pytest
from livekit import api
from livekit.protocol import models, rtc

from classroom.common.paths import REPO
from portal.codes import Codes
from tests.page.server import CODES, ROOM, Settings, portal, post
from tests.unit.portal.person import NotLetIn, Person


def ticket(at: Settings, role: str, name: str = "Ada") -> str:
    status, answer = post(at, "join", {"code": CODES[role], "name": name})
    assert status == 200, answer
    assert answer["role"] == role
    return answer["token"]


async def ask(at: Settings, path: str, body: object, token: str) -> tuple[int, dict]:
    return await asyncio.to_thread(post, at, path, body, token)


PUPILS = ["camera", "microphone"]
GRANTS: dict[str, dict[str, object]] = {
    role: {
        "roomJoin": True,
        "room": ROOM,
        "roomAdmin": teacher,
        "canPublish": True,
        "canPublishSources": [*PUPILS, "screen_share", "screen_share_audio"] if teacher else PUPILS,
        "canSubscribe": True,
        "canPublishData": False,
        "canUpdateOwnMetadata": False,
    }
    for role, teacher in (("teacher", True), ("pupil", False))
}
"""The exact grants of every token that the service issues."""


def verification_codes(at: Settings) -> dict[str, str]:
    made = Codes([], at.secret).verification("ABCD1234")
    return {role: str(made[f"{role}_code"]) for role in GRANTS}


@pytest.mark.parametrize("role", GRANTS)
@pytest.mark.parametrize("kind", ["class", "verification"])
def test_tokens_have_exactly_the_grants_of_the_role(at: Settings, role: str, kind: str) -> None:
    code = {"class": CODES, "verification": verification_codes(at)}[kind][role]
    room = {"class": ROOM, "verification": "verification-abcd1234"}[kind]
    found = []
    for _ in range(2):
        status, answer = post(at, "join", {"code": code, "name": "Ada"})
        assert status == 200
        found.append(jwt.decode(answer["token"], at.secret, algorithms=["HS256"]))
    claim, again = found
    assert claim["video"] == GRANTS[role] | {"room": room}
    assert claim["sub"] != again["sub"] and claim["sub"].startswith(f"{role[0]}-")
    rest = {key: value for key, value in claim.items() if key not in {"video", "sub", "exp", "nbf"}}
    assert rest == {"iss": "classroom", "name": "Ada", "attributes": {"role": role}}
    assert claim["exp"] - time.time() <= 121


def test_tokens_are_signed_in_one_place() -> None:
    """GRANTS is complete: no other code of the service signs a token."""
    source = "".join(path.read_text() for path in (REPO / "portal").glob("*.py"))
    assert source.count("AccessToken(") == 1
    assert "jwt" not in source.replace("to_jwt()", "")


async def test_no_participant_can_publish_data(at: Settings) -> None:
    async with Person(at.livekit, ticket(at, "teacher")) as teacher, Person(at.livekit, ticket(at, "pupil")) as pupil:
        for person in (teacher, pupil):
            permission = person.joined.participant.permission
            assert permission.can_publish and not permission.can_publish_data


async def test_the_media_server_refuses_a_teacher_s_actions_to_a_pupil(at: Settings) -> None:
    token = ticket(at, "pupil")
    async with (
        Person(at.livekit, ticket(at, "teacher", "Mme")) as teacher,
        api.LiveKitAPI.with_token(token, url=f"http://127.0.0.1:{at.livekit}") as server,
    ):
        rooms = server.room
        attempts = [
            rooms.remove_participant(api.RoomParticipantIdentity(room=ROOM, identity=teacher.identity)),
            rooms.mute_published_track(
                api.MuteRoomTrackRequest(room=ROOM, identity=teacher.identity, track_sid="TR_x", muted=True)
            ),
            rooms.update_room_metadata(api.UpdateRoomMetadataRequest(room=ROOM, metadata="{}")),
            rooms.update_participant(api.UpdateParticipantRequest(room=ROOM, identity=teacher.identity, name="x")),
            rooms.delete_room(api.DeleteRoomRequest(room=ROOM)),
            rooms.list_participants(api.ListParticipantsRequest(room=ROOM)),
        ]
        for attempt in attempts:
            with pytest.raises(api.TwirpError) as refused:
                await attempt
            assert refused.value.status in {401, 403}


async def test_a_teacher_can_only_administer_one_room(at: Settings) -> None:
    async with api.LiveKitAPI.with_token(ticket(at, "teacher"), url=f"http://127.0.0.1:{at.livekit}") as server:
        with pytest.raises(api.TwirpError) as refused:
            await server.room.list_participants(api.ListParticipantsRequest(room="another"))
        assert refused.value.status in {401, 403}


@pytest.mark.parametrize(("role", "may"), [("teacher", True), ("pupil", False)])
async def test_only_the_teacher_can_share_a_screen(at: Settings, role: str, may: bool) -> None:
    async with Person(at.livekit, ticket(at, role)) as person:
        track = rtc.AddTrackRequest(cid="x", type=models.TrackType.VIDEO, source=models.TrackSource.SCREEN_SHARE)
        await person.send(add_track=track)
        published = await person.gets("track_published", 2)
        assert (published is not None) is may


async def test_no_participant_can_change_name_or_role(at: Settings) -> None:
    async with Person(at.livekit, ticket(at, "pupil")) as person:
        change = rtc.UpdateParticipantMetadata(name="Mme Martin", attributes={"role": "teacher"}, request_id=7)
        await person.send(update_metadata=change)
        answer = await person.gets("request_response")
        assert answer.reason == rtc.RequestResponse.NOT_ALLOWED


@pytest.mark.parametrize(
    ("path", "body"), [("mute-all", {}), ("remove", {"identity": "x"}), ("lock", {"locked": True})]
)
def test_the_portal_refuses_a_teacher_s_actions_to_a_pupil(at: Settings, path: str, body: dict) -> None:
    assert post(at, path, body, ticket(at, "pupil"))[0] == 403
    assert post(at, path, body)[0] == 401
    foreign = (
        api.AccessToken("classroom", "x" * 40)
        .with_identity("t")
        .with_grants(api.VideoGrants(room=ROOM, room_admin=True))
    )
    assert post(at, path, body, foreign.to_jwt())[0] == 401


async def test_removed_participants_cannot_rejoin_with_their_token(at: Settings) -> None:
    teachers, token = ticket(at, "teacher"), ticket(at, "pupil")
    async with Person(at.livekit, teachers):
        async with Person(at.livekit, token) as pupil:
            assert (await ask(at, "remove", {"identity": pupil.identity}, teachers))[0] == 200
            assert await pupil.gets("leave")
        async with Person(at.livekit, token) as back:
            assert await back.gets("leave", 6), "came back and stayed"
        assert (await ask(at, "hand", {"raised": True}, token))[0] == 401
        assert (await ask(at, "remove", {"identity": "p-missing"}, teachers))[0] == 404


async def test_a_locked_room_admits_no_pupil_even_after_a_restart(at: Settings) -> None:
    teachers = ticket(at, "teacher")
    async with Person(at.livekit, teachers) as teacher:
        assert await ask(at, "lock", {"locked": True}, teachers) == (200, {"locked": True})
        assert (await teacher.gets("room_update")).room.metadata == '{"locked": true}'
        assert post(at, "join", {"code": CODES["pupil"], "name": "Ada"})[0] == 423
        assert post(at, "join", {"code": CODES["teacher"], "name": "Mme"})[0] == 200
        other = Settings(at.livekit, at.portal + 1, at.secret, at.folder)
        with portal(other):
            assert post(other, "join", {"code": CODES["pupil"], "name": "Ada"})[0] == 423
        assert await ask(at, "lock", {"locked": False}, teachers) == (200, {"locked": False})
        assert post(at, "join", {"code": CODES["pupil"], "name": "Ada"})[0] == 200


async def test_hands_are_raised_through_the_portal(at: Settings) -> None:
    teachers, token = ticket(at, "teacher"), ticket(at, "pupil")
    async with Person(at.livekit, teachers) as teacher, Person(at.livekit, token) as pupil:
        assert (await ask(at, "hand", {"raised": True}, token))[0] == 200
        for _ in range(100):
            hands = [p.attributes["hand"] for m in teacher.seen for p in m.update.participants if p.attributes["hand"]]
            if hands:
                break
            await asyncio.sleep(0.05)
        assert hands and abs(int(hands[-1]) / 1000 - time.time()) < 10
        assert (await ask(at, "hand", {"raised": False, "identity": teacher.identity}, token))[0] == 403
        assert (await ask(at, "hand", {"raised": False, "identity": pupil.identity}, teachers))[0] == 200


async def test_a_teacher_in_the_room_can_act_with_an_expired_token(at: Settings) -> None:
    """At the end of a lesson, the token from its start has expired, but the teacher can still lock the room."""
    fresh = ticket(at, "teacher")
    claims = jwt.decode(fresh, at.secret, algorithms=["HS256"])
    old = jwt.encode(claims | {"exp": int(time.time()) - 3600, "nbf": int(time.time()) - 3720}, at.secret, "HS256")
    with pytest.raises(NotLetIn):
        async with Person(at.livekit, old):
            pass
    assert (await ask(at, "mute-all", {}, old))[0] == 401
    async with Person(at.livekit, fresh):
        assert (await ask(at, "mute-all", {}, old)) == (200, {"muted": 0})

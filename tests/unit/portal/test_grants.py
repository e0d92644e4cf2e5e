"""Every token that the service issues, and what the media server permits with it."""

import contextlib
import time
from collections.abc import AsyncIterator

import jwt
import pytest
from livekit import api
from livekit.protocol import models, rtc

from classroom.common.paths import REPO
from portal.codes import Codes
from portal.config import Config
from portal.grants import permission_for, token_for
from tests.page.server import Settings, post
from tests.unit.portal.member import Member, participants, ticket

PUPILS = ["camera", "microphone"]
TEACHERS = [*PUPILS, "screen_share", "screen_share_audio"]
GRANTS: dict[tuple[str, bool], dict[str, object]] = {
    (role, publishing): {
        "roomJoin": True,
        "room": "cm2",
        "canPublish": publishing,
        "canPublishSources": sources,
        "canSubscribe": True,
        "canPublishData": False,
        "canUpdateOwnMetadata": False,
    }
    for role, sources, publishing in (("teacher", TEACHERS, True), ("pupil", PUPILS, True), ("pupil", PUPILS, False))
}
"""The exact grants of every token that the service issues, by role and right to publish."""


@pytest.fixture
async def pair(at: Settings, room: str) -> AsyncIterator[dict[str, Member]]:
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for role in ("teacher", "pupil"):
            found[role] = await stack.enter_async_context(Member(at, await ticket(at, room, role)))
            await found[role].enters()
        yield found


@pytest.mark.parametrize(("role", "publishing"), GRANTS)
def test_tokens_have_exactly_the_grants_of_the_role(role: str, publishing: bool) -> None:
    config = Config("class.example", "", [], "classroom", "s" * 48, [], [])
    claims = jwt.decode(token_for(config, "cm2", "p-1", "Ada", role, publishing), "s" * 48, algorithms=["HS256"])
    assert claims["video"] == GRANTS[role, publishing]
    rest = {key: value for key, value in claims.items() if key not in {"video", "exp", "nbf"}}
    assert rest == {"iss": "classroom", "sub": "p-1", "name": "Ada", "attributes": {"role": role}}
    assert 28 <= claims["exp"] - time.time() <= 30
    grants = api.TokenVerifier("classroom", "s" * 48).verify(token_for(config, "cm2", "p-1", "Ada", role, publishing))
    permission = permission_for(role, publishing)
    assert permission.can_publish is grants.video.can_publish
    names = [models.TrackSource.Name(source).lower() for source in permission.can_publish_sources]
    assert names == grants.video.can_publish_sources
    assert not permission.can_publish_data and not permission.can_update_metadata and not permission.hidden


async def test_members_get_these_tokens(at: Settings, room: str, pair: dict[str, Member]) -> None:
    for role, member in pair.items():
        claims = jwt.decode(member.token, at.secret, algorithms=["HS256"])
        assert claims["video"] == GRANTS[role, True] | {"room": room}
        assert claims["sub"].startswith(f"{role[0]}-")
        assert claims["name"] == "Ada"


async def test_a_verification_s_tokens_are_those_of_a_class(at: Settings) -> None:
    made = Codes([], at.secret).verification("ABCD1234")
    _, answer = post(at, "join", {"code": made["teacher_code"], "name": "Ada"})
    async with Member(at, answer["ticket"]) as member:
        await member.enters()
        claims = jwt.decode(member.token, at.secret, algorithms=["HS256"])
        assert claims["video"] == GRANTS["teacher", True] | {"room": "verification-abcd1234"}


def test_tokens_are_signed_in_one_place() -> None:
    """GRANTS is complete: no other code of the service signs a token."""
    source = "".join(path.read_text() for path in (REPO / "portal").glob("*.py"))
    assert source.count("AccessToken(") == 1
    assert "jwt" not in source.replace("to_jwt()", "")


async def test_no_participant_can_publish_data(pair: dict[str, Member]) -> None:
    for member in pair.values():
        permission = member.person.joined.participant.permission
        assert permission.can_publish and not permission.can_publish_data


@pytest.mark.parametrize("role", ["teacher", "pupil"])
async def test_the_media_server_gives_no_one_power_over_others(
    at: Settings, room: str, pair: dict[str, Member], role: str
) -> None:
    """Teachers act through this service alone."""
    other = next(member for name, member in pair.items() if name != role).identity
    token = pair[role].token
    async with api.LiveKitAPI.with_token(token, url=f"http://127.0.0.1:{at.livekit}") as server:
        rooms = server.room
        attempts = [
            rooms.remove_participant(api.RoomParticipantIdentity(room=room, identity=other)),
            rooms.mute_published_track(
                api.MuteRoomTrackRequest(room=room, identity=other, track_sid="TR_x", muted=True)
            ),
            rooms.update_room_metadata(api.UpdateRoomMetadataRequest(room=room, metadata="{}")),
            rooms.update_participant(api.UpdateParticipantRequest(room=room, identity=other, name="x")),
            rooms.send_data(api.SendDataRequest(room=room, data=b"{}", topic="chat")),
            rooms.create_room(api.CreateRoomRequest(name="another")),
            rooms.delete_room(api.DeleteRoomRequest(room=room)),
            rooms.list_participants(api.ListParticipantsRequest(room=room)),
            rooms.list_rooms(api.ListRoomsRequest()),
        ]
        for attempt in attempts:
            with pytest.raises(api.TwirpError) as refused:
                await attempt
            assert refused.value.status in {401, 403}


@pytest.mark.parametrize(("role", "may"), [("teacher", True), ("pupil", False)])
async def test_only_the_teacher_can_share_a_screen(pair: dict[str, Member], role: str, may: bool) -> None:
    person = pair[role].person
    track = rtc.AddTrackRequest(cid="x", type=models.TrackType.VIDEO, source=models.TrackSource.SCREEN_SHARE)
    await person.send(add_track=track)
    assert (await person.gets("track_published", 5 if may else 1) is not None) is may


async def test_no_participant_can_change_name_or_role(at: Settings, room: str, pair: dict[str, Member]) -> None:
    for member in pair.values():
        person = member.person
        change = rtc.UpdateParticipantMetadata(name="Mme Martin", attributes={"role": "teacher"}, request_id=7)
        await person.send(update_metadata=change)
        answer = await person.gets("request_response")
        assert answer.reason == rtc.RequestResponse.NOT_ALLOWED
    found = await participants(at, room)
    assert found[pair["pupil"].identity].attributes["role"] == "pupil"

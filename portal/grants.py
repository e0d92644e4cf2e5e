"""State what participants are permitted to do on the media server; nothing else of the service signs a media token."""

import datetime
from typing import Any

from livekit import api
from livekit.protocol import models

from portal.codes import Role
from portal.config import Config

TOKEN_SECONDS = 30
"""Validity of a token for connecting; afterwards the media server renews it for those in the room."""
PUPIL_SOURCES = ("camera", "microphone")
SOURCES: dict[Role, tuple[str, ...]] = {
    "teacher": (*PUPIL_SOURCES, "screen_share", "screen_share_audio"),
    "pupil": PUPIL_SOURCES,
}


def token_for(config: Config, room: str, identity: str, name: str, role: Role, publishing: bool) -> str:
    """Return a media token (JWT) with only the grants of the role; without `publishing` the person sees and hears only."""
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=publishing,
        can_subscribe=True,
        # Audio and video only: everything else goes through this service, which checks and limits it.
        can_publish_data=False,
        can_publish_sources=list(SOURCES[role]),
        # Participants cannot change their name or role; hands are raised through this service.
        can_update_own_metadata=False,
    )
    token = api.AccessToken(config.key, config.secret).with_identity(identity).with_name(name).with_grants(grants)
    token = token.with_attributes({"role": role}).with_ttl(datetime.timedelta(seconds=TOKEN_SECONDS))
    return str(token.to_jwt())


def permission_for(role: Role, publishing: bool) -> Any:
    """Return the permissions of a participant on the media server, equal to those that `token_for` grants."""
    return api.ParticipantPermission(
        can_subscribe=True,
        can_publish=publishing,
        can_publish_data=False,
        can_publish_sources=[models.TrackSource.Value(source.upper()) for source in SOURCES[role]],
    )


def publishes(permission: Any) -> bool:
    """Return whether a participant on the media server may publish."""
    return bool(permission.can_publish)

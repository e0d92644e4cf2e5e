"""A participant's client other than the page, and requests to the media server as its administrator."""

import base64
import json
import urllib.request
from typing import Any

from livekit import api
from playwright.sync_api import Browser

from classroom.common.paths import REPO
from tests.page.server import Settings
from tests.page.site import Site

LIBRARY = REPO / "web" / "node_modules" / "livekit-client" / "dist" / "livekit-client.umd.js"
ENTER = """
async ({url, token}) => {
  const room = window.room = new LivekitClient.Room();
  window.received = [];
  room.on('dataReceived', (bytes, sender, kind, topic) => window.received.push(
    {text: new TextDecoder().decode(bytes), sender: sender?.identity ?? null, topic}));
  await room.connect(url, token);
}
"""
SEND = """
async ({data, topic}) => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), me = window.room.localParticipant, failed = [];
  const senders = [
    () => me.publishData(bytes, {reliable: true, topic}),
    () => me.sendText(new TextDecoder().decode(bytes), {topic}),
  ];
  for (const send of senders) {
    try { await send(); } catch (error) { failed.push(String(error)); }
  }
  return failed;
}
"""


class OwnClient:
    """The media library without the class page: it sends any data that its token permits."""

    def __init__(self, browser: Browser, site: Site, token: str) -> None:
        self.token = token
        self.context = browser.new_context()
        self.page = self.context.new_page()
        self.page.goto(site.base)
        self.page.evaluate(LIBRARY.read_text())
        self.page.evaluate(ENTER, {"url": site.base.replace("http", "ws", 1), "token": token})

    def send(self, data: bytes, topic: str) -> list[str]:
        """Send data to all participants without the join service, as a packet and as a text; return the library's errors."""
        found: list[str] = self.page.evaluate(SEND, {"data": base64.b64encode(data).decode(), "topic": topic})
        return found

    def received(self) -> list[dict[str, Any]]:
        """Return what arrived as data: text, sender (None for the server) and topic."""
        found: list[dict[str, Any]] = self.page.evaluate("window.received")
        return found

    def knows(self, identity: str) -> bool:
        """Return whether the media library lists a participant."""
        found: bool = self.page.evaluate("identity => window.room.remoteParticipants.has(identity)", identity)
        return found

    def leave(self) -> None:
        self.page.evaluate("window.room.disconnect()")
        self.context.close()


def deliver(at: Settings, room: str, data: bytes, topic: str = "chat") -> None:
    """Let the media server deliver data to all participants of the room, as the join service does."""
    administer(at, "SendData", room=room, data=base64.b64encode(data).decode(), kind="RELIABLE", topic=topic)


def administer(at: Settings, call: str, **body: Any) -> None:
    """Call the media server's room service."""
    grants = api.VideoGrants(room=body.get("room", ""), room_admin=True, room_create=True)
    token = api.AccessToken("classroom", at.secret).with_grants(grants).to_jwt()
    request = urllib.request.Request(
        f"http://127.0.0.1:{at.livekit}/twirp/livekit.RoomService/{call}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200

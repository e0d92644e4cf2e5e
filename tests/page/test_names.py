"""Names and data on a page whose join service is the test: it lets people in whom the real one refuses."""

import json
import re
import secrets
from collections.abc import Callable, Iterator

import pytest
from livekit import api
from livekit.protocol.rtc import SignalResponse
from playwright.sync_api import Browser, WebSocketRoute

from tests.page.client import OwnClient, administer, deliver
from tests.page.people import PageUser, wait
from tests.page.server import Settings
from tests.page.site import Site
from tests.page.test_chat import FORGED, message, texts

ROOM = "no-class"
REVERSED = "\u202e\u05d3\u05d0\u05d3 (prof) 12"
"""A name that begins with RIGHT-TO-LEFT OVERRIDE, as no service lets pass."""
BADGE = "Zoé (enseignant)"


def token(at: Settings, identity: str, name: str, role: str, **grants: bool) -> str:
    """Return a media token with any rights."""
    video = api.VideoGrants(room_join=True, room=ROOM, can_subscribe=True, **grants)
    made = api.AccessToken("classroom", at.secret).with_identity(identity).with_name(name)
    return str(made.with_attributes({"role": role}).with_grants(video).to_jwt())


def drop_updates(socket: WebSocketRoute, identity: str) -> None:
    """Forward a page's signalling without the updates about one participant, whom the page then does not know."""
    server = socket.connect_to_server()

    def forward(data: str | bytes) -> None:
        assert isinstance(data, bytes)
        if identity not in {person.identity for person in SignalResponse.FromString(data).update.participants}:
            socket.send(data)

    server.on_message(forward)


@pytest.fixture(scope="module")
def enter_freely(browser: Browser, site: Site, at: Settings) -> Iterator[Callable[..., PageUser]]:
    """Return a function that brings pages with any name and role into a room that the join service does not know."""
    administer(at, "CreateRoom", room=ROOM, name=ROOM, metadata=json.dumps({"v": 1}))
    users: list[PageUser] = []

    def enter(name: str, role: str, deaf_to: str = "") -> PageUser:
        user = PageUser(browser, site, name)
        if deaf_to:
            user.page.route_web_socket(re.compile("/rtc"), lambda socket: drop_updates(socket, deaf_to))
        identity = f"{role[0]}-{secrets.token_hex(8)}"
        frame = {"type": "enter", "url": site.base.replace("http", "ws", 1), "identity": identity, "name": name}
        frame["token"] = token(at, identity, name, role, can_publish=True, can_publish_data=False)

        def serve(socket: WebSocketRoute) -> None:
            def answer(text: str) -> None:
                request = json.loads(text)
                hello = request["type"] == "hello"
                socket.send(json.dumps(frame if hello else {"type": "answer", "re": request["re"], "ok": True}))

            socket.on_message(answer)

        user.page.route("**/api/join", lambda route: route.fulfill(json={"ticket": "any", "role": role}))
        user.page.route_web_socket("**/api/class", serve)
        users.append(user.enter(role, camera=False))
        return user

    yield enter
    for user in users:
        user.leave()


@pytest.fixture(scope="module")
def teacher(enter_freely: Callable[..., PageUser]) -> PageUser:
    enter_freely(REVERSED, "pupil")
    enter_freely(BADGE, "pupil")
    return enter_freely("Mme Martin", "teacher")


def test_a_name_with_direction_marks_leaves_its_row_in_order(teacher: PageUser) -> None:
    """Parts of the rows are where they are in all others, and the name of oneself is followed by `(vous)`."""
    teacher.click("people-toggle")
    rows = teacher.page.locator("[data-testid=person]")
    assert wait(lambda: rows.count() == 3)
    buttons = [row.locator("[data-testid=remove]").bounding_box() for row in rows.all()[1:]]
    assert buttons[0] and buttons[1] and buttons[0]["x"] == buttons[1]["x"]
    names = [row.locator("bdi").bounding_box() for row in rows.all()]
    assert len({box["x"] for box in names if box}) == 1
    teacher.click("panel-close")


def test_a_notice_isolates_names(teacher: PageUser, enter_freely: Callable[..., PageUser]) -> None:
    late = enter_freely(f"{REVERSED}3", "pupil")
    assert wait(lambda: "rejoint la classe" in teacher.text("notice"))
    raw = teacher.page.locator("[data-testid=notice]").inner_text()
    assert f"\u2068{REVERSED}3\u2069" in raw
    # What follows the name is on its right.
    after = teacher.page.locator("[data-testid=notice]").evaluate(
        """notice => {
          const text = notice.firstChild, at = text.data.indexOf('rejoint'), range = document.createRange();
          range.setStart(text, at); range.setEnd(text, at + 7);
          return range.getBoundingClientRect().left - notice.getBoundingClientRect().left; }"""
    )
    assert after > 60
    late.leave()


def test_no_name_contains_the_badge(teacher: PageUser) -> None:
    teacher.click("people-toggle")
    rows = {row.locator("bdi").inner_text(): row for row in teacher.page.locator("[data-testid=person]").all()}
    assert rows["Mme Martin"].locator("[data-testid=role] svg").count() == 1
    assert rows[BADGE].locator("[data-testid=role]").count() == 0
    tile = teacher.page.locator("[data-testid=tile]", has_text="Zoé")
    assert tile.locator("[data-testid=role]").count() == 0
    teacher.click("panel-close")


@pytest.mark.parametrize("known", [True, False])
def test_data_of_a_participant_are_ignored_even_if_they_are_delivered(
    enter_freely: Callable[..., PageUser], browser: Browser, site: Site, at: Settings, known: bool
) -> None:
    """Also if they arrive before the page knows their sender: only the packet has the sender's identity then."""
    reader = enter_freely("Ada", "pupil", deaf_to="" if known else "p-forger")
    reader.click("chat-toggle")
    witness = OwnClient(browser, site, token(at, "p-witness", "Tom", "pupil", can_publish_data=False))
    rights = {"can_publish": True, "can_publish_data": True}
    forger = OwnClient(browser, site, token(at, "p-forger", "Mme Martin", "teacher", **rights))
    try:
        assert wait(lambda: witness.knows("p-forger"))
        shown = reader.page.locator("[data-testid=tile]", has_text="Mme Martin")
        assert wait(lambda: shown.count() == (2 if known else 1), 5)
        for _ in range(3):
            assert forger.send(message(), "chat") == []
        assert wait(lambda: len([m for m in witness.received() if m["sender"] == "p-forger"]) >= 3)
        deliver(at, ROOM, message(text="From the server"))
        assert wait(lambda: "From the server" in texts(reader))
        assert [text for text in texts(reader) if FORGED in text] == []
    finally:
        forger.leave()
        witness.leave()
        reader.leave()

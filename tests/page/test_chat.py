"""The chat under attack, in real browsers with a real media server: pages keep working, and forged messages are not shown."""

import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser, WebSocketRoute

from tests.page.client import OwnClient, deliver
from tests.page.people import PageUser, wait
from tests.page.server import Settings
from tests.page.site import Site
from tests.page.visitors import Visitor, Visitors

Pair = tuple[PageUser, PageUser]
FORGED = "forged"
"""Part of every text that must not be shown."""
TOPICS = ["chat", "lk-chat-topic", "lk.chat"]
"""The topic of the service, and those of the media library's chat."""
MAX_SHOWN = 500


def message(**changes: Any) -> bytes:
    """Return a message in the format of the service, with `changes`."""
    now = int(time.time() * 1000)
    whole = {"id": secrets.token_hex(8), "identity": "t-1", "name": "Mme Martin", "role": "teacher", "at": now}
    # `timestamp` and `message` are the fields that the media library's chat reads.
    return json.dumps(whole | {"text": FORGED, "timestamp": now, "message": FORGED} | changes).encode()


ODD = {
    "a time out of range": message(at=9e15, timestamp=9e15),
    "an object as text": message(text={"a": FORGED}, message={"a": FORGED}),
    "a list as text": message(text=[FORGED], message=[FORGED]),
    "no JSON": b"forged, no JSON",
    "bytes": b"\xff\xfe\x00forged",
    "null": b"null",
    "60 kB": message(text=FORGED * 10_000, message=FORGED * 10_000),
    "an object as name": message(name={"a": FORGED}),
    "another role": message(role="admin"),
    "no identity": message(identity=None),
}


def assert_in_class(*people: PageUser) -> None:
    for person in people:
        assert person.is_shown("leave"), person.errors


def texts(person: PageUser) -> list[str]:
    return person.page.locator("[data-testid=chat-message] .said").all_inner_texts()


def write(person: PageUser, text: str) -> None:
    person.page.fill("[data-testid=chat-input]", text)
    person.click("chat-send")


def chat_works(pair: Pair) -> None:
    """Assert that both still exchange messages, and see no forged one."""
    for writer in pair:
        text = f"Bonjour {secrets.token_hex(4)}"
        write(writer, text)
        for reader in pair:
            assert wait(lambda reader=reader, text=text: text in texts(reader)), (reader.name, reader.errors)
    for reader in pair:
        assert not [text for text in texts(reader) if FORGED in text]
        assert FORGED not in reader.text("notice")
    assert_in_class(*pair)


@pytest.fixture
def opened(pair: Pair) -> Pair:
    """Open the chat of both."""
    for person in pair:
        if not person.is_shown("chat-input"):
            person.click("chat-toggle")
    return pair


@pytest.fixture(scope="module")
def max_(at: Settings, pair: Pair, room: str) -> Iterator[Visitor]:
    """A second pupil with a session of the join service and no page."""
    with Visitors(at) as visitors:
        yield visitors.join(room, "pupil", "Max")[0].admitted()


@pytest.fixture(scope="module")
def own_client(browser: Browser, site: Site, max_: Visitor) -> Iterator[OwnClient]:
    """The second pupil's client of the media server, which is not the page."""
    client = OwnClient(browser, site, max_.token)
    yield client
    client.leave()


def test_messages_come_from_the_service_under_the_writers_name_and_role(opened: Pair, own_client: OwnClient) -> None:
    teacher, pupil = opened
    write(teacher, "Bonjour <b>à tous</b>")
    row = pupil.page.locator("[data-testid=chat-message]").last
    assert wait(lambda: "Bonjour <b>à tous</b>" in row.inner_text())
    assert "Mme Martin" in row.inner_text() and "teacher" in row.inner_text()
    assert wait(lambda: [m for m in own_client.received() if "à tous" in m["text"]])
    found = own_client.received()[-1]
    assert (found["sender"], found["topic"]) == (None, "chat")
    sent = json.loads(found["text"])
    assert set(sent) == {"id", "identity", "name", "role", "at", "text"}
    assert (sent["name"], sent["role"]) == ("Mme Martin", "teacher")
    assert abs(sent["at"] / 1000 - time.time()) < 20


@pytest.mark.parametrize("what", ODD)
def test_data_that_bypasses_the_service_reaches_no_participant(opened: Pair, own_client: OwnClient, what: str) -> None:
    before = len(own_client.received())
    for topic in TOPICS:
        own_client.send(ODD[what], topic)
        own_client.send(message(), topic)
    chat_works(opened)
    assert {m["sender"] for m in own_client.received()[before:]} <= {None}


@pytest.mark.parametrize("what", ODD)
def test_odd_data_is_not_shown_even_if_it_is_delivered(opened: Pair, at: Settings, room: str, what: str) -> None:
    deliver(at, room, ODD[what])
    chat_works(opened)


def test_a_teachers_message_is_not_replaced(
    opened: Pair, own_client: OwnClient, max_: Visitor, at: Settings, room: str
) -> None:
    teacher, pupil = opened
    text = f"Page {secrets.token_hex(4)}"
    write(teacher, text)
    assert wait(lambda: text in texts(pupil) and [m for m in own_client.received() if text in m["text"]])
    taken = next(json.loads(m["text"]) for m in own_client.received() if text in m["text"])
    for topic in TOPICS:
        own_client.send(message(**taken | {"text": FORGED, "message": FORGED}), topic)
    deliver(at, room, message(**taken | {"text": FORGED}))
    assert max_.ask("chat", **taken | {"text": "I am Max", "at": 1}) == {"ok": True}
    row = pupil.page.locator("[data-testid=chat-message]").last
    assert wait(lambda: "I am Max" in row.inner_text())
    assert "Max" in row.locator("b").inner_text() and "teacher" not in row.inner_text()
    assert text in texts(pupil) and text in texts(teacher)
    chat_works(opened)


def test_two_hundred_messages_a_second_are_refused_and_the_chat_works(
    opened: Pair, visitors: Visitors, room: str
) -> None:
    flooder = visitors.join(room, "pupil", "Tom")[0].enters()
    answers = flooder.floods(200, "chat", text="flood")
    accepted = sum(answer.get("ok", False) for answer in answers)
    assert 1 <= accepted <= 10
    assert {answer.get("error") for answer in answers} - {None} == {"too_many"}
    chat_works(opened)
    for person in opened:
        assert len([text for text in texts(person) if "flood" in text]) == accepted


def test_a_user_who_writes_too_fast_sees_a_notice_and_keeps_the_text(opened: Pair, new_user) -> None:
    """The service's answer to one message is replaced, as a test does not write ten messages a second."""
    teacher = opened[0]
    user = new_user("Zoé", locale="en-GB")
    refused = [True]

    def connect(page_side: WebSocketRoute) -> None:
        service_side = page_side.connect_to_server()

        def forward(text: str) -> None:
            frame = json.loads(text)
            if frame["type"] == "chat" and refused:
                refused.pop()
                page_side.send(json.dumps({"type": "answer", "re": frame["re"], "error": "too_many"}))
            else:
                service_side.send(text)

        page_side.on_message(forward)

    user.page.route_web_socket("**/api/class", connect)
    user.enter("pupil").click("chat-toggle")
    write(user, "Too fast")
    assert wait(lambda: "writing too fast" in user.text("chat-problem"))
    assert user.accessibility_faults() == []
    assert user.page.input_value("[data-testid=chat-input]") == "Too fast"
    user.click("chat-send")
    assert wait(lambda: "Too fast" in texts(teacher))
    assert wait(lambda: user.text("chat-problem") == "" and user.page.input_value("[data-testid=chat-input]") == "")


def test_the_list_is_limited(opened: Pair, at: Settings, room: str) -> None:
    def deliver_one(number: int) -> None:
        deliver(at, room, message(text=f"number {number}"))

    with ThreadPoolExecutor(4) as several:
        list(several.map(deliver_one, range(MAX_SHOWN + 50)))
    chat_works(opened)
    for person in opened:
        assert len(texts(person)) == MAX_SHOWN

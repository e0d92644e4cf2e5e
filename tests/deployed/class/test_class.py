"""Two real browsers in the background class: they see and hear each other, chat, and share a screen."""

import os

import pytest

from classroom.verify.browsers.background_class import BackgroundClass
from classroom.verify.browsers.browser import Meeting
from classroom.verify.browsers.media_assertions import ENOUGH_SHORT, SHORT, Pair, assert_both_receive
from classroom.verify.browsers.media_signal import judge
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import Verification

SECONDS, ENOUGH = 20, 18
MESSAGE = "Bonjour Madame"


@pytest.fixture(scope="session")
def pair(verification: Verification, meeting: Meeting, background_class: BackgroundClass) -> Pair:
    """Let teacher and pupil meet for 20 s, chat and share a screen; then the pupil turns the camera off."""
    teacher, pupil = background_class.teacher, background_class.pupils[0]
    background_class.show(teacher, pupil)
    first = {teacher.name: teacher.sees(pupil), pupil.name: pupil.sees(teacher)}
    verification.step(f"they watch each other for {SECONDS} s")
    seen = meeting.watch([teacher, pupil], SECONDS, of=[teacher, pupil])
    pair = Pair(teacher, pupil, first, {teacher.name: seen[0], pupil.name: seen[1]})
    pair.connections = {person.name: person.connections() for person in (teacher, pupil)}
    if os.environ.get("CLASSROOM_SCREENSHOT"):
        teacher.page.screenshot(path=os.environ["CLASSROOM_SCREENSHOT"])
    verification.step("chat and screen")
    for person in (teacher, pupil):
        person.page.click("[data-testid=chat-toggle]")
    pupil.page.fill("[data-testid=chat-input]", MESSAGE)
    pupil.page.click("[data-testid=chat-send]")
    arrived = teacher.appears(f'[data-testid=chat-message]:has-text("{MESSAGE}")')
    pair.done["chat arrives"] = "" if arrived else f"{teacher.name} receives no message within 10 s; {pages(pair)}"
    teacher.page.click("[data-testid=screen]")
    shown = pupil.shows(teacher.screen, 10)
    pair.done["screen is seen"] = "" if shown else f"{pupil.name} sees no shared screen within 10 s; {pages(pair)}"
    teacher.page.click("[data-testid=screen]")
    buttons = pupil.page.locator("[data-testid=screen]").count()
    pair.done["a pupil may not share"] = f"{pupil.name} has a button to share a screen" if buttons else ""
    verification.step("the pupil's camera is off")
    pupil.page.click("[data-testid=camera]")
    pair.camera_off = meeting.watch([teacher], SHORT, of=[pupil])[0]
    return pair


def pages(pair: Pair) -> str:
    """Return the text of both pages and the messages of their consoles."""
    texts = ((person.name, person.page.inner_text("body"), person.console) for person in (pair.teacher, pair.pupil))
    return "; ".join(f"page of {name}: {' '.join(text.split())!r}, console: {console}" for name, text, console in texts)


def test_two_people_see_and_hear_each_other(pair: Pair) -> None:
    assert_both_receive(pair, SECONDS, ENOUGH)


def test_a_camera_that_is_off_is_detected(pair: Pair) -> None:
    """Test the measurement itself: it finds no video of the pupil, while the sound continues."""
    pictures, tones = judge(pair.camera_off, pair.pupil.name, pair.pupil.sender)
    assert pictures < ENOUGH_SHORT
    assert tones >= ENOUGH_SHORT


@pytest.mark.parametrize("what", ["chat arrives", "screen is seen", "a pupil may not share"])
def test_chat_and_screen_sharing_work(pair: Pair, what: str) -> None:
    assert not pair.done[what], pair.done[what]


def test_page_and_call_use_only_the_class_s_hosts(pair: Pair, target: Deployment) -> None:
    """Page, ICE servers and media connections use no host but the class's own."""
    own = {*target.names, *(a for m in target.machines for a in target.addresses(m))}
    for person in (pair.teacher, pair.pupil):
        assert person.hosts == {target.domain}
        found = pair.connections[person.name]
        hosts = {url.split(":", 1)[1].partition("?")[0].rpartition(":")[0].strip("[]") for url in found["servers"]}
        assert hosts
        assert hosts <= own
        assert found["pairs"]
        for candidates in found["pairs"]:
            assert candidates["remote"] in own | {m.private4 for m in target.machines}, candidates

"""Two real browsers in the class that is held: they see and hear each other, write, and show a screen."""

import os

import pytest

from classroom.verify.browsers.background_class import BackgroundClass
from classroom.verify.browsers.browser import Meeting
from classroom.verify.browsers.media_assertions import ENOUGH_SHORT, SHORT, Pair, both_ways
from classroom.verify.browsers.media_signal import judge
from classroom.verify.deployment import Target
from classroom.verify.pytest_plugin import Verification

SECONDS, ENOUGH = 20, 18
WORDS = "Bonjour Madame"


@pytest.fixture(scope="session")
def met(verification: Verification, meeting: Meeting, held: BackgroundClass) -> Pair:
    """The teacher and a pupil meet for 20 s; then they write, show a screen, and the pupil turns the camera off."""
    teacher, pupil = held.teacher, held.pupils[0]
    held.show(teacher, pupil)
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
    pupil.page.fill("[data-testid=chat-input]", WORDS)
    pupil.page.click("[data-testid=chat-send]")
    arrived = teacher.appears(f'[data-testid=chat-message]:has-text("{WORDS}")')
    pair.done["chat arrives"] = "" if arrived else f"{teacher.name} reads no message within 10 s; {pages(pair)}"
    teacher.page.click("[data-testid=screen]")
    screen = f'video[data-participant="{teacher.name}"][data-source="screen"][data-local="false"]'
    shown = pupil.shows(screen, 10)
    pair.done["screen is seen"] = "" if shown else f"{pupil.name} sees no screen within 10 s; {pages(pair)}"
    teacher.page.click("[data-testid=screen]")
    buttons = pupil.page.locator("[data-testid=screen]").count()
    pair.done["a pupil may not share"] = f"{pupil.name} has a button to share a screen" if buttons else ""
    verification.step("the pupil's camera is off")
    pupil.page.click("[data-testid=camera]")
    pair.camera_off = meeting.watch([teacher], SHORT, of=[pupil])[0]
    return pair


def pages(pair: Pair) -> str:
    """Return what both pages and their consoles say."""
    said = ((person.name, person.page.inner_text("body"), person.console) for person in (pair.teacher, pair.pupil))
    return "; ".join(
        f"the page of {name} says {' '.join(text.split())!r}, its console {told}" for name, text, told in said
    )


def test_two_people_see_and_hear_each_other(met: Pair) -> None:
    both_ways(met, SECONDS, ENOUGH)


def test_a_camera_that_is_off_is_noticed(met: Pair) -> None:
    """The check of the check: without the pupil's picture it fails, while the sound goes on."""
    pictures, tones = judge(met.camera_off, met.pupil.name, met.pupil.sender)
    assert pictures < ENOUGH_SHORT
    assert tones >= ENOUGH_SHORT


@pytest.mark.parametrize("what", ["chat arrives", "screen is seen", "a pupil may not share"])
def test_in_class(met: Pair, what: str) -> None:
    assert not met.done[what], met.done[what]


def test_nobody_else_is_asked(met: Pair, target: Target) -> None:
    """Neither the page nor the call asks any host but the class's own."""
    own = {*target.names, *(a for m in target.machines for a in target.addresses(m))}
    for person in (met.teacher, met.pupil):
        assert person.hosts == {target.domain}
        found = met.connections[person.name]
        hosts = {url.split(":", 1)[1].partition("?")[0].rpartition(":")[0].strip("[]") for url in found["servers"]}
        assert hosts
        assert hosts <= own
        assert found["pairs"]
        for pair in found["pairs"]:
            assert pair["remote"] in own | {m.private4 for m in target.machines}, pair

"""Firefox and Chromium in one class, with the browsers of `classroom verify`: they see and hear each other."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Playwright

from classroom.verify.browsers.browser import Meeting, Participant
from classroom.verify.browsers.kinds import Firefox
from classroom.verify.browsers.media_assertions import ENOUGH_SHORT, SHORT, Pair, assert_both_receive
from tests.page.people import wait
from tests.page.server import codes_of

# The media server is on the loopback address: Firefox must try it, and give the server addresses instead of mDNS names.
FIREFOX = Firefox(
    {"media.peerconnection.ice.loopback": True, "media.peerconnection.ice.obfuscate_host_addresses": False}
)


@dataclass
class Two:
    """A Firefox and a Chromium, one of them the teacher."""

    firefox: Participant
    chromium: Participant
    meeting: Meeting


@pytest.fixture(scope="module", params=["teacher", "pupil"])
def two(request: pytest.FixtureRequest, playwright: Playwright, site, room: str) -> Iterator[Two]:
    """Let Firefox and Chromium meet; Firefox has the role of the parameter."""
    with Meeting(site.base, playwright) as meeting:
        people = {}
        for role in ("teacher", "pupil"):
            kinds = {"kind": FIREFOX} if role == request.param else {}
            people[role] = meeting.enter(codes_of(room)[role], **kinds)
        firefox = people.pop(request.param)
        (chromium,) = people.values()
        yield Two(firefox, chromium, meeting)


def test_firefox_and_chromium_see_and_hear_each_other(two: Two) -> None:
    people = [two.firefox, two.chromium]
    first = {one.name: one.sees(other) for one, other in (people, people[::-1])}
    seen = two.meeting.watch(people, SHORT, of=people)
    assert_both_receive(
        Pair(*people, first, {p.name: s for p, s in zip(people, seen, strict=True)}), SHORT, ENOUGH_SHORT
    )
    pairs = two.firefox.connections()["pairs"]
    assert pairs and all(pair["protocol"] == "udp" and pair["relay"] is None for pair in pairs), pairs


def test_a_shared_screen_is_seen_in_the_other_browser(two: Two) -> None:
    teacher, pupil = (two.firefox, two.chromium) if screens(two.firefox) else (two.chromium, two.firefox)
    assert not screens(pupil)
    teacher.page.click("[data-testid=screen]")
    assert pupil.shows(teacher.screen, 20), (teacher.console, pupil.console)
    teacher.page.click("[data-testid=screen]")
    assert wait(lambda: pupil.page.locator(teacher.screen).count() == 0)


def screens(person: Participant) -> int:
    return person.page.locator("[data-testid=screen]").count()


def test_firefox_requests_only_the_page_s_host(two: Two, site) -> None:
    assert two.firefox.hosts == {"127.0.0.1"}
    assert {request.result for request in two.firefox.requests} == {"answered"}
    assert not [line for line in two.firefox.console if "Content" in line and "Policy" in line], two.firefox.console

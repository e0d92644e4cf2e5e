"""Real browsers in one class: they see and hear each other, whatever network they have."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from classroom.verify.browser import Meeting, Participant
from classroom.verify.held import Held
from classroom.verify.media import judge
from classroom.verify.namespaces import Client
from classroom.verify.plugin import Verification
from classroom.verify.target import Target

SECONDS, ENOUGH = 20, 18
SHORT, ENOUGH_SHORT = 8, 5
WORDS = "Bonjour Madame"


@dataclass
class Pair:
    """What a teacher and a pupil saw, heard and did: `seen` is each one's reading of the other, by the reader's name."""

    teacher: Participant
    pupil: Participant
    first_frame: dict[str, float | None]
    seen: dict[str, list[dict[str, Any]]]
    camera_off: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, bool] = field(default_factory=dict)
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="session")
def teacher(held: Held) -> Participant:
    """The held class's teacher, in a network without limits, who stays for all tests of this file."""
    return held.teacher


@pytest.fixture(scope="session")
def met(verification: Verification, meeting: Meeting, teacher: Participant, held: Held) -> Pair:
    """The teacher and a pupil meet for 20 s; then they write, show a screen, and the pupil turns the camera off."""
    pupil = held.show()
    meeting.dismiss(held.pupils[1])
    first = {teacher.name: teacher.sees(pupil), pupil.name: pupil.sees(teacher)}
    verification.step(f"they watch each other for {SECONDS} s")
    seen = meeting.watch([teacher, pupil], SECONDS)
    pair = Pair(teacher, pupil, first, {teacher.name: seen[0], pupil.name: seen[1]})
    pair.connections = {person.name: person.connections() for person in (teacher, pupil)}
    if os.environ.get("CLASSROOM_SCREENSHOT"):
        teacher.page.screenshot(path=os.environ["CLASSROOM_SCREENSHOT"])
    verification.step("chat and screen")
    for person in (teacher, pupil):
        person.page.click("[data-testid=chat-toggle]")
    pupil.page.fill("[data-testid=chat-input]", WORDS)
    pupil.page.click("[data-testid=chat-send]")
    pair.done["chat arrives"] = teacher.appears(f'[data-testid=chat-message]:has-text("{WORDS}")')
    teacher.page.click("[data-testid=screen]")
    screen = f'video[data-participant="{teacher.name}"][data-source="screen"][data-local="false"]'
    pair.done["screen is seen"] = pupil.shows(screen, 10)
    teacher.page.click("[data-testid=screen]")
    pair.done["a pupil may not share"] = pupil.page.locator("[data-testid=screen]").count() == 0
    verification.step("the pupil's camera is off")
    pupil.page.click("[data-testid=camera]")
    pair.camera_off = meeting.watch([teacher], SHORT)[0]
    meeting.dismiss(pupil)
    return pair


def both_ways(pair: Pair, seconds: int, enough: int) -> None:
    """Assert that each of the pair saw and heard the other in `enough` of `seconds`."""
    for reader, sender in ((pair.teacher, pair.pupil), (pair.pupil, pair.teacher)):
        assert pair.first_frame[reader.name], (
            f"{reader.name} saw no picture within 40 s; its page said {reader.console}"
        )
        seen = pair.seen[reader.name]
        assert len(seen) == seconds
        pictures, tones = judge(seen, sender.name, sender.sender)
        about = [second.get(sender.name) for second in seen]
        assert pictures >= enough, f"the picture of {sender.name} was read in {pictures} of {seconds} s: {about}"
        assert tones >= enough, f"the tone of {sender.name} was heard in {tones} of {seconds} s: {about}"


def test_two_people_see_and_hear_each_other(met: Pair) -> None:
    both_ways(met, SECONDS, ENOUGH)


def test_a_camera_that_is_off_is_noticed(met: Pair) -> None:
    """The check of the check: without the pupil's picture it fails, while the sound goes on."""
    pictures, tones = judge(met.camera_off, met.pupil.name, met.pupil.sender)
    assert pictures < ENOUGH_SHORT
    assert tones >= ENOUGH_SHORT


@pytest.mark.parametrize("what", ["chat arrives", "screen is seen", "a pupil may not share"])
def test_in_class(met: Pair, what: str) -> None:
    assert met.done[what]


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


# Clients with less network: each a namespace of its own, with what is left to it.
CLIENTS = {
    "tcp-443": {"v4": True, "v6": False, "only_443": True},
    "ipv6": {"v4": False, "v6": True},
    "ipv6-tcp-443": {"v4": False, "v6": True, "only_443": True},
}
PARTS = {"tcp-443": ["udp-drop"], "ipv6": ["ipv6"], "ipv6-tcp-443": ["ipv6", "udp-drop"]}


@pytest.fixture(scope="session")
def restricted(
    verification: Verification, meeting: Meeting, teacher: Participant, codes: dict[str, str], target: Target
) -> Iterator[dict[str, Pair]]:
    """Pupils with less network, all at once, meet the teacher for six seconds."""
    left_out = verification.without if target.ipv6 else verification.without | {"ipv6"}
    wanted = {name: options for name, options in CLIENTS.items() if not left_out & set(PARTS[name])}
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(Client(names=target.names, **o)) for name, o in wanted.items()}
        verification.step(f"browsers of {', '.join(clients)} start and join")
        pupils = {name: meeting.enter(codes["pupil_code"], client) for name, client in clients.items()}
        pairs = {}
        for name, pupil in pupils.items():
            first = {teacher.name: teacher.sees(pupil), pupil.name: pupil.sees(teacher)}
            pairs[name] = Pair(teacher, pupil, first, {})
        verification.step(f"all watch each other for {SHORT} s")
        seen = meeting.watch([teacher, *pupils.values()], SHORT)
        for (name, pupil), by_pupil in zip(pupils.items(), seen[1:], strict=True):
            pairs[name].seen = {teacher.name: seen[0], pupil.name: by_pupil}
            pairs[name].connections = {pupil.name: pupil.connections()}
            pairs[name].dropped = clients[name].dropped() if clients[name].only_443 else {}
        for pupil in pupils.values():
            meeting.dismiss(pupil)
        yield pairs


def over_own_turn(pair: Pair, target: Target) -> None:
    """Assert that UDP was really dropped, and that media went over TLS to the deployment's own TURN."""
    assert pair.dropped["dropped_udp"] > 0, pair.dropped
    for way in pair.connections[pair.pupil.name]["pairs"]:
        assert way["relay"] == "tls", way
        assert any(way["url"].startswith(f"turns:{name}:443") for name in target.turn_names), way
    assert pair.connections[pair.pupil.name]["pairs"]


@pytest.mark.part("udp-drop")
def test_tcp_443_alone_suffices(restricted: dict[str, Pair], target: Target) -> None:
    both_ways(restricted["tcp-443"], SHORT, ENOUGH_SHORT)
    over_own_turn(restricted["tcp-443"], target)


@pytest.mark.part("ipv6")
def test_ipv6_alone_suffices(restricted: dict[str, Pair], target: Target) -> None:
    pair = restricted["ipv6"]
    both_ways(pair, SHORT, ENOUGH_SHORT)
    ways = pair.connections[pair.pupil.name]["pairs"]
    assert ways
    for way in ways:
        assert way["protocol"] == "udp" and way["relay"] in {None, "udp"}, way
        assert way["remote"] in {m.public6 for m in target.group("media")}, way


@pytest.mark.part("ipv6")
@pytest.mark.part("udp-drop")
def test_ipv6_with_tcp_443_alone_suffices(restricted: dict[str, Pair], target: Target) -> None:
    both_ways(restricted["ipv6-tcp-443"], SHORT, ENOUGH_SHORT)
    over_own_turn(restricted["ipv6-tcp-443"], target)

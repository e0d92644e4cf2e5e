"""Real browsers of two kinds, some on networks with only TCP port 443 or only IPv6, see and hear the teacher."""

import contextlib
from collections.abc import Iterator

import pytest

from classroom.config.ports import port_number
from classroom.verify.browsers.background_class import BackgroundClass
from classroom.verify.browsers.browser import Meeting, Participant
from classroom.verify.browsers.client_network import Client
from classroom.verify.browsers.kinds import CHROMIUM, FIREFOX
from classroom.verify.browsers.media_assertions import ENOUGH_SHORT, SHORT, Pair, assert_both_receive
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import Verification

# Clients on restricted networks, each in its own namespace. The background class has a client with only IPv6.
CLIENTS = {
    "tcp-443": {"v4": True, "v6": False, "only_443": True},
    "ipv6-tcp-443": {"v4": False, "v6": True, "only_443": True},
    "firefox-tcp-443": {"v4": True, "v6": False, "only_443": True},
}
FIREFOXES = {"firefox", "firefox-tcp-443"}
"""Participants with Firefox, the first of them in this machine's network; they are teachers, who may share their screens."""
PUPILS = 2
"""Pupils who meet the teacher at a time: a verification's room takes three people."""
PARTS = {"tcp-443": ["udp-drop"], "ipv6-tcp-443": ["ipv6", "udp-drop"], "firefox-tcp-443": ["udp-drop"]}


@pytest.fixture(scope="session")
def restricted(
    verification: Verification,
    meeting: Meeting,
    background_class: BackgroundClass,
    codes: dict[str, str],
    target: Deployment,
    with_ipv6: bool,
) -> Iterator[dict[str, Pair]]:
    """Let pupils on restricted networks meet the background class's teacher, some at a time; the unrestricted pupil leaves."""
    teacher = background_class.teacher
    six = background_class.pupils[1] if with_ipv6 else None
    # ICE keeps the candidate pair that answered first, which may be the relay if the browser joined under load.
    direct = [six] if six and not relayed(six) else []
    meeting.dismiss(*(pupil for pupil in background_class.pupils if pupil not in direct))
    skipped = verification.without if target.ipv6 else verification.without | {"ipv6"}
    wanted = {name: options for name, options in CLIENTS.items() if not skipped & set(PARTS[name])}
    pairs: dict[str, Pair] = {}
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(Client(names=target.names, **o)) for name, o in wanted.items()}
        waiting: dict[str, tuple[Participant | None, Client | None]] = {"firefox": (None, None)}
        waiting |= {name: (None, client) for name, client in clients.items()}
        if six:
            waiting = {"ipv6": (six if direct else None, six.client)} | waiting
        for first in range(0, len(waiting), PUPILS):
            two = list(waiting.items())[first : first + PUPILS]
            # Video would only slow down the browsers that join.
            background_class.hide(teacher)
            verification.step(f"browsers of {', '.join(name for name, _ in two)} join")
            pupils = {name: there or _enter(meeting, codes, name, client) for name, (there, client) in two}
            background_class.show(teacher, *(there for _, (there, _) in two if there))
            pairs |= _watch(verification, meeting, teacher, pupils)
            meeting.dismiss(*pupils.values())
        for name, client in clients.items():
            pairs[name].dropped = client.dropped()
        yield pairs


def _enter(meeting: Meeting, codes: dict[str, str], name: str, client: Client | None) -> Participant:
    if name in FIREFOXES:
        return meeting.enter(codes["teacher_code"], client, kind=FIREFOX)
    return meeting.enter(codes["pupil_code"], client, kind=CHROMIUM)


def _watch(
    verification: Verification, meeting: Meeting, teacher: Participant, pupils: dict[str, Participant]
) -> dict[str, Pair]:
    """Let the teacher and pupils watch each other; return what each pupil and the teacher received of the other."""
    pairs = {}
    for name, pupil in pupils.items():
        first = {teacher.name: teacher.sees(pupil), pupil.name: pupil.sees(teacher)}
        pairs[name] = Pair(teacher, pupil, first, {})
    verification.step(f"all watch each other for {SHORT} s")
    people = [teacher, *pupils.values()]
    seen = meeting.watch(people, SHORT, of=people)
    for (name, pupil), by_pupil in zip(pupils.items(), seen[1:], strict=True):
        pairs[name].seen = {teacher.name: seen[0], pupil.name: by_pupil}
        pairs[name].connections = {pupil.name: pupil.connections()}
    for name in FIREFOXES & set(pupils):
        pupils[name].page.click("[data-testid=screen]")
        pairs[name].done["screen is seen"] = "" if teacher.shows(pupils[name].screen, 10) else "no frame within 10 s"
    return pairs


def relayed(person: Participant) -> bool:
    """Return whether any media of a participant uses TURN over TLS."""
    return any(candidates["relay"] == "tls" for candidates in person.connections()["pairs"])


def over_own_turn(pair: Pair, target: Deployment) -> None:
    """Assert that UDP packets were dropped, and that media used TLS to the deployment's own TURN servers."""
    assert pair.dropped["dropped_udp"] > 0, pair.dropped
    own = tuple(f"turns:{name}:{port_number('https')}" for name in target.turn_names)
    found = pair.connections[pair.pupil.name]
    assert found["pairs"]
    for candidates in found["pairs"]:
        assert candidates["relay"] == "tls", candidates
        # Firefox does not report which of its servers it uses.
        used = [candidates["url"]] if candidates["url"] else [u for u in found["servers"] if u.startswith("turns:")]
        assert used and all(url.startswith(own) for url in used), used


@pytest.mark.part("udp-drop")
def test_tcp_443_is_sufficient(restricted: dict[str, Pair], target: Deployment) -> None:
    assert_both_receive(restricted["tcp-443"], SHORT, ENOUGH_SHORT)
    over_own_turn(restricted["tcp-443"], target)


@pytest.mark.part("ipv6")
def test_ipv6_is_sufficient(restricted: dict[str, Pair], target: Deployment) -> None:
    pair = restricted["ipv6"]
    assert_both_receive(pair, SHORT, ENOUGH_SHORT)
    found = pair.connections[pair.pupil.name]["pairs"]
    assert found
    for candidates in found:
        assert candidates["protocol"] == "udp" and candidates["relay"] in {None, "udp"}, candidates
        assert candidates["remote"] in {m.public6 for m in target.group("media")}, candidates


@pytest.mark.part("ipv6")
@pytest.mark.part("udp-drop")
def test_ipv6_with_tcp_443_is_sufficient(restricted: dict[str, Pair], target: Deployment) -> None:
    assert_both_receive(restricted["ipv6-tcp-443"], SHORT, ENOUGH_SHORT)
    over_own_turn(restricted["ipv6-tcp-443"], target)


def firefox_takes_part(pair: Pair, target: Deployment) -> None:
    """Assert that Firefox sees, hears and is heard, that its screen is seen, and that its page requests only the class's host."""
    assert_both_receive(pair, SHORT, ENOUGH_SHORT)
    assert not pair.done["screen is seen"], f"{pair.done['screen is seen']}; console: {pair.pupil.console}"
    assert pair.pupil.hosts == {target.domain}


def test_firefox_takes_part(restricted: dict[str, Pair], target: Deployment) -> None:
    pair = restricted["firefox"]
    firefox_takes_part(pair, target)
    found = pair.connections[pair.pupil.name]["pairs"]
    assert found and all(candidates["relay"] != "tls" for candidates in found), found


@pytest.mark.part("udp-drop")
def test_firefox_takes_part_through_tcp_443_alone(restricted: dict[str, Pair], target: Deployment) -> None:
    firefox_takes_part(restricted["firefox-tcp-443"], target)
    over_own_turn(restricted["firefox-tcp-443"], target)

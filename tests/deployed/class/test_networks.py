"""Real browsers with less network in the class: by TCP 443 alone, by IPv6 alone, they see and hear the teacher."""

import contextlib
from collections.abc import Iterator

import pytest

from classroom.config.ports import port_number
from classroom.verify.browsers.background_class import BackgroundClass
from classroom.verify.browsers.browser import Meeting, Participant
from classroom.verify.browsers.client_network import Client
from classroom.verify.browsers.media_assertions import ENOUGH_SHORT, SHORT, Pair, both_ways
from classroom.verify.deployment import Target
from classroom.verify.pytest_plugin import Verification

# Clients with less network: each a namespace of its own, with what is left to it. The held class has one with IPv6 alone.
CLIENTS = {
    "tcp-443": {"v4": True, "v6": False, "only_443": True},
    "ipv6-tcp-443": {"v4": False, "v6": True, "only_443": True},
}
PARTS = {"tcp-443": ["udp-drop"], "ipv6-tcp-443": ["ipv6", "udp-drop"]}


@pytest.fixture(scope="session")
def restricted(
    verification: Verification,
    meeting: Meeting,
    held: BackgroundClass,
    codes: dict[str, str],
    target: Target,
    with_ipv6: bool,
) -> Iterator[dict[str, Pair]]:
    """Pupils with less network, all at once, meet the held class's teacher; its pupil with all of it has left."""
    teacher = held.teacher
    six = held.pupils[1] if with_ipv6 else None
    # A browser stays with the way that answered first, which may be the relay where it came in beside all that began then.
    kept = [six] if six and not relayed(six) else []
    meeting.dismiss(*(pupil for pupil in held.pupils if pupil not in kept))
    # Pictures would only take the machine's time from those who come in.
    held.hide(teacher)
    left_out = verification.without if target.ipv6 else verification.without | {"ipv6"}
    wanted = {name: options for name, options in CLIENTS.items() if not left_out & set(PARTS[name])}
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(Client(names=target.names, **o)) for name, o in wanted.items()}
        verification.step(f"browsers of {', '.join(clients)} start and join")
        pupils = {name: meeting.enter(codes["pupil_code"], client) for name, client in clients.items()}
        if six:
            pupils["ipv6"] = six if kept else meeting.enter(codes["pupil_code"], six.client)
        held.show(teacher, *kept)
        pairs = {}
        for name, pupil in pupils.items():
            first = {teacher.name: teacher.sees(pupil), pupil.name: pupil.sees(teacher)}
            pairs[name] = Pair(teacher, pupil, first, {})
        verification.step(f"all watch each other for {SHORT} s")
        everybody = [teacher, *pupils.values()]
        seen = meeting.watch(everybody, SHORT, of=everybody)
        for (name, pupil), by_pupil in zip(pupils.items(), seen[1:], strict=True):
            pairs[name].seen = {teacher.name: seen[0], pupil.name: by_pupil}
            pairs[name].connections = {pupil.name: pupil.connections()}
        for name, client in clients.items():
            pairs[name].dropped = client.dropped()
        meeting.dismiss(*pupils.values())
        yield pairs


def relayed(person: Participant) -> bool:
    """Whether any media of somebody goes over TURN by TLS."""
    return any(way["relay"] == "tls" for way in person.connections()["pairs"])


def over_own_turn(pair: Pair, target: Target) -> None:
    """Assert that UDP was really dropped, and that media went over TLS to the deployment's own TURN."""
    assert pair.dropped["dropped_udp"] > 0, pair.dropped
    for way in pair.connections[pair.pupil.name]["pairs"]:
        assert way["relay"] == "tls", way
        assert any(way["url"].startswith(f"turns:{name}:{port_number('https')}") for name in target.turn_names), way
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

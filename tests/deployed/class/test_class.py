"""Two real browsers in one class: they see and hear each other, whatever network they have."""

import os
from pathlib import Path

import pytest

from classroom.verify.browser import meet
from classroom.verify.media import TONES
from classroom.verify.namespaces import Client
from classroom.verify.target import Target

SECONDS, ENOUGH = 20, 18
SHORT, ENOUGH_SHORT = 6, 5


def judge(seen: list, sender: int, seconds: int) -> tuple[int, int]:
    """Return in how many seconds the other's picture was read, with a number that went on, and its tone was heard."""
    pictures, tones, last = 0, 0, None
    assert len(seen) == seconds
    for second in seen:
        found = [v for v in second["videos"] if v["sender"] == sender]
        number = found[0]["number"] if found else None
        pictures += number is not None and number != last
        last = number if number is not None else last
        others = [name for name in second["heard"] if name != str(sender)]
        # Pulsed: half of every second. Each browser hears the other's tone, and never its own.
        tones += str(sender) in second["heard"] and not others
    return pictures, tones


def check(result: dict, seconds: int, enough: int) -> None:
    assert None not in result["first_frame"], f"no picture within 40 s: {result['console']}"
    for seen, sender in zip(result["seen"], reversed(TONES), strict=True):
        pictures, tones = judge(seen, sender, seconds)
        assert pictures >= enough, f"the picture of {sender} was read in {pictures} of {seconds} s"
        assert tones >= enough, f"the tone of {sender} was heard in {tones} of {seconds} s"


def only_own_hosts(result: dict, target: Target) -> None:
    assert result["hosts"] == [target.domain]
    own = {target.domain, *target.turn_names} | {a for m in target.machines for a in (m.public4, m.public6)}
    for connection in result["connections"]:
        assert connection["servers"]
        for url in connection["servers"]:
            host = url.split(":", 1)[1].partition("?")[0].rpartition(":")[0].strip("[]")
            assert host in own, url


def over_own_turn(result: dict, target: Target) -> None:
    for connection in result["connections"]:
        assert connection["pairs"]
        for pair in connection["pairs"]:
            assert pair["relay"] == "tls", pair
            assert any(f"turns:{name}:443" in pair["url"] for name in target.turn_names), pair


@pytest.fixture(scope="session")
def base(target: Target) -> str:
    return f"https://{target.domain}"


@pytest.fixture(scope="session")
def names(target: Target) -> list[str]:
    return [target.domain, *target.turn_names]


def test_two_people_meet(base: str, target: Target, codes: list[str]) -> None:
    shot = os.environ.get("CLASSROOM_SCREENSHOT")
    result = meet(base, codes, seconds=SECONDS, features=True, screenshot=Path(shot) if shot else None)
    check(result, SECONDS, ENOUGH)
    only_own_hosts(result, target)
    assert result["features"] == {"chat": True, "screen": True, "pupil_may_share": False}


def test_a_camera_that_is_off_is_noticed(base: str, codes: list[str]) -> None:
    """The check of the check: without the pupil's picture it must fail."""
    result = meet(base, codes, seconds=SHORT, camera_off=True)
    pictures, tones = judge(result["seen"][0], 2, SHORT)
    assert pictures < ENOUGH_SHORT
    assert tones >= ENOUGH_SHORT


def test_tcp_443_alone_suffices(
    base: str, target: Target, codes: list[str], without: set[str], names: list[str]
) -> None:
    if "udp-drop" in without:
        pytest.xfail("not proven: --without udp-drop")
    with Client(v4=True, v6=False, only_443=True, names=names) as client:
        result = meet(base, codes, client=client, seconds=SHORT)
        dropped = client.dropped()
    check(result, SHORT, ENOUGH_SHORT)
    assert dropped["dropped_udp"] > 0, dropped
    over_own_turn(result, target)


def test_ipv6_alone_suffices(base: str, target: Target, codes: list[str], without: set[str], names: list[str]) -> None:
    if not target.ipv6 or "ipv6" in without:
        pytest.xfail("not proven: no IPv6")
    with Client(v4=False, v6=True, names=names) as client:
        result = meet(base, codes, client=client, seconds=SHORT)
    check(result, SHORT, ENOUGH_SHORT)
    for connection in result["connections"]:
        assert all(pair["protocol"] == "udp" and not pair["relay"] for pair in connection["pairs"]), connection["pairs"]


def test_ipv6_with_tcp_443_alone_suffices(
    base: str, target: Target, codes: list[str], without: set[str], names: list[str]
) -> None:
    if not target.ipv6 or {"ipv6", "udp-drop"} & without:
        pytest.xfail("not proven: no IPv6, or --without udp-drop")
    with Client(v4=False, v6=True, only_443=True, names=names) as client:
        result = meet(base, codes, client=client, seconds=SHORT)
        dropped = client.dropped()
    check(result, SHORT, ENOUGH_SHORT)
    assert dropped["dropped_udp"] > 0, dropped
    over_own_turn(result, target)

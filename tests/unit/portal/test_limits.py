"""How often somebody may do something: limits that forget, and whose memory has an end."""

import time

import pytest

from portal import rate_limit as door_module
from portal.rate_limit import Limit, RoomAccess

ADDRESSES = 200


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the limits read it, in an element that a test changes; room for `ADDRESSES` addresses."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(door_module, "MOST_ADDRESSES", ADDRESSES)
    return now


def test_a_limit_forgets(clock: list[float]) -> None:
    limit = Limit(2, 60)
    limit.note("a")
    limit.note("a")
    assert limit.full("a") and not limit.full("b")
    clock[0] += 61
    assert not limit.full("a")
    limit.note("b")
    assert len(limit) == 1  # what is over is not kept either


def test_a_full_memory_refuses_no_address_that_is_honest(clock: list[float]) -> None:
    """More addresses than there is room for, each as often as it may, some of them long ago."""
    limit = Limit(3, 60)
    for number in range(3 * ADDRESSES):
        clock[0] += 61 if number == ADDRESSES - 1 else 0.001
        for _ in range(3):
            assert not limit.full(f"guesser {number}")
            limit.note(f"guesser {number}")
        assert limit.full(f"guesser {number}")
        assert len(limit) <= ADDRESSES
    assert not limit.full("honest")
    limit.note("honest")
    assert not limit.full("honest")


def test_an_address_that_looks_while_memory_is_full_changes_nothing(clock: list[float]) -> None:
    """Addresses whose time is over are asked for and noted again, in every order."""
    limit = Limit(1, 60)
    for number in range(ADDRESSES):
        limit.note(str(number))
    clock[0] += 61
    for number in range(2 * ADDRESSES):
        assert not limit.full(str(number))
        limit.note(str(number))
        assert limit.full(str(number))
        assert len(limit) <= ADDRESSES


def test_a_full_memory_of_open_rooms_keeps_the_latest(clock: list[float]) -> None:
    door = RoomAccess()
    for number in range(2 * ADDRESSES):
        clock[0] += 0.001
        if number % (ADDRESSES // 2) == 0:
            door.opened("school", "cm2")
        door.opened(f"address {number}", "cm2")
        assert door.knows("school", "cm2")
    assert not door.knows("address 0", "cm2")


def test_messages_are_limited_by_the_second_and_by_the_minute(clock: list[float]) -> None:
    door = RoomAccess()
    assert [door.may_write("p-1") for _ in range(12)] == [True] * 10 + [False] * 2
    assert door.may_write("p-2")
    for _ in range(9):
        clock[0] += 1.01
        allowed = sum(door.may_write("p-1") for _ in range(200))
        assert allowed <= 10
    assert not door.may_write("p-1")  # sixty within the minute
    clock[0] += 60
    assert door.may_write("p-1")

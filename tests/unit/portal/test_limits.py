"""Rate limits: expiry of events, and bounded memory."""

import time

import pytest

from portal import rate_limit as door_module
from portal.rate_limit import Limit, RoomAccess

ADDRESSES = 200


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the limits, as a list with one element that tests change; memory for `ADDRESSES` addresses."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(door_module, "MOST_ADDRESSES", ADDRESSES)
    return now


def test_events_of_a_limit_expire(clock: list[float]) -> None:
    limit = Limit(2, 60)
    limit.note("a")
    limit.note("a")
    assert limit.full("a") and not limit.full("b")
    clock[0] += 61
    assert not limit.full("a")
    limit.note("b")
    assert len(limit) == 1  # expired keys are dropped


def test_a_full_memory_refuses_no_address_below_the_limit(clock: list[float]) -> None:
    """More addresses than fit in memory, each up to its limit, some of them long ago."""
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


def test_reading_a_limit_while_memory_is_full_changes_nothing(clock: list[float]) -> None:
    """Expired addresses are read and counted again, in every order."""
    limit = Limit(1, 60)
    for number in range(ADDRESSES):
        limit.note(str(number))
    clock[0] += 61
    for number in range(2 * ADDRESSES):
        assert not limit.full(str(number))
        limit.note(str(number))
        assert limit.full(str(number))
        assert len(limit) <= ADDRESSES


def test_a_full_memory_of_wrong_codes_refuses_no_one_else(clock: list[float]) -> None:
    door = RoomAccess()
    for number in range(3 * ADDRESSES):
        clock[0] += 0.001
        statuses = [door.wrong_code(f"guesser {number}")[0] for _ in range(40)]
        assert statuses == [403] * 30 + [429] * 10
        assert door.wrong_code(f"honest {number}") == (403, "wrong_code")
        assert len(door.wrong) <= ADDRESSES


def test_messages_are_limited_per_second_and_per_minute(clock: list[float]) -> None:
    door = RoomAccess()
    assert [door.may_write("p-1") for _ in range(12)] == [True] * 10 + [False] * 2
    assert door.may_write("p-2")
    for _ in range(9):
        clock[0] += 1.01
        allowed = sum(door.may_write("p-1") for _ in range(200))
        assert allowed <= 10
    assert not door.may_write("p-1")  # sixty in this minute
    clock[0] += 60
    assert door.may_write("p-1")

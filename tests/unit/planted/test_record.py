"""Tests the comparison of planted violations with the results of controls, and its table and file."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.planted.record import Row, not_passed, per_cent, table, updated, write

GREEN = {"time": "passed", "ice": "passed", "resolver": "passed"}


def row(expected: str = "time", caught: str = "time", clean: bool = True) -> Row:
    return Row("a violation", frozenset(expected.split()), frozenset(caught.split()), clean)


def test_a_control_that_is_not_proven_counts_as_not_passed() -> None:
    assert not_passed(GREEN) == frozenset()
    assert not_passed(GREEN | {"ice": "not proven", "time": "failed"}) == {"ice", "time"}


def test_controls_that_were_not_run_again_keep_their_state() -> None:
    assert updated(GREEN | {"ice": "failed"}, {"time": "failed"}, frozenset({"time"})) == {
        "time": "failed",
        "ice": "failed",
        "resolver": "passed",
    }
    with pytest.raises(ValueError, match="differ: ice"):
        updated(GREEN, {"time": "passed"}, frozenset({"time", "ice"}))
    with pytest.raises(ValueError, match="unknown control: colour"):
        updated(GREEN, {"colour": "passed"}, frozenset({"colour"}))


@pytest.mark.parametrize(
    ("one", "good"),
    [
        (row(), True),
        (row("time ice", "ice time"), True),
        (row(caught=""), False),
        (row(caught="time ice"), False),
        (row("time ice", "time"), False),
        (row(clean=False), False),
        (row("", ""), False),
    ],
)
def test_a_row_is_good_only_if_exactly_the_expected_controls_failed(one: Row, good: bool) -> None:
    assert one.good is good
    assert per_cent([one]) == (100 if good else 0)


def test_a_run_without_violations_is_not_a_success() -> None:
    assert per_cent([]) == 0
    assert per_cent([row(), row(clean=False)]) == 50


def test_the_table_and_the_file_hold_every_row(tmp_path: Path) -> None:
    rows = [row("time ice", "ice time"), row(caught="", clean=False)]
    out = io.StringIO()
    Console(file=out, width=120).print(table(rows, {"a violation": "host"}))
    assert "50 % detected" in out.getvalue()
    assert "none" in out.getvalue()
    write(rows, tmp_path / "deep" / "planted.json")
    assert json.loads((tmp_path / "deep" / "planted.json").read_text()) == [
        {"plant": "a violation", "expected": ["ice", "time"], "caught": ["ice", "time"], "clean_after": True},
        {"plant": "a violation", "expected": ["time"], "caught": [], "clean_after": False},
    ]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["planted.json"]

"""The comparison of plants with what controls found, and what is written of it."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.planted.record import Row, per_cent, red, renewed, table, write

GREEN = {"time": "passed", "ice": "passed", "resolver": "passed"}


def row(expected: str = "time", caught: str = "time", clean: bool = True) -> Row:
    return Row("a plant", frozenset(expected.split()), frozenset(caught.split()), clean)


def test_what_is_not_proven_is_not_green() -> None:
    assert red(GREEN) == frozenset()
    assert red(GREEN | {"ice": "not proven", "time": "failed"}) == {"ice", "time"}


def test_what_was_not_collected_again_keeps_its_state() -> None:
    assert renewed(GREEN | {"ice": "failed"}, {"time": "failed"}, frozenset({"time"})) == {
        "time": "failed",
        "ice": "failed",
        "resolver": "passed",
    }
    with pytest.raises(ValueError, match="not the wanted controls: ice"):
        renewed(GREEN, {"time": "passed"}, frozenset({"time", "ice"}))
    with pytest.raises(ValueError, match="there is no control colour"):
        renewed(GREEN, {"colour": "passed"}, frozenset({"colour"}))


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
def test_a_row_is_good_only_if_exactly_its_controls_turned_red(one: Row, good: bool) -> None:
    assert one.good is good
    assert per_cent([one]) == (100 if good else 0)


def test_nothing_planted_is_no_success() -> None:
    assert per_cent([]) == 0
    assert per_cent([row(), row(clean=False)]) == 50


def test_the_table_and_the_file(tmp_path: Path) -> None:
    rows = [row("time ice", "ice time"), row(caught="", clean=False)]
    out = io.StringIO()
    Console(file=out, width=120).print(table(rows, {"a plant": "host"}))
    assert "planted: 50 % caught" in out.getvalue()
    assert "none" in out.getvalue()
    write(rows, tmp_path / "deep" / "planted.json")
    assert json.loads((tmp_path / "deep" / "planted.json").read_text()) == [
        {"plant": "a plant", "expected": ["ice", "time"], "caught": ["ice", "time"], "clean_after": True},
        {"plant": "a plant", "expected": ["time"], "caught": [], "clean_after": False},
    ]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["planted.json"]

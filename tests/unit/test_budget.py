"""The table of the test run: every part has a budget, what is over it is marked, and the first failure ends the run."""

import datetime
import re
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from tests import budget

MAKEFILE = (Path(__file__).parents[2] / "Makefile").read_text()


def shown(took: dict[str, float], limits: dict[str, float]) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(budget.report(took, limits, sum(took.values()), sum(limits.values())))
    return capture.get().splitlines()


def test_every_part_of_the_test_run_has_a_budget() -> None:
    (parts,) = re.findall(r"^TEST_PARTS := (.*)$", MAKEFILE, re.M)
    words = [part for word in shlex.split(parts) for lane in budget.lanes(word) for part in lane]
    assert sorted([*words, "install", "machine"]) == sorted(budget.budgets())
    for part in words:
        assert re.search(rf"^{part}:", MAKEFILE, re.M), part


@pytest.mark.parametrize(("seconds", "mark"), [(10.0, ""), (10.1, "OVER")])
def test_a_part_over_its_budget_is_marked(seconds: float, mark: str) -> None:
    (row,) = [line for line in shown({"check": seconds}, {"check": 10}) if "check" in line]
    assert ("OVER" in row) == bool(mark)


def test_a_part_without_a_budget_is_marked() -> None:
    assert any("no budget" in line for line in shown({"new": 1}, {}))


@pytest.fixture
def makefile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the parts be targets of a Makefile in this folder: `bad` fails, the others write the time at which they begin and end."""
    rule = "\t@date +%s.%N >> $@; sleep 0.3; echo some output; date +%s.%N >> $@\n"
    (tmp_path / "Makefile").write_text(f"a b c d:\n{rule}bad:\n\t@echo broken; exit 3\n")
    (tmp_path / "tests").mkdir()
    monkeypatch.setattr(budget, "TESTS", tmp_path / "tests")
    # Those of the `make` that runs this test, with its job server.
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    return tmp_path


def spans(folder: Path) -> dict[str, tuple[float, float]]:
    return {path.name: tuple(map(float, path.read_text().split())) for path in folder.glob("?")}  # type: ignore[misc]


def test_the_first_failure_ends_the_run(makefile: Path) -> None:
    took, status = budget.run(["a", "bad", "b"])
    assert (list(took), status, set(spans(makefile))) == (["a", "bad"], 2, {"a"})


def test_lanes_run_side_by_side_and_their_parts_one_after_the_other(
    makefile: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    took, status = budget.run(["a|b,c", "d"])
    found = spans(makefile)
    assert (set(took), status) == ({"a", "b", "c", "d"}, 0)
    assert found["a"][0] < found["b"][1] and found["b"][0] < found["a"][1]
    assert found["b"][1] <= found["c"][0] and max(found["a"][1], found["c"][1]) <= found["d"][0]
    assert sorted(capfd.readouterr().out.splitlines()) == [
        "a | some output",
        "b | some output",
        "c | some output",
        "some output",
    ]


def test_a_failure_in_a_lane_ends_the_run(makefile: Path) -> None:
    took, status = budget.run(["a|bad,b", "c"])
    assert (set(took), status, set(spans(makefile))) == ({"a", "bad"}, 2, {"a"})


def test_the_budget_of_lanes_is_that_of_the_longest() -> None:
    limits = {"check": 1.0, "roles": 5.0, "pages": 2.0, "up": 4.0}
    assert budget.limit_of(["check", "roles|pages,up"], limits) == 7


def test_parts_that_ran_before_are_read() -> None:
    assert budget.before("install=12 machine=3") == {"install": 12.0, "machine": 3.0}
    with pytest.raises(ValueError, match="could not convert"):
        budget.before("install")


def test_the_age_of_the_drills_is_named() -> None:
    day = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
    kept = {"date": day.isoformat(), "commit": "0" * 40, "seconds": 600, "passed": False}
    sentence = budget.age(kept, day + datetime.timedelta(days=3))
    assert "FAILED 3 days ago" in sentence
    assert "an unknown number of commits" in sentence

"""The table of the test run: every part has a budget, what is over it is marked, and the first failure ends the run."""

import datetime
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests import budget

MAKEFILE = (Path(__file__).parents[2] / "Makefile").read_text()


def shown(took: dict[str, float], limits: dict[str, float]) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(budget.report(took, limits))
    return capture.get().splitlines()


def test_every_part_of_the_test_run_has_a_budget() -> None:
    (parts,) = re.findall(r"^TEST_PARTS := (.*)$", MAKEFILE, re.M)
    assert set(parts.split()) | {"install", "machine"} == budget.budgets().keys()
    for part in parts.split():
        assert re.search(rf"^{part}:", MAKEFILE, re.M), part


@pytest.mark.parametrize(("seconds", "mark"), [(10.0, ""), (10.1, "OVER")])
def test_a_part_over_its_budget_is_marked(seconds: float, mark: str) -> None:
    (row,) = [line for line in shown({"check": seconds}, {"check": 10}) if "check" in line]
    assert ("OVER" in row) == bool(mark)


def test_a_part_without_a_budget_is_marked() -> None:
    assert any("no budget" in line for line in shown({"new": 1}, {}))


def test_the_first_failure_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    class Done:
        def __init__(self, argv: list[str], **_: object) -> None:
            called.append(argv[-1])
            self.returncode = 2 if argv[-1] == "roles" else 0

    monkeypatch.setattr(budget.subprocess, "run", Done)
    took, status = budget.run(["check", "roles", "pages"])
    assert (called, list(took), status) == (["check", "roles"], ["check", "roles"], 2)


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

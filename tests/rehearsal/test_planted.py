"""Planted violations on the open class: each makes exactly its own controls fail, and all pass after its removal.

Use `--keep` (as `make planted` does) to run on the class that is open. The run writes `planted.json` and prints it as a table.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from classroom.verify.deployment import Target
from classroom.verify.report.report import last_path
from rehearsal import authority, outside_network, stack
from rehearsal.outside_hosts import US_AUTHORITY
from tests.planted.control_runner import ALL, ControlResults, ControlRunner
from tests.planted.injectors import InjectionContext
from tests.planted.plants import PLANTED_VIOLATIONS, VALUES, PlantedViolation
from tests.planted.record import Row, not_passed, per_cent, table, updated, write

APPLIED = {violation.name: violation.where for violation in PLANTED_VIOLATIONS}


class ViolationRun:
    """One run over the planted violations: the latest state of every control, and the rows so far."""

    def __init__(self, context: InjectionContext) -> None:
        self.context = context
        self.states = dict.fromkeys(ALL, "not proven")
        self.rows: list[Row] = []

    def run_controls(self, violation: PlantedViolation | None) -> ControlResults:
        """Run the controls whose evidence the violation affects, or all without one; update the states of all controls."""
        wanted = violation.collected if violation else ALL
        new_class = not violation or violation.new_class
        found = self.context.runner.run(wanted, new_class=new_class, environment=self.context.environment)
        self.states = updated(self.states, found.states, wanted)
        return found

    def execute(self, violation: PlantedViolation) -> tuple[Row, ControlResults | None]:
        """Inject a violation, run its controls, revert it, run them again; record the row and return it with the results."""
        during: ControlResults | None = None
        caught: frozenset[str] = frozenset()
        try:
            with contextlib.ExitStack() as reverts:
                for injector in violation.injectors:
                    reverts.callback(injector.revert, self.context)
                    injector.inject(self.context)
                during = self.run_controls(violation)
                caught = not_passed(self.states)
            self.run_controls(violation)
        finally:
            row = Row(violation.name, violation.failing, caught, clean_after=not not_passed(self.states))
            self.rows.append(row)
        return row, during


@pytest.fixture(scope="module")
def violation_run(inventory: Path, request: pytest.FixtureRequest) -> Iterator[ViolationRun]:
    """A run in which every control passes at first; its rows are written and shown at the end."""
    stack.link_settings()
    target = Target.read(inventory)
    chain, key = authority.signed(
        outside_network.AUTHORITIES[US_AUTHORITY], target.domain, authority.names_of(target.domain)
    )
    values = VALUES | {"us_certificate": chain.decode().strip(), "us_key": key.decode().strip()}
    given: Path | None = request.config.getoption("--planted")
    with ControlRunner(inventory) as runner:
        run = ViolationRun(InjectionContext(target, runner, values))
        first = run.run_controls(None)
        assert not_passed(run.states) == frozenset(), first.faults
        try:
            yield run
        finally:
            path = given or last_path(target.stack).parent / "planted.json"
            write(run.rows, path)
            console = Console(highlight=False, width=150)
            console.print(table(run.rows, APPLIED))
            console.print(f"written to {path}")


@pytest.mark.parametrize("violation", PLANTED_VIOLATIONS, ids=[violation.name for violation in PLANTED_VIOLATIONS])
def test_a_violation_makes_exactly_its_controls_fail(violation: PlantedViolation, violation_run: ViolationRun) -> None:
    if not_passed(violation_run.states):
        violation_run.run_controls(None)  # an earlier violation has already failed for what it left behind
    assert not_passed(violation_run.states) == frozenset(), "all controls must pass before the violation"
    if violation.gate:
        violation.gate.check()
    row, during = violation_run.execute(violation)
    assert during is not None
    for name, lines in during.faults.items():
        print(name, *lines[:4], sep="\n  ")
    assert row.caught == row.expected, during.faults
    assert row.clean_after, violation_run.states
    for control, sides in (violation.sides or {}).items():
        assert during.sides[control], "no destination was judged"
        assert all(one == dict(sides) for one in during.sides[control]), during.sides[control]


def test_every_control_detects_a_violation(violation_run: ViolationRun) -> None:
    assert len(violation_run.rows) == len(PLANTED_VIOLATIONS)
    assert per_cent(violation_run.rows) == 100
    assert frozenset().union(*(row.caught for row in violation_run.rows)) == ALL

"""Planted violations on the open class: each makes exactly its own controls fail, and all pass after its removal.

Use `--keep` (as `make planted` does) to run on the class that is open. The run writes `planted.json` and prints it as a table.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from classroom.verify.deployment import Deployment
from classroom.verify.report.report import last_path
from rehearsal import authority, outside_network, stack
from rehearsal.outside_hosts import US_AUTHORITY
from tests.planted.control_runner import ALL, ControlResults, ControlRunner
from tests.planted.injectors import InjectionContext
from tests.planted.plants import PLANTED_VIOLATIONS, VALUES, PlantedViolation, violation_groups
from tests.planted.record import Row, not_passed, per_cent, table, updated, write

GROUPS = violation_groups(PLANTED_VIOLATIONS)
APPLIED = {violation.name: violation.where for violation in PLANTED_VIOLATIONS}


class ViolationRun:
    """One run over the planted violations: the latest state of every control, and the rows so far."""

    def __init__(self, context: InjectionContext) -> None:
        self.context = context
        self.states = dict.fromkeys(ALL, "not proven")
        self.rows: list[Row] = []

    def run_controls(self, violations: Sequence[PlantedViolation] = ()) -> ControlResults:
        """Run the controls whose evidence the violations affect, or all without any; update the states of all controls."""
        wanted = frozenset().union(*(violation.collected for violation in violations)) or ALL
        new_class = all(violation.new_class for violation in violations)
        found = self.context.runner.run(wanted, new_class=new_class, environment=self.context.environment)
        self.states = updated(self.states, found.states, wanted)
        return found

    def execute(self, group: Sequence[PlantedViolation]) -> tuple[list[Row], ControlResults | None]:
        """Inject violations, run their controls, revert them, run these again; record the rows and return them with the results.

        A control that no violation of the group affects and that fails counts against each of them.
        """
        during: ControlResults | None = None
        caught: frozenset[str] = frozenset()
        try:
            with contextlib.ExitStack() as reverts:
                for injector in (injector for violation in group for injector in violation.injectors):
                    reverts.callback(injector.revert, self.context)
                    injector.inject(self.context)
                during = self.run_controls(group)
                caught = not_passed(self.states)
            self.run_controls(group)
        finally:
            affected = frozenset().union(*(violation.collected for violation in group))
            clean = not not_passed(self.states)
            rows = [Row(v.name, v.failing, caught & v.collected | caught - affected, clean_after=clean) for v in group]
            self.rows += rows
        return rows, during


@pytest.fixture(scope="module")
def violation_run(inventory: Path, request: pytest.FixtureRequest) -> Iterator[ViolationRun]:
    """A run in which every control passes at first; its rows are written and shown at the end."""
    stack.link_settings()
    target = Deployment.read(inventory)
    chain, key = authority.signed(
        outside_network.AUTHORITIES[US_AUTHORITY], target.domain, authority.names_of(target.domain)
    )
    values = VALUES | {"us_certificate": chain.decode().strip(), "us_key": key.decode().strip()}
    given: Path | None = request.config.getoption("--planted")
    with ControlRunner(inventory) as runner:
        run = ViolationRun(InjectionContext(target, runner, values))
        first = run.run_controls()
        assert not_passed(run.states) == frozenset(), first.faults
        try:
            yield run
        finally:
            path = given or last_path(target.stack).parent / "planted.json"
            write(run.rows, path)
            console = Console(highlight=False, width=150)
            console.print(table(run.rows, APPLIED))
            console.print(f"written to {path}")


@pytest.mark.parametrize("group", GROUPS, ids=["; ".join(violation.name for violation in group) for group in GROUPS])
def test_violations_make_exactly_their_controls_fail(
    group: Sequence[PlantedViolation], violation_run: ViolationRun
) -> None:
    if not_passed(violation_run.states):
        violation_run.run_controls()  # an earlier violation has already failed for what it left behind
    assert not_passed(violation_run.states) == frozenset(), "all controls must pass before the violation"
    for violation in group:
        if violation.gate:
            violation.gate.check()
    rows, during = violation_run.execute(group)
    assert during is not None
    for name, lines in during.faults.items():
        print(name, *lines[:4], sep="\n  ")
    assert {row.violation: row.caught for row in rows} == {row.violation: row.expected for row in rows}, during.faults
    assert all(row.clean_after for row in rows), violation_run.states
    for control, sides in (item for violation in group for item in (violation.sides or {}).items()):
        assert during.sides[control], "no destination was judged"
        assert all(one == dict(sides) for one in during.sides[control]), during.sides[control]


def test_every_control_detects_a_violation(violation_run: ViolationRun) -> None:
    assert len(violation_run.rows) == len(PLANTED_VIOLATIONS)
    assert per_cent(violation_run.rows) == 100
    assert frozenset().union(*(row.caught for row in violation_run.rows)) == ALL

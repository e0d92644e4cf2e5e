"""Planted violations on the open class: each turns exactly its own controls red, and all are green once it is taken back.

With `--keep` (or by `make planted`) on the class that is open. The run writes `planted.json` and prints it as a table.
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
from tests.planted.control_runner import ALL, ControlRunner, Look
from tests.planted.injectors import Injector
from tests.planted.plants import PLANTS, VALUES, Plant
from tests.planted.record import Row, per_cent, red, renewed, table, write

APPLIED = {plant.name: plant.where for plant in PLANTS}


class Run:
    """One run over the plants: what is put where, the state of every control as it was last seen, and the rows so far."""

    def __init__(self, hands: Injector) -> None:
        self.hands = hands
        self.states = dict.fromkeys(ALL, "not proven")
        self.rows: list[Row] = []

    def look(self, plant: Plant | None) -> Look:
        """Collect again what the plant touches, everything without one, and keep the states of all controls."""
        wanted = plant.collect if plant else ALL
        found = self.hands.eyes.look(wanted, anew=not plant or plant.anew, environment=self.hands.environment)
        self.states = renewed(self.states, found.states, wanted)
        return found

    def plant(self, plant: Plant) -> tuple[Row, Look | None]:
        """Put a plant there, look, take it back, look again; return the row, which is kept, and what was seen of it."""
        during: Look | None = None
        caught: frozenset[str] = frozenset()
        try:
            with contextlib.ExitStack() as back:
                for action in plant.actions:
                    back.callback(action.undo, self.hands)
                    action.do(self.hands)
                during = self.look(plant)
                caught = red(self.states)
            self.look(plant)
        finally:
            row = Row(plant.name, plant.red, caught, clean_after=not red(self.states))
            self.rows.append(row)
        return row, during


@pytest.fixture(scope="module")
def planting(inventory: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """A run whose first look finds every control green; in the end its rows are written and shown."""
    stack.link()
    target = Target.read(inventory)
    chain, key = authority.signed(
        outside_network.AUTHORITIES[US_AUTHORITY], target.domain, authority.names_of(target.domain)
    )
    values = VALUES | {"us_certificate": chain.decode().strip(), "us_key": key.decode().strip()}
    given: Path | None = request.config.getoption("--planted")
    with ControlRunner(inventory) as eyes:
        run = Run(Injector(target, eyes, values))
        first = run.look(None)
        assert red(run.states) == frozenset(), first.faults
        try:
            yield run
        finally:
            path = given or last_path(target.stack).parent / "planted.json"
            write(run.rows, path)
            console = Console(highlight=False, width=150)
            console.print(table(run.rows, APPLIED))
            console.print(f"kept in {path}")


@pytest.mark.parametrize("plant", PLANTS, ids=[plant.name for plant in PLANTS])
def test_a_plant_turns_exactly_its_controls_red(plant: Plant, planting: Run) -> None:
    if red(planting.states):
        planting.look(None)  # what the plant before left is its own fault
    assert red(planting.states) == frozenset(), "all controls have to be green before"
    if plant.gate:
        plant.gate.check()
    row, during = planting.plant(plant)
    assert during is not None
    for name, lines in during.faults.items():
        print(name, *lines[:4], sep="\n  ")
    assert row.caught == row.expected, during.faults
    assert row.clean_after, planting.states
    for control, sides in (plant.sides or {}).items():
        assert during.sides[control], "no destination was judged"
        assert all(one == dict(sides) for one in during.sides[control]), during.sides[control]


def test_every_control_is_caught(planting: Run) -> None:
    assert len(planting.rows) == len(PLANTS)
    assert per_cent(planting.rows) == 100
    assert frozenset().union(*(row.caught for row in planting.rows)) == ALL

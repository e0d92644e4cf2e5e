"""Looks at the controls of an open class, only at those that are asked for, and lends an administrator's hand.

Run as a program out there, this file takes orders as lines of JSON and answers each with one: it lives as long as the run, so
that what was seen of a held class can be judged again where nothing of it was touched.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.common.paths import REPO, find_administrators_programs
from classroom.config.declarations import of_stack
from classroom.verify.browsers.background_class import Observed
from classroom.verify.controls.control_catalogue import load_controls
from classroom.verify.deployment import Target
from classroom.verify.record import controls_of, without_people
from classroom.verify.run import run
from rehearsal import stack
from tests.rehearsal.command import CLASSROOM
from tests.rehearsal.quick_check import admin

MARK = "answer: "
HOLD = 10.0
CLASS = frozenset({"host-connections", "page-requests", "ice"})
"""Controls whose evidence is the held class itself; two more only wait until it is over."""
CREDENTIALS = 200.0
"""Seconds for which what a class was given for TURN is good enough to ask TURN with it again (LiveKit gives it for 300)."""
ALL = frozenset(control.id for control in load_controls())


@dataclass(frozen=True)
class Look:
    """What a look found: the state of each control that was looked at, its faults, and the sides that were wrong there."""

    states: dict[str, str]
    faults: dict[str, list[str]]
    sides: dict[str, list[dict[str, str]]]


class ControlRunner:
    """The program out there, as this process speaks to it. Use it in a `with`."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory

    def __enter__(self) -> "ControlRunner":
        script = 'cd "$0" && exec "$@"'
        argv = ["sh", "-c", script, REPO, sys.executable, "-m", "tests.planted.control_runner", self._inventory]
        self._process = subprocess.Popen(
            [str(word) for word in (CLASSROOM, "rehearsal", "exec", "--", *argv)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
            env=os.environ | stack.environment(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _order(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith(MARK):
                found: dict[str, Any] = json.loads(line.removeprefix(MARK))
                assert "error" not in found, found["error"]
                return found
            print(line, end="", flush=True)
        raise AssertionError(f"the eyes out there ended with status {self._process.wait()}")

    def look(self, controls: Collection[str], *, anew: bool, environment: Mapping[str, str] | None = None) -> Look:
        """Collect the evidence of these controls again; with `anew` of a class that is held anew, where one is needed."""
        found = self._order(look=sorted(controls), anew=anew, environment=dict(environment or {}))
        return Look(found["states"], found["faults"], found["sides"])

    def administer(self, machine: str, command: str) -> None:
        """Run a shell command as root on a machine, with an administrator's login."""
        self._order(machine=machine, command=command)


class Program:
    """What runs out there."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory
        self._observed: Observed | None = None
        self._when = 0.0

    def obey(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one order."""
        if "command" in order:
            status = admin(self._inventory, order["machine"], order["command"])
            return {} if status == 0 else {"error": f"status {status} on {order['machine']}: {order['command']}"}
        with _changed(order["environment"]):
            return self._look(order["look"], order["anew"])

    def _look(self, controls: list[str], anew: bool) -> dict[str, Any]:
        target = Target.read(self._inventory)
        target.declarations = of_stack(target.stack)
        old = time.monotonic() - self._when > CREDENTIALS and "ice" in controls
        files = [f"sovereignty/test_{name.replace('-', '_')}.py" for name in controls]
        with tempfile.TemporaryDirectory() as scratch:
            done, _ = run(
                target,
                Path(scratch),
                frozenset({"inside"}),
                files,
                hold=HOLD,
                observed=None if anew or old else self._observed,
            )
            record = controls_of(done)  # asks the machines once more
        if done.observed is not None and done.observed is not self._observed:
            self._observed, self._when = done.observed, time.monotonic()
        kept = {one["id"]: one for one in record["controls"] if one["id"] in controls}
        faults = {
            name: proof.faults() for name in controls if (proof := done.proofs.get(name)) and proof.state == "failed"
        }
        broken = {
            name: [without_people(r.message)[-800:] for r in done.results if r.outcome == "failed" and file == r.test]
            for name in controls
            if kept[name]["state"] != "passed" and name not in faults and (file := f"test_{name.replace('-', '_')}")
        }
        return {
            "states": {name: one["state"] for name, one in kept.items()},
            "faults": {name: list(map(without_people, lines)) for name, lines in (broken | faults).items()},
            "sides": {
                name: [
                    {about: side["verdict"] for about, side in seen["sides"].items()}
                    for seen in one["seen"]
                    if seen["outcome"] == "wrong" and seen["sides"]
                ]
                for name, one in kept.items()
            },
        }


@contextmanager
def _changed(environment: Mapping[str, str]) -> Any:
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        for name in environment:
            os.environ.pop(name)
        os.environ.update(before)


def main() -> None:
    """Obey until there are no more orders."""
    find_administrators_programs()
    program = Program(Path(sys.argv[1]))
    while line := sys.stdin.readline():
        try:
            answer = program.obey(json.loads(line))
        except Exception as error:  # told to who asked
            answer = {"error": repr(error)}
        print(MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

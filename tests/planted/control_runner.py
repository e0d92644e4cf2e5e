"""Runs selected controls on an open class, and commands with an administrator's login.

As a program on the outside network, this file reads requests as lines of JSON and answers each with a line. It runs as long as
the test run, so that evidence of one background class can be judged again after violations that do not affect it.
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
from classroom.verify.deployment import Deployment
from classroom.verify.record import controls_of, without_people
from classroom.verify.run import run
from rehearsal import stack
from tests.rehearsal.command import CLASSROOM
from tests.rehearsal.quick_check import admin

MARK = "answer: "
HOLD = 10.0
CLASS = frozenset({"host-connections", "page-requests", "ice"})
"""Controls whose evidence is the background class itself; two more only wait for its end."""
CREDENTIALS = 200.0
"""Seconds for which a class's TURN credentials are reused (LiveKit issues them for 300)."""
ALL = frozenset(control.id for control in load_controls())


@dataclass(frozen=True)
class ControlResults:
    """Results of the controls that were run, by control: state, faults, and verdicts (soil, operator, parent) of wrong destinations."""

    states: dict[str, str]
    faults: dict[str, list[str]]
    sides: dict[str, list[dict[str, str]]]


class ControlRunner:
    """Starts the program on the outside network and sends it requests. Use it in a `with`."""

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

    def _request(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith(MARK):
                found: dict[str, Any] = json.loads(line.removeprefix(MARK))
                assert "error" not in found, found["error"]
                return found
            print(line, end="", flush=True)
        raise AssertionError(f"the control runner on the outside network ended with status {self._process.wait()}")

    def run(
        self, controls: Collection[str], *, new_class: bool, environment: Mapping[str, str] | None = None
    ) -> ControlResults:
        """Collect the evidence of these controls again, from a new background class with `new_class`; return the results."""
        found = self._request(controls=sorted(controls), new_class=new_class, environment=dict(environment or {}))
        return ControlResults(found["states"], found["faults"], found["sides"])

    def run_as_admin(self, machine: str, command: str) -> None:
        """Run a shell command as root on a machine, with an administrator's login."""
        self._request(machine=machine, command=command)


class ControlServer:
    """Handles the requests on the outside network."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory
        self._observed: Observed | None = None
        self._observed_at = 0.0

    def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Handle one request and return the answer; `error` in it says what failed."""
        if "command" in request:
            status = admin(self._inventory, request["machine"], request["command"])
            return {} if status == 0 else {"error": f"status {status} on {request['machine']}: {request['command']}"}
        with _changed(request["environment"]):
            return self._run_controls(request["controls"], request["new_class"])

    def _run_controls(self, controls: list[str], new_class: bool) -> dict[str, Any]:
        target = Deployment.read(self._inventory)
        target.declarations = of_stack(target.stack)
        expired = time.monotonic() - self._observed_at > CREDENTIALS and "ice" in controls
        files = [f"sovereignty/test_{name.replace('-', '_')}.py" for name in controls]
        with tempfile.TemporaryDirectory() as scratch:
            done, _ = run(
                target,
                Path(scratch),
                frozenset({"inside"}),
                files,
                hold=HOLD,
                observed=None if new_class or expired else self._observed,
            )
            record = controls_of(done)  # queries the machines again
        if done.observed is not None and done.observed is not self._observed:
            self._observed, self._observed_at = done.observed, time.monotonic()
        records = {one["id"]: one for one in record["controls"] if one["id"] in controls}
        faults = {
            name: proof.faults() for name in controls if (proof := done.proofs.get(name)) and proof.state == "failed"
        }
        errors = {
            name: [without_people(r.message)[-800:] for r in done.results if r.outcome == "failed" and file == r.test]
            for name in controls
            if records[name]["state"] != "passed" and name not in faults and (file := f"test_{name.replace('-', '_')}")
        }
        return {
            "states": {name: one["state"] for name, one in records.items()},
            "faults": {name: list(map(without_people, lines)) for name, lines in (errors | faults).items()},
            "sides": {
                name: [
                    {about: side["verdict"] for about, side in seen["sides"].items()}
                    for seen in one["seen"]
                    if seen["outcome"] == "wrong" and seen["sides"]
                ]
                for name, one in records.items()
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
    """Handle requests until standard input ends."""
    find_administrators_programs()
    server = ControlServer(Path(sys.argv[1]))
    while line := sys.stdin.readline():
        try:
            answer = server.handle(json.loads(line))
        except Exception as error:  # reported to the caller
            answer = {"error": repr(error)}
        print(MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

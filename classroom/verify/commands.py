"""`classroom verify`: runs the tests of `tests/deployed` on a running classroom."""

import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from classroom.errors import ClassroomError, UnknownError, WrongUseError
from classroom.paths import CACHE, REPO
from classroom.stack import output
from classroom.verify.needs import PARTS, needs
from classroom.verify.plugin import Silence, Verification, as_json
from classroom.verify.target import Target

TESTS = REPO / "tests" / "deployed"
AREAS = ("every", "front", "media", "outside", "class", "inside")
"""Folders of tests, in their order: what takes a browser or a probe comes last."""


def register(app: typer.Typer) -> None:
    """Add `verify` to the command line."""
    app.command()(verify)


def verify(
    stack: Annotated[str | None, typer.Option("--stack", help="Name of the stack.")] = None,
    inventory: Annotated[Path | None, typer.Option("--inventory", help="File of `classroom inventory --json`.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit XML.")] = None,
    without: Annotated[str, typer.Option("--without", help=f"Leave out, as not proven: {', '.join(PARTS)}.")] = "",
) -> None:
    """Prove the running classroom: machines over SSH, ports from outside, real browsers in a class of their own."""
    left_out = frozenset(part.strip() for part in without.split(",") if part.strip())
    for part in sorted(left_out - set(PARTS)):
        raise WrongUseError(f"--without: there is no '{part}'; choose from {', '.join(PARTS)}")
    if (stack is None) == (inventory is None):
        raise WrongUseError("name the deployment: either --stack NAME or --inventory FILE")
    with tempfile.TemporaryDirectory(prefix="classroom-verify-") as scratch:
        if inventory is None:
            inventory = Path(scratch) / "inventory.json"
            inventory.write_text(json.dumps(output(stack or "", "inventory")))
        target = Target.read(inventory)
        # Administrators' programs are not on every account's path.
        os.environ["PATH"] += os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin"))
        check_needs(target, left_out)
        start = time.time()
        done, status = run(target, Path(scratch), left_out, AREAS, junit)
        conclude(done, start, status)


def check_needs(target: Target, left_out: frozenset[str]) -> None:
    """List what is needed here; UnknownError (status 4) if something is missing that was not left out."""
    Console(highlight=False, soft_wrap=True).print(
        f"verifying stack {target.stack} ({target.domain}): {', '.join(m.name for m in target.machines)}"
    )
    print("it needs here:")
    stops = []
    for need in needs(target):
        if need.parts and need.parts <= left_out:
            print(f"  left out  {need.what}")
        elif need.there(target):
            print(f"  there     {need.what}")
        else:
            print(f"  MISSING   {need.what}: {need.fix}")
            stops.append(need)
    sys.stdout.flush()
    if stops:
        sentences = [
            f"{n.what} is missing ({n.fix}"
            + (f", or go on with --without {','.join(sorted(n.parts))})" if n.parts else ")")
            for n in stops
        ]
        raise UnknownError("this cannot be proven from here: " + "; ".join(sentences))


def run(
    target: Target, scratch: Path, left_out: frozenset[str], areas: Sequence[str], junit: Path | None = None
) -> tuple[Verification, int]:
    """Run the tests of `areas` in this process, tell them as they end, and return what they found, and pytest's status."""
    out = os.fdopen(os.dup(1), "w")  # pytest catches what is written to the usual one

    def say(line: str) -> None:
        print(line, file=out, flush=True)

    done = Verification(target, target.write_ssh(scratch), left_out, say)
    argv = [f"--rootdir={REPO}", "-c", str(TESTS / "pytest.ini"), "--tb=short", "-q"]
    argv += [f"--junitxml={junit.absolute()}"] if junit else []
    here = Path.cwd()
    try:
        plugins: list[object] = [_Named(done), Silence()]
        status = pytest.main([*argv, *(str(TESTS / area) for area in areas)], plugins=plugins)
    finally:
        os.chdir(here)
        out.close()
    return done, int(status)


class _Named:
    """Registers a verification under its name, by which the tests' fixtures find it."""

    def __init__(self, verification: Verification) -> None:
        self._verification = verification

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register it."""
        config.pluginmanager.register(self._verification, "verification")


def conclude(done: Verification, start: float, status: int) -> None:
    """Show the results, keep them as the stack's last verification, and raise ClassroomError unless all passed."""
    console = Console(highlight=False, soft_wrap=True)
    target, results = done.target, done.results
    failed = [r for r in results if r.outcome == "failed"]
    for result in failed:
        console.print(f"\n[bold red]failed:[/] {result.area}/{escape(result.test)}")
        console.print(escape(result.message))
    seconds = time.time() - start
    table = Table("area", "tests", "passed", "not proven", "failed", "seconds")
    for area in dict.fromkeys(r.area for r in results):
        own = [r for r in results if r.area == area]
        count = {outcome: sum(r.outcome == outcome for r in own) for outcome in ("passed", "not proven", "failed")}
        table.add_row(area, str(len(own)), *map(str, count.values()), f"{sum(r.seconds for r in own):.0f}")
    console.print(table)
    for sentence in done.not_proven():
        console.print(f"not proven: {sentence}")
    record = record_of(done, start, status)
    folder = CACHE / "verified" / target.stack
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "last.json").write_text(json.dumps(record, indent=2))
    if not results:
        raise ClassroomError("no test ran: pytest's message above tells why")
    if not record["passed"]:
        names = ", ".join(f"{r.area}/{r.test}" for r in failed) or f"pytest ended with status {status}"
        raise ClassroomError(f"{len(failed)} of {len(results)} tests failed on stack '{target.stack}': {escape(names)}")
    passed = sum(r.outcome == "passed" for r in results)
    console.print(
        f"[green]passed:[/] {passed} of {len(results)} tests on stack {target.stack}"
        f" in {seconds:.0f} s, observed {record['date']}; kept in {folder / 'last.json'}"
    )


def record_of(done: Verification, start: float, status: int) -> dict[str, Any]:
    """Return a verification as it is kept: date (UTC), stack, machines, results by test, and what is not proven."""
    return {
        "date": datetime.datetime.fromtimestamp(start, datetime.UTC).isoformat(timespec="seconds"),
        "stack": done.target.stack,
        "domain": done.target.domain,
        "machines": [machine.name for machine in done.target.machines],
        "seconds": round(time.time() - start, 1),
        "passed": status == 0 and bool(done.results) and all(r.outcome != "failed" for r in done.results),
        "not_proven": done.not_proven(),
        "tests": as_json(done.results),
    }

"""`classroom verify`: run the tests in `tests/deployed` on a running classroom."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from classroom.cli.options import day
from classroom.clients.pulumi_cli import output
from classroom.common.errors import ClassroomError, UnknownError, WrongUseError
from classroom.common.paths import find_administrators_programs
from classroom.config.declarations import of_stack
from classroom.verify.deployment import Deployment
from classroom.verify.pytest_plugin import Verification
from classroom.verify.record import keep, record_of
from classroom.verify.requirements import PARTS, needs
from classroom.verify.run import AREAS, run


def command(
    stack: Annotated[str | None, typer.Option("--stack", help="Name of the stack.")] = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", help="Output of `classroom inventory --json`.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the results to this file as JUnit XML.")] = None,
    without: Annotated[
        str, typer.Option("--without", help=f"Parts to skip, reported as not proven: {', '.join(PARTS)}.")
    ] = "",
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="Date for which to judge; default: today.")
    ] = None,
) -> None:
    """Test the running classroom: the machines over SSH, the ports from outside, and real browsers in a test class."""
    left_out = frozenset(part.strip() for part in without.split(",") if part.strip())
    for part in sorted(left_out - set(PARTS)):
        raise WrongUseError(f"--without: '{part}' is not a part; choose from {', '.join(PARTS)}")
    if (stack is None) == (inventory is None):
        raise WrongUseError("name the deployment: set either --stack NAME or --inventory FILE")
    with tempfile.TemporaryDirectory(prefix="classroom-verify-") as scratch:
        if inventory is None:
            inventory = Path(scratch) / "inventory.json"
            inventory.write_text(json.dumps(output(stack or "", "inventory")))
        target = Deployment.read(inventory)
        if stack is not None:
            # The stack file is current; the inventory has the declarations of the last `up`.
            target.declarations = of_stack(stack)
        # Ordinary accounts lack the `sbin` folders in PATH.
        find_administrators_programs()
        check_needs(target, left_out)
        start = time.time()
        done, status = run(target, Path(scratch), left_out, AREAS, junit, as_of=day(as_of))
        conclude(done, start, status)


def check_needs(target: Deployment, left_out: frozenset[str]) -> None:
    """List the requirements on this machine; UnknownError (status 4) if one is missing and not left out."""
    Console(highlight=False, soft_wrap=True).print(
        f"verifying stack {target.stack} ({target.domain}): {', '.join(m.name for m in target.machines)}"
    )
    print("requirements on this machine:")
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
            + (f", or skip it with --without {','.join(sorted(n.parts))})" if n.parts else ")")
            for n in stops
        ]
        raise UnknownError("the classroom cannot be verified from this machine: " + "; ".join(sentences))


def conclude(done: Verification, start: float, status: int) -> None:
    """Print the results, save them as the stack's last verification, and raise ClassroomError unless all passed."""
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
    record = record_of(done, start, status)
    for sentence in record["not_proven"]:
        console.print(f"not proven: {sentence}")
    path = keep(record)
    if not results:
        raise ClassroomError("no test ran; see pytest's message above")
    if not record["passed"]:
        names = ", ".join(f"{r.area}/{r.test}" for r in failed) or f"pytest ended with status {status}"
        raise ClassroomError(f"{len(failed)} of {len(results)} tests failed on stack '{target.stack}': {names}")
    passed = sum(r.outcome == "passed" for r in results)
    console.print(
        f"[green]passed:[/] {passed} of {len(results)} tests on stack {target.stack}"
        f" in {seconds:.0f} s, observed {record['date']}; saved in {path}"
    )

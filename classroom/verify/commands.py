"""`classroom verify`: runs the tests of `tests/deployed` on a running classroom."""

import datetime
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from classroom.errors import ClassroomError, UnknownError, WrongUseError
from classroom.paths import CACHE, REPO
from classroom.stack import output
from classroom.verify.needs import NEEDS, PARTS, missing
from classroom.verify.target import Target

TESTS = REPO / "tests" / "deployed"
TICK = 10.0


def register(app: typer.Typer) -> None:
    """Add `verify` to the command line."""
    app.command()(verify)


def verify(
    stack: Annotated[str | None, typer.Option("--stack", help="Name of the stack.")] = None,
    inventory: Annotated[Path | None, typer.Option("--inventory", help="File of `classroom inventory --json`.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit XML.")] = None,
    without: Annotated[str, typer.Option("--without", help=f"Leave out, as not proven: {', '.join(PARTS)}.")] = "",
) -> None:
    """Prove the running classroom: machines over SSH, ports from outside, two real browsers in a class of their own."""
    left_out = {part for part in without.split(",") if part}
    for part in left_out - set(PARTS):
        raise WrongUseError(f"--without: there is no '{part}'; choose from {', '.join(PARTS)}")
    if (stack is None) == (inventory is None):
        raise WrongUseError("name the deployment: either --stack NAME or --inventory FILE")
    with tempfile.TemporaryDirectory(prefix="classroom-verify-") as scratch:
        file = Path(scratch) / "inventory.json"
        file.write_text(
            inventory.read_text() if inventory and inventory.is_file() else json.dumps(_of_stack(stack, inventory))
        )
        target = Target.read(file)
        _check_needs(target, left_out)
        results = junit or Path(scratch) / "results.xml"
        start = time.time()
        status = _run(file, target.write_ssh(Path(scratch)), results, left_out)
        tests = _read(results)
        _conclude(target, tests, left_out, start, status)


def _of_stack(stack: str | None, inventory: Path | None) -> Any:
    if stack is None:
        raise WrongUseError(f"--inventory: there is no file {inventory}; make one with `classroom inventory --json`")
    return output(stack, "inventory")


def _check_needs(target: Target, left_out: set[str]) -> None:
    console = Console(highlight=False)
    console.print(f"verifying stack {target.stack}: {', '.join(m.name for m in target.machines)} ({target.domain})")
    lacking = missing(target)
    console.print(f"needed here: {', '.join(need.what for need in NEEDS)}")
    stops = [need for need in lacking if need.part is None or need.part not in left_out]
    if stops:
        lines = [
            f"{n.what} is missing: {n.fix}" + (f", or go on with --without {n.part}" if n.part else "") for n in stops
        ]
        raise UnknownError("this cannot be proven from here: " + "; ".join(lines))


def _run(inventory: Path, ssh_config: Path, results: Path, left_out: set[str]) -> int:
    environment = os.environ | {
        "CLASSROOM_INVENTORY": str(inventory),
        "CLASSROOM_SSH_CONFIG": str(ssh_config),
        "CLASSROOM_WITHOUT": ",".join(left_out),
        "PYTHONPATH": str(REPO),
    }
    order = [TESTS / name for name in ("every", "front", "media", "outside", "class")]
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "--tb=short",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "--timeout=170",
    ]
    argv += ["-o", "console_output_style=times", f"--junitxml={results}", *map(str, order)]
    process = subprocess.Popen(
        argv, cwd=REPO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    last = [time.monotonic()]
    done = threading.Event()

    def tick() -> None:
        while not done.wait(1):
            if time.monotonic() - last[0] > TICK:
                print("  … still at work", flush=True)
                last[0] = time.monotonic()

    threading.Thread(target=tick, daemon=True).start()
    for line in process.stdout:
        last[0] = time.monotonic()
        print(line.rstrip(), flush=True)
    done.set()
    return process.wait()


def _read(results: Path) -> list[dict[str, Any]]:
    """Return every test with its outcome: passed, failed, skipped (as not proven, if it says so)."""
    if not results.exists():
        return []
    found = []
    for case in ET.parse(results).getroot().iter("testcase"):  # noqa: S314 - written by our own pytest just now
        outcome, message = "passed", ""
        for kind in ("failure", "error", "skipped"):
            part = case.find(kind)
            if part is not None:
                outcome, message = ("skipped" if kind == "skipped" else "failed"), part.get("message") or ""
        area = (case.get("classname") or "").removeprefix("tests.deployed.").split(".")[0]
        found.append(
            {
                "area": area,
                "test": case.get("name"),
                "outcome": outcome,
                "message": message,
                "seconds": float(case.get("time") or 0),
            }
        )
    return found


def _conclude(target: Target, tests: list[dict[str, Any]], left_out: set[str], start: float, status: int) -> None:
    console = Console(highlight=False)
    unproven = [t for t in tests if t["outcome"] == "skipped" and t["message"].startswith("not proven")]
    failed = [t for t in tests if t["outcome"] != "passed" and t not in unproven]
    seconds = time.time() - start
    table = Table("area", "tests", "passed", "not proven", "failed", title=f"stack {target.stack}, {seconds:.0f} s")
    for area in dict.fromkeys(t["area"] for t in tests):
        own = [t for t in tests if t["area"] == area]
        bad, open_ = [t for t in own if t in failed], [t for t in own if t in unproven]
        table.add_row(area, str(len(own)), str(len(own) - len(bad) - len(open_)), str(len(open_)), str(len(bad)))
    console.print(table)
    for name in sorted(left_out):
        console.print(f"not proven: {name} (--without)")
    for test in failed:
        console.print(
            f"[red]failed:[/] {test['area']}: {test['test']}: {escape(test['message'].splitlines()[0] if test['message'] else '')}"
        )
    record = {
        "date": datetime.datetime.fromtimestamp(start, datetime.UTC).isoformat(timespec="seconds"),
        "stack": target.stack,
        "seconds": round(seconds, 1),
        "passed": not failed and bool(tests) and status == 0,
        "not_proven": sorted(left_out) + [t["test"] for t in unproven],
        "tests": tests,
    }
    folder = CACHE / "verified" / target.stack
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "last.json").write_text(json.dumps(record, indent=2))
    if not tests:
        raise ClassroomError("no test ran: pytest's message above tells why")
    if failed or status:
        raise ClassroomError(f"{len(failed)} of {len(tests)} tests failed on stack '{target.stack}': they stand above")
    console.print(
        f"[green]passed:[/] {len(tests) - len(unproven)} of {len(tests)} tests on stack {target.stack}, observed {record['date']}"
    )

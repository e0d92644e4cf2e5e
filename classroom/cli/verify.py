"""`classroom verify`: runs the tests of `tests/deployed` on a running classroom."""

import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from classroom.cli.cloud import day
from classroom.clients.pulumi_cli import environment, output
from classroom.common.errors import ClassroomError, UnknownError, WrongUseError
from classroom.common.foreground import wait
from classroom.common.paths import REPO
from classroom.config.declarations import of_stack
from classroom.sovereignty import addresses
from classroom.verify.browsers.client_network import Client
from classroom.verify.controls.control_catalogue import load_controls
from classroom.verify.controls.evidence import Proof
from classroom.verify.deployment import Target
from classroom.verify.network.capture import Capture
from classroom.verify.pytest_plugin import Result, Silence, Verification, as_json
from classroom.verify.report.phrases import said
from classroom.verify.report.report import last_path
from classroom.verify.requirements import PARTS, SECONDS, capture_path, needs

if TYPE_CHECKING:  # with it comes the library of browsers, which takes a second to load
    from classroom.verify.browsers.background_class import Observed

_FOUR = r"\d{1,3}(?:\.\d{1,3}){3}"
ADDRESS = re.compile(
    rf"(?<![\d.]){_FOUR}(?![\d.]*\d)|(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_FOUR}|[0-9A-Fa-f]{{0,4}})"
)
PSEUDONYM = re.compile(r"verif-[0-9a-f]{6}[\w-]*")
TESTS = REPO / "tests" / "deployed"
AREAS = (
    "every",
    "front",
    "media",
    "outside",
    "inside/test_firewall.py",
    "class/test_class.py",
    "inside/test_removed.py",
    "sovereignty",
    "class/test_networks.py",
    "class/test_traces.py",
)
"""Tests in their order: the class is held beside all that come before `sovereignty`, which then judges it. The probe of
`inside` starts beside the first ones and is removed beside the class."""


def register(app: typer.Typer) -> None:
    """Add `verify` to the command line."""
    app.command()(verify)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(capture)


def verify(
    stack: Annotated[str | None, typer.Option("--stack", help="Name of the stack.")] = None,
    inventory: Annotated[Path | None, typer.Option("--inventory", help="File of `classroom inventory --json`.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit XML.")] = None,
    without: Annotated[str, typer.Option("--without", help=f"Leave out, as not proven: {', '.join(PARTS)}.")] = "",
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="The day to judge by; today.")] = None,
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
        if stack is not None:
            target.declarations = of_stack(
                stack
            )  # as it is now; the inventory holds what was declared at the last `up`
        # Administrators' programs are not on every account's path.
        os.environ["PATH"] += os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin"))
        check_needs(target, left_out)
        start = time.time()
        done, status = run(target, Path(scratch), left_out, AREAS, junit, as_of=day(as_of))
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
    target: Target,
    scratch: Path,
    left_out: frozenset[str],
    areas: Sequence[str],
    junit: Path | None = None,
    *,
    as_of: datetime.date | None = None,
    hold: float = SECONDS,
    observed: "Observed | None" = None,
) -> tuple[Verification, int]:
    """Run the tests of `areas` in this process, tell them as they end, and return what they found, and pytest's status.

    An area may be a file of tests too, such as `sovereignty/test_time.py`. Controls judge by the day `as_of`; the class is
    held for at least `hold` seconds, or none is where what was `observed` of an earlier one is to be judged again.
    """
    out = os.fdopen(os.dup(1), "w")  # pytest catches what is written to the usual one

    def say(line: str) -> None:
        print(line, file=out, flush=True)

    done = Verification(target, target.write_ssh(scratch), left_out, say, as_of, hold)
    done.observed = observed
    argv = [f"--rootdir={REPO}", "-c", str(TESTS / "pytest.ini"), "--tb=short", "-q"]
    # Whatever other plugins are installed here: they have no part in it, and take seconds to load.
    argv += ["--disable-plugin-autoload", "-p", "pytest_timeout"]
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
    record = record_of(done, start, status)
    for sentence in record["not_proven"]:
        console.print(f"not proven: {sentence}")
    path = keep(record)
    if not results:
        raise ClassroomError("no test ran: pytest's message above tells why")
    if not record["passed"]:
        names = ", ".join(f"{r.area}/{r.test}" for r in failed) or f"pytest ended with status {status}"
        raise ClassroomError(f"{len(failed)} of {len(results)} tests failed on stack '{target.stack}': {names}")
    passed = sum(r.outcome == "passed" for r in results)
    console.print(
        f"[green]passed:[/] {passed} of {len(results)} tests on stack {target.stack}"
        f" in {seconds:.0f} s, observed {record['date']}; kept in {path}"
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
        "not_proven": [one.text() for one in done.not_proven()],
        "tests": [{**one, "message": without_people(one["message"])} for one in as_json(done.results)],
        **controls_of(done),
    }


def controls_of(done: Verification) -> dict[str, Any]:
    """Return the part of a record that is about sovereignty: each control, and what it was judged by. No participant is in it."""
    declarations, tables = done.target.declarations, addresses.tables()
    return {
        "kit": version("sovereign-classroom"),
        "rehearsal": done.target.rehearsal or declarations.rehearsal,
        "overlay": bool(declarations.overlay),
        "as_of": done.as_of.isoformat(),
        "held_seconds": round(done.held_for, 1),
        "policy": declarations.policy.model_dump(),
        "max_age_months": declarations.facts_max_age_months,
        "exceptions": [
            {**one.model_dump(mode="json"), "used": one in done.eye.used, "ended": one.until < done.as_of}
            for one in declarations.exceptions
        ],
        "address_data": [about.model_dump(mode="json") for about in tables.about.values()],
        "open": [one.model_dump(mode="json") for one in done.not_proven()],
        "controls": [_control(done, control.id) for control in load_controls()],
    }


def _control(done: Verification, name: str) -> dict[str, Any]:
    """Return what is kept of one control: the state that its test really had, never a better one."""
    test = f"test_{name.replace('-', '_')}"
    results = [r for r in done.results if r.area == "sovereignty" and r.test.partition("[")[0] == test]
    proof = done.proofs.get(name)
    state = proof.state if proof else "not proven"
    if any(r.outcome == "failed" for r in results):
        state = "failed"
    elif not results or any(r.outcome == "not proven" for r in results):
        state = "not proven"
    proof = proof or Proof(id=name)
    open_ = list(proof.not_proven)
    if not results:
        open_.append(said("control-not-run"))
    elif state == "failed" and not proof.faults():
        open_.append(said("control-broke", reason=_reason(results)))
    elif state == "not proven" and not open_:
        parts = [part for r in results if (part := r.message.removeprefix("--without ")) in PARTS]
        open_ += [said(f"part-{part}") for part in parts] or [said("control-not-run")]
    return {**proof.model_copy(update={"not_proven": tuple(open_)}).model_dump(mode="json"), "state": state}


def _reason(results: list[Result]) -> str:
    """Return the last line of a failure, without addresses: it may name anybody."""
    lines = [line for r in results for line in r.message.splitlines() if line.strip()] or ["?"]
    return without_people(lines[-1].removeprefix("E").strip())[:200]


def without_people(text: str) -> str:
    """Return a text as it may be kept: no address stands in it, whoever's it is, and no participant's name."""
    return PSEUDONYM.sub("…", ADDRESS.sub("…", text))


def keep(record: dict[str, Any]) -> Path:
    """Keep a verification as its stack's last one, for this account alone, and return its file."""
    path = last_path(record["stack"])
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        json.dump(record, file, indent=2, ensure_ascii=False)
    Path(scratch).rename(path)
    return path


def capture(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", envvar="CLASSROOM_STACK", help="Name of the stack.")],
) -> None:
    """Run `pulumi up`, or another command after `--`, in a network of its own, and keep for `verify` whom it asks."""
    if not context.args:
        raise WrongUseError(f"name the command: classroom capture --stack {stack} -- pulumi up --stack {stack}")
    if os.geteuid() != 0:
        raise ClassroomError("a network of its own takes root: run it with `sudo -E`")
    os.environ["PATH"] += os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin"))
    began = datetime.datetime.now(datetime.UTC)
    routes = subprocess.run(["ip", "-6", "route", "show", "default"], capture_output=True, text=True, check=False)
    with (
        Client(v4=True, v6=bool(routes.stdout.strip()), own_names=True) as client,
        Capture(client.command([])) as watch,
    ):
        process = subprocess.Popen(client.command(context.args), env=environment())
        status = wait(process, process.send_signal)
        traffic = watch.stop()
    found = {
        "began": began.isoformat(timespec="seconds"),
        "status": status,
        "names": sorted(traffic.names),
        "places": sorted(traffic.places),
    }
    path = capture_path(stack)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(json.dumps(found, indent=2))
    path.chmod(0o600)
    raise typer.Exit(status)

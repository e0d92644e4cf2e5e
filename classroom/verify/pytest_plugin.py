"""A pytest plugin for verification: passes the deployment to tests, collects their results and prints progress.

A test that skips itself or is marked as expected to fail proves nothing and counts as failed. Markers declare what cannot be
proven here: `@pytest.mark.part(NAME)` for tests that `--without` leaves out, `@pytest.mark.own_kernel` for tests that
need a machine with its own kernel, `@pytest.mark.rehearsal` for tests that run in the rehearsal only.
"""

import datetime
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from classroom.verify.controls.evidence import Evaluator, Proof
from classroom.verify.controls.issuers import CertificateDates
from classroom.verify.deployment import Deployment
from classroom.verify.report.phrases import Sentence, sentence
from classroom.verify.requirements import PARTS, SECONDS
from classroom.verify.ssh import RemoteHost

if TYPE_CHECKING:  # it imports the browser library, which takes a second to load
    from classroom.verify.browsers.background_class import Observed

TICK = 8.0
"""Seconds without output before progress is printed."""
NOT_PROVEN = "not proven: "


@dataclass
class Result:
    """One test: its area (folder), name, outcome, reason unless it passed, and duration in seconds."""

    area: str
    test: str
    outcome: Literal["passed", "failed", "not proven"]
    message: str
    seconds: float


class Verification:
    """The plugin. `remotes` maps names to machines; `say` prints one line past pytest's capture."""

    def __init__(
        self,
        target: Deployment,
        ssh_config: Path,
        without: frozenset[str],
        say: Callable[[str], None],
        as_of: datetime.date | None = None,
        hold: float = SECONDS,
    ) -> None:
        """Initialise: controls evaluate as of the day `as_of` (today if None); the background class runs for `hold` seconds."""
        self.target, self.without, self.say = target, without, say
        self.as_of, self.hold = as_of or datetime.date.today(), hold
        self.class_seconds = 0.0
        self.observed: Observed | None = None
        """Observations of a background class: of this run, or of an earlier one that is evaluated again."""
        self.evaluator = Evaluator(target.declarations, self.as_of)
        self.proofs: dict[str, Proof] = {}
        self.certificates: list[CertificateDates] = []
        """Dates of the certificates that were served."""
        self.results: list[Result] = []
        self.remotes = {machine.name: RemoteHost(machine, ssh_config) for machine in target.machines}
        self._containers: dict[str, str] = {}
        self._running: tuple[str, float] | None = None
        self._done = threading.Event()
        self._printed = time.monotonic()
        self._step = ""
        self._open: list[Sentence] = []
        self._parts: dict[str, list[pytest.TestReport]] = {}

    def containers(self) -> list[str]:
        """Return the machines that are containers."""
        if not self._containers:
            self._containers = {name: remote.container() for name, remote in self.remotes.items()}
        return [name for name, kind in self._containers.items() if kind]

    def prove(self, proof: Proof) -> None:
        """Store the proof of a control; AssertionError with each fault unless it passed."""
        self.proofs[proof.id] = proof
        assert proof.state == "passed", f"{proof.id}: {proof.state}\n" + "\n".join(proof.faults())

    def leave_open(self, what: Sentence) -> None:
        """Report something that a test found to be neither right nor wrong."""
        if what not in self._open:
            self._open.append(what)

    def not_proven(self) -> list[Sentence]:
        """Return what this verification does not prove."""
        found = [sentence(f"part-{part}") for part in sorted(self.without)]
        if not self.target.rehearsal:
            found.append(sentence("rehearsal-only"))
        if self.containers():
            found += [sentence("container-kernel"), sentence("container-limits")]
        if not self.target.ipv6:
            found.append(sentence("class-without-ipv6"))
        # Root of a machine can lie to whoever asks it.
        return [*found, *self._open, sentence("as-the-host-says")]

    def step(self, what: str) -> None:
        """Set the current step of a long test, which is printed as progress."""
        self._step = what

    # Hooks of pytest.

    def pytest_sessionstart(self) -> None:
        """Start the thread that prints progress."""
        self._printed = time.monotonic()
        threading.Thread(target=self._tick, daemon=True).start()

    def pytest_sessionfinish(self) -> None:
        """Stop the thread that prints progress."""
        self._done.set()

    def _tick(self) -> None:
        while not self._done.wait(1):
            running = self._running
            if running and time.monotonic() - self._printed > TICK:
                doing = f": {self._step}" if self._step else ""
                self._print(f"  …      {time.monotonic() - running[1]:6.1f} s  {running[0]}{doing}")

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        self.say(line)

    def _reason(self, item: pytest.Item) -> str:
        """Return why a test cannot run here, or an empty string."""
        for marker in item.iter_markers("part"):
            part = marker.args[0]
            if part not in PARTS:
                raise pytest.UsageError(f"{item.nodeid}: unknown part '{part}'; use one of {', '.join(PARTS)}")
            if part in self.without:
                return f"--without {part}"
            if part == "ipv6" and not self.target.ipv6:
                return "this class has no IPv6"
        if item.get_closest_marker("rehearsal") and not self.target.rehearsal:
            return "it runs in the rehearsal only"
        if item.get_closest_marker("own_kernel") and self.containers():
            return f"{', '.join(self.containers())} run in containers, without their own kernel"
        return ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a test that cannot run here."""
        reason = self._reason(item)
        if reason:
            pytest.skip(NOT_PROVEN + reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Report any other skipped test as failed."""
        report = yield
        ours = report.skipped and call.when == "setup" and self._reason(item)
        if (report.skipped and not ours) or hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"the test was skipped, so it proves nothing: {report.longrepr}"
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Report a file that cannot be imported as a failed test."""
        if report.failed:
            self._add(Result(_area(report.nodeid), Path(report.nodeid).name, "failed", report.longreprtext, 0.0))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record the running test."""
        self._running, self._step = (_short(nodeid), time.monotonic()), ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store and print the result of a test after its last phase."""
        parts = self._parts.setdefault(report.nodeid, [])
        parts.append(report)
        if report.when != "teardown":
            return
        del self._parts[report.nodeid]
        seconds = sum(part.duration for part in parts)
        failed = [part for part in parts if part.failed]
        skipped = [part for part in parts if part.skipped]
        outcome: Literal["passed", "failed", "not proven"]
        outcome = "failed" if failed else "not proven" if skipped else "passed"
        message = "\n".join(part.longreprtext for part in failed)
        if skipped and not failed:
            longrepr: Any = skipped[0].longrepr
            message = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).partition(NOT_PROVEN)[2]
        self._add(Result(_area(report.nodeid), report.nodeid.rpartition("::")[2], outcome, message, round(seconds, 2)))

    def _add(self, result: Result) -> None:
        self.results.append(result)
        word = {"passed": "ok", "failed": "FAILED", "not proven": "open"}[result.outcome]
        self._print(f"  {word:6} {result.seconds:6.1f} s  {result.area}/{result.test}")


def _area(nodeid: str) -> str:
    return Path(nodeid.partition("::")[0]).parent.name


def _short(nodeid: str) -> str:
    return f"{_area(nodeid)}/{nodeid.rpartition('::')[2]}"


def as_json(results: list[Result]) -> list[dict[str, Any]]:
    """Return results in the form of the verification record."""
    return [asdict(result) for result in results]


class QuietReporter:
    """Replaces pytest's terminal reporter, which prints nothing: the plugin above prints the results."""

    def __init__(self, config: pytest.Config) -> None:
        from _pytest.config import create_terminal_writer  # noqa: PLC2701 - offered nowhere else

        self._tw = create_terminal_writer(config, sys.stderr)


class ReplaceReporter:
    """Unregisters pytest's terminal reporter after it is registered."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the quiet reporter instead."""
        manager = config.pluginmanager
        manager.unregister(name="terminalreporter")
        manager.register(QuietReporter(config), "terminalreporter")

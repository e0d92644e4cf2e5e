"""pytest's part of a verification: gives tests their target, keeps what they found, and tells it as it goes.

A test that is skipped, or one that is expected to fail, proves nothing and counts as failed. What cannot be proven here is
no test's own choice: `@pytest.mark.part(NAME)` names what `--without` may leave out, `@pytest.mark.own_kernel` what a
container cannot show, `@pytest.mark.rehearsal` what is tried in the rehearsal alone.
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

from classroom.verify.controls.evidence import Eye, Proof
from classroom.verify.deployment import Target
from classroom.verify.report.phrases import Said, said
from classroom.verify.requirements import PARTS, SECONDS
from classroom.verify.ssh import Remote

if TYPE_CHECKING:  # with it comes the library of browsers, which takes a second to load
    from classroom.verify.browsers.background_class import Observed

TICK = 8.0
"""Seconds between two signs of life."""
NOT_PROVEN = "not proven: "


@dataclass
class Result:
    """One test: its area (folder), name, outcome, why it is not passed, and how long it took."""

    area: str
    test: str
    outcome: Literal["passed", "failed", "not proven"]
    message: str
    seconds: float


class Verification:
    """The plugin. `remotes` are the machines by name; `say` prints one line, whatever pytest captures."""

    def __init__(
        self,
        target: Target,
        ssh_config: Path,
        without: frozenset[str],
        say: Callable[[str], None],
        as_of: datetime.date | None = None,
        hold: float = SECONDS,
    ) -> None:
        """Prepare it: controls judge by the day `as_of` (today if None), and the class is held for `hold` seconds."""
        self.target, self.without, self.say = target, without, say
        self.as_of, self.hold = as_of or datetime.date.today(), hold
        self.held_for = 0.0
        self.observed: Observed | None = None
        """What was seen of a held class: of the one in this run, or of an earlier one that is to be judged again."""
        self.eye = Eye(target.declarations, self.as_of)
        self.proofs: dict[str, Proof] = {}
        self.results: list[Result] = []
        self.remotes = {machine.name: Remote(machine, ssh_config) for machine in target.machines}
        self._containers: dict[str, str] = {}
        self._running: tuple[str, float] | None = None
        self._done = threading.Event()
        self._told = time.monotonic()
        self._step = ""
        self._parts: dict[str, list[pytest.TestReport]] = {}

    def containers(self) -> list[str]:
        """Return the machines that are containers."""
        if not self._containers:
            self._containers = {name: remote.container() for name, remote in self.remotes.items()}
        return [name for name, kind in self._containers.items() if kind]

    def prove(self, proof: Proof) -> None:
        """Keep what a control found; AssertionError, naming each fault, unless it passed."""
        self.proofs[proof.id] = proof
        assert proof.state == "passed", f"{proof.id}: {proof.state}\n" + "\n".join(proof.faults())

    def not_proven(self) -> list[Said]:
        """Return what this verification does not prove."""
        found = [said(f"part-{part}") for part in sorted(self.without)]
        if not self.target.rehearsal:
            found.append(said("rehearsal-only"))
        if self.containers():
            found += [said("container-kernel"), said("container-limits")]
        if not self.target.ipv6:
            found.append(said("class-without-ipv6"))
        return found

    def step(self, what: str) -> None:
        """Name what a long test does now, for its signs of life."""
        self._step = what

    # What pytest calls.

    def pytest_sessionstart(self) -> None:
        """Begin to show signs of life."""
        self._told = time.monotonic()
        threading.Thread(target=self._tick, daemon=True).start()

    def pytest_sessionfinish(self) -> None:
        """End the signs of life."""
        self._done.set()

    def _tick(self) -> None:
        while not self._done.wait(1):
            running = self._running
            if running and time.monotonic() - self._told > TICK:
                doing = f": {self._step}" if self._step else ""
                self._tell(f"  …      {time.monotonic() - running[1]:6.1f} s  {running[0]}{doing}")

    def _tell(self, line: str) -> None:
        self._told = time.monotonic()
        self.say(line)

    def _reason(self, item: pytest.Item) -> str:
        """Return why a test cannot prove anything here, or an empty string."""
        for marker in item.iter_markers("part"):
            part = marker.args[0]
            if part not in PARTS:
                raise pytest.UsageError(f"{item.nodeid}: there is no part '{part}'")
            if part in self.without:
                return f"--without {part}"
            if part == "ipv6" and not self.target.ipv6:
                return "this class has no IPv6"
        if item.get_closest_marker("rehearsal") and not self.target.rehearsal:
            return "it is tried in the rehearsal alone"
        if item.get_closest_marker("own_kernel") and self.containers():
            return f"{', '.join(self.containers())} are containers, without a kernel of their own"
        return ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave out what cannot be proven here."""
        reason = self._reason(item)
        if reason:
            pytest.skip(NOT_PROVEN + reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn every other skipped test into a failed one."""
        report = yield
        ours = report.skipped and call.when == "setup" and self._reason(item)
        if (report.skipped and not ours) or hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"it was skipped, and so proves nothing: {report.longrepr}"
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a file that cannot be read as a failed test."""
        if report.failed:
            self._add(Result(_area(report.nodeid), Path(report.nodeid).name, "failed", report.longreprtext, 0.0))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember what runs."""
        self._running, self._step = (_short(nodeid), time.monotonic()), ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep and tell a test's result once its last phase is over."""
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
        self._tell(f"  {word:6} {result.seconds:6.1f} s  {result.area}/{result.test}")


def _area(nodeid: str) -> str:
    return Path(nodeid.partition("::")[0]).parent.name


def _short(nodeid: str) -> str:
    return f"{_area(nodeid)}/{nodeid.rpartition('::')[2]}"


def as_json(results: list[Result]) -> list[dict[str, Any]]:
    """Return results as they stand in the record of a verification."""
    return [asdict(result) for result in results]


class Quiet:
    """Stands in for pytest's own reporter: the plugin above tells what there is to tell."""

    def __init__(self, config: pytest.Config) -> None:
        from _pytest.config import create_terminal_writer  # noqa: PLC2701 - offered nowhere else

        self._tw = create_terminal_writer(config, sys.stderr)


class Silence:
    """Replaces pytest's own reporter once it is there."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the reporter's place."""
        manager = config.pluginmanager
        manager.unregister(name="terminalreporter")
        manager.register(Quiet(config), "terminalreporter")

"""Measures the rehearsal's figures and writes them to BENCHMARKS.md: `make bench`.

Runs out of two clocks: this machine's, and a unit of work done right before each figure, so that figures of different
machines compare. It ends an open rehearsal and leaves none.
"""

import datetime
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from classroom.common.progress import say
from rehearsal import lab, stack
from rehearsal.cloud_config import DOMAIN
from rehearsal.commands import start_cloud
from rehearsal.folders import LOGS

Result = TypeVar("Result")
IDLE, QUIET, PATIENCE = 0.2, 4, 300
"""A machine is taken as idle below this share of its processors' time, of which an open rehearsal alone takes half, in so many
looks of five seconds in a row; seconds to wait for it."""

STOLEN, AGAIN, SHORT = 0.03, 2, 8
"""The share of the processors' time that other machines of the hypervisor may take beside a run; how often one is taken again, and
how often a short one, of at most ten seconds."""

FAILED = LOGS / "bench-failed.log"
WORK = "import asyncio, email, http.client, json, unittest, xml.dom.minidom"

CONTROLS_ALONE = "cloud,capture,pulumi,up"
"""The parts of a verification that nothing but the controls on sovereignty needs."""

FIRST_FRAME = """
import json, sys
from classroom.verify.browsers.browser import Meeting
with Meeting(sys.argv[1]) as meeting:
    people = [meeting.start(), meeting.start()]
    print("ready", flush=True)
    for person, code in zip(people, json.load(sys.stdin), strict=True):
        person.join(code)
    print(min(person.sees(other) or 1e12 for person, other in (people, people[::-1])))
"""
"""Two browsers that are open, and join with the codes that they are then given; it ends with the time of the first frame."""


@dataclass(frozen=True)
class Figure:
    """One measured figure: its runs in the unit of `limit`; `work` is a unit of work in seconds, measured beside it."""

    name: str
    limit: float
    unit: str
    runs: tuple[float, ...]
    work: float

    @property
    def median(self) -> float:
        """The figure itself."""
        return statistics.median(self.runs)

    def row(self) -> str:
        """Return the figure's line of the table."""
        ratio = f"{self.median / self.work:.1f}" if self.unit == "s" else ""
        runs = ", ".join(f"{run:.1f}" for run in self.runs)
        held = "held" if self.median <= self.limit else "**missed**"
        return (
            f"| {self.name} | {self.limit:g} {self.unit} | {self.median:.1f} {self.unit} ({runs}) | {ratio} | {held} |"
        )


def work() -> float:
    """Return the seconds that a unit of work takes: ten starts of Python with a part of its library, one after the other.

    Starting programs is most of what the figures are made of; a plain sum runs as fast in hours in which this is slow.
    """
    begin = time.monotonic()
    for _ in range(10):
        subprocess.run([sys.executable, "-I", "-c", WORK], check=True)
    return time.monotonic() - begin


def beside(step: Callable[[], Result]) -> tuple[Result, float, float]:
    """Return what a step returns, and the shares of the processors' time meanwhile: in use, and taken by other machines.

    Those are machines of the same hypervisor; what they take is in use too.
    """

    def times() -> tuple[int, int, int]:
        numbers = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4], numbers[7]  # waiting for a disk is idle as well

    before = times()
    found = step()
    every, idle, stolen = (later - earlier for later, earlier in zip(times(), before, strict=True))
    return found, 1 - idle / every, stolen / every


def wait_until_idle() -> None:
    """Wait until nothing else runs; ClassroomError if that does not come about."""
    end, quiet = time.monotonic() + PATIENCE, 0
    while quiet < QUIET:
        _, share, _ = beside(lambda: time.sleep(5))
        quiet = quiet + 1 if share < IDLE else 0
        if time.monotonic() > end:
            raise ClassroomError(
                f"{share:.0%} of the processors are in use, and figures need below {IDLE:.0%}: end what runs"
            )
        if not quiet:
            say(f"waits for an idle machine ({share:.0%} in use) …")


def wait_until_alone() -> float:
    """Wait, for a while, until other machines take little beside a unit of work, and return the seconds that the last one took.

    An idle machine would not notice what they take.
    """
    end = time.monotonic() + PATIENCE
    while True:
        found, _, stolen = beside(work)
        if stolen <= STOLEN / 2 or time.monotonic() > end:
            return found
        say(f"waits while other machines take {stolen:.1%} of the processors' time beside a unit of work …")
        time.sleep(5)


def undisturbed(step: Callable[[], float]) -> float:
    """Return the figure of a run beside which other machines took little; the last of a few where none is such."""
    again = 0
    while True:
        begin = time.monotonic()
        found, _, stolen = beside(step)
        if stolen <= STOLEN or again >= (SHORT if time.monotonic() - begin <= 10 else AGAIN):
            return found
        say(f"{found:.1f}, while other machines took {stolen:.1%} of the processors' time: taken again")
        again += 1
        wait_until_alone()


def client(*argv: object) -> str:
    """Run a command as a client out there and return what it wrote; ClassroomError if it fails, which names all it wrote."""
    answer = stack.ask(argv)
    if answer.returncode:
        FAILED.parent.mkdir(parents=True, exist_ok=True)
        FAILED.write_text(answer.stdout + answer.stderr)
        raise ClassroomError(f"`{' '.join(map(str, argv))}` failed, {FAILED} has all it wrote: {answer.stderr[-1500:]}")
    return answer.stdout


def timed(*argv: object) -> float:
    """Return the seconds that a command takes as a client out there, the way there apart; ClassroomError if it fails."""
    script = 'exec 3>&2; TIMEFORMAT=%R; { time "$@" >&3 2>&3; } 2>&1'
    return float(client("bash", "-c", script, "bash", *argv).splitlines()[-1])


def down(*, wipe: bool) -> None:
    """End the rehearsal."""
    subprocess.run([stack.CLASSROOM, "rehearsal", "down", *(["--wipe"] if wipe else [])], check=True)


def memory() -> float:
    """Return the memory of all processes in the lab, in GiB (PSS: shared pages are divided among those who share them)."""
    holder = next(iter(lab.labs()))
    total, waiting = 0, [holder]
    while waiting:
        pid = waiting.pop()
        waiting += lab.children(pid)
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1]) if rollup else 0  # type: ignore[index]
    return total / 1024**2


def first_frame() -> float:
    """Return the seconds from `pulumi up` on an empty cloud to the first remote picture that a browser decodes.

    The browsers are open before, as those of a teacher and a pupil who wait for their class.
    """
    if stack.is_there():
        stack.destroy()
    stack.create("split")
    with subprocess.Popen(
        stack.command(["python", "-c", FIRST_FRAME, f"https://{DOMAIN}"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | stack.environment(),
    ) as browsers:
        assert browsers.stdout is not None
        if not browsers.stdout.readline():
            raise ClassroomError(f"the browsers did not start: {browsers.communicate()[1][-1500:]}")
        begin = time.time()
        stack.provision("split")
        classes = stack.output("classes")
        assert isinstance(classes, list)
        said, wrong = browsers.communicate(json.dumps([classes[0]["teacher_code"], classes[0]["pupil_code"]]))
    if browsers.returncode:
        raise ClassroomError(f"the browsers did not see each other: {wrong[-1500:]}")
    return float(said) - begin


def forced() -> float:
    """Return the seconds of a forced run of the roles, per host; ClassroomError if it changes anything."""
    said = client("classroom", "configure", "--stack", stack.NAME, "--force")
    found = re.findall(r"Ansible: successful after (\d+) s \((.*?)\)", said)
    if not found or set(re.findall(r"changed=(\d+)", found[-1][1])) != {"0"}:
        raise ClassroomError(f"the forced run changed something: {found or said[-500:]}")
    return int(found[-1][0]) / len(re.findall(r"changed=", found[-1][1]))


def measure() -> list[Figure]:
    """Take every figure, in the order in which the class needs them."""
    figures = []

    def take(name: str, limit: float, runs: int, step: Callable[[], float], unit: str = "s") -> None:
        wait_until_idle()
        unit_of_work = wait_until_alone()
        found = tuple(undisturbed(step) if unit == "s" else step() for _ in range(runs))
        figures.append(Figure(name, limit, unit, found, unit_of_work))
        say(figures[-1].row())

    def empty() -> float:
        down(wipe=True)
        return start_cloud()

    take("one-machine OpenStack from an empty database", 120, 1, empty)
    time.sleep(20)
    take("its memory without guests (PSS)", 3.7, 1, memory, "GiB")

    def warm() -> float:
        down(wipe=False)
        wait_until_idle()
        return start_cloud()

    take("one-machine OpenStack, warm", 60, 3, warm)
    take(
        "`pulumi up` from an empty cloud to the first remote frame, two machines, browsers open before",
        120,
        1,
        first_frame,
    )
    up = ("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes", "--stack", stack.NAME)
    take("no-change `pulumi up`", 3, 5, lambda: timed(*up))
    take("forced Ansible run with nothing to change, per host", 20, 3, forced)
    verify = ("classroom", "verify", "--stack", stack.NAME)
    take("`classroom verify` on two machines, with all controls", 150, 3, lambda: timed(*verify))
    bare = (*verify, "--without", CONTROLS_ALONE)
    take(f"the same without what only controls need ({CONTROLS_ALONE})", 120, 3, lambda: timed(*bare))
    down(wipe=True)
    return figures


def write(figures: list[Figure], stolen: float) -> None:
    """Write BENCHMARKS.md; `stolen` is the share of the processors' time that other machines took meanwhile."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    total = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPO, capture_output=True, text=True, check=True
    )
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; the median of the runs in brackets. The ratio is to a unit of work measured right before (ten starts",
        "of Python with a part of its library, one after the other), by which machines and hours compare.",
        "",
        f"- {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit.stdout.strip()}",
        f"- {processor[1] if processor else 'unknown processor'}, {os.cpu_count()} cores,"
        f" {int(total[1]) / 1024**2:.0f} GiB, kernel {os.uname().release}"
        if total
        else "",
        f"- a run beside which other machines took more than {STOLEN:.0%} of the processors' time was taken again, at most {AGAIN} times"
        f" (of ten seconds or less: {SHORT})",
        f"- unit of work: {statistics.median(f.work for f in figures):.2f} s (median); taken by other machines of the hypervisor:"
        f" {stolen:.1%} of the processors' time",
        "",
        "| figure | at most | measured | ratio | |",
        "|---|---|---|---|---|",
        *(figure.row() for figure in figures),
        "",
    ]
    (REPO / "BENCHMARKS.md").write_text("\n".join(lines))


def main() -> None:
    """Measure, write, and end with status 1 where a limit was missed."""
    # A shell's background job ignores interrupts, and so does all it starts: Pulumi would wait five seconds for each plugin to end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    figures, _, stolen = beside(measure)
    write(figures, stolen)
    missed = [figure.name for figure in figures if figure.median > figure.limit]
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()

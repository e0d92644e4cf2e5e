"""Figures of classes under load, for `rehearsal.bench`: joins, waiting pupils, a lecture. They need an open class and root."""

import contextlib
import json
import math
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classroom.common.errors import ClassroomError
from classroom.common.progress import say
from classroom.verify.browsers.browser import AUTHORITIES
from engine.build import build_load, toolchain
from rehearsal import stack

RATE, MINUTE, PEOPLE, SUBSCRIBERS = 133, 60, 600, 40
"""Joins a second (100,000 pupils of whom four fifths come within ten minutes), duration, pupils who wait, pupils of a lecture."""
PUPILS = 30
"""Pupils of a class; there are so many classes that those who come fill them."""
WARM, WATCHED, PAIRS = 5, 15, 3
"""Seconds before and during a measurement of a lecture; number of measurements with and without batches."""
PORTAL, NGINX, LIVEKIT = "portal.service", "nginx.service", "livekit.service"
BATCHES = "batch_io:"


def processes(unit: str) -> list[Path]:
    """Return the folders in /proc of a unit's processes in all guests; ClassroomError if there are none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            groups = (folder / "cgroup").read_text()
            if re.search(rf"^0::/sovereign-classroom/guest-.*/{re.escape(unit)}$", groups, re.M):
                found.append(folder)
        except OSError:
            continue
    if not found:
        raise ClassroomError(f"no process of the unit {unit} runs in a guest: is the class open?")
    return found


def processor_seconds(*units: str) -> float:
    """Return the processor time that the running processes of units have used."""
    ticks = 0
    for folder in (folder for unit in units for folder in processes(unit)):
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(unit: str) -> float:
    """Return the resident memory of a unit's processes in MiB."""
    sizes = [re.findall(r"^VmRSS:\s+(\d+)", (folder / "status").read_text(), re.M) for folder in processes(unit)]
    return sum(int(kilobytes) for found in sizes for kilobytes in found) / 1024


def people(kind: str) -> list[object]:
    """Return the command of `rehearsal.load_client`."""
    return ["python", "-m", "rehearsal.load_client", kind]


@contextlib.contextmanager
def client(command: list[object], **job: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a command in the outside network, with the job as first line of its standard input."""
    with subprocess.Popen(
        stack.command(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | stack.environment(),
    ) as process:
        send(process, json.dumps(job))
        yield process


def send(process: "subprocess.Popen[str]", line: str) -> None:
    """Write a line to the standard input of a client."""
    assert process.stdin
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return the next line of a client; ClassroomError if it ended."""
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise ClassroomError(f"the load generator ended with status {process.wait()}: read its message above")
    found: dict[str, Any] = json.loads(line)
    return found


def classes_for(people: int) -> dict[str, object]:
    """Return URL and codes of as many classes as so many people fill; each has room for more."""
    classes = stack.output("classes")
    assert isinstance(classes, list)
    last = classes[-(-people // PUPILS) :]
    return {
        "url": last[0]["url"],
        "codes": [one["pupil_code"] for one in last],
        "teacher_code": last[0]["teacher_code"],
    }


def joins() -> tuple[float, float]:
    """Let people join for a minute; return the 99th percentile of a join in milliseconds and the growth of the portal's memory.

    The growth is the share of the memory after a warm-up of a quarter of a minute. A join that failed counts as an endless one.
    """
    one = classes_for(RATE * MINUTE)
    command = ["sh", "-c", f'SSL_CERT_FILE="${AUTHORITIES}" exec "$0" joins', build_load(toolchain())]
    found = {}
    for seconds in (MINUTE // 4, MINUTE):
        before = resident(PORTAL)
        with client(command, **one, rate=RATE, seconds=seconds) as process:
            found = answer(process)
    if found["failed"]:
        say(f"of {RATE * MINUTE} joins failed: {found['failed']}")
    return (math.inf if found["failed"] else found["p99"]), resident(PORTAL) / before


def waiting() -> float:
    """Let pupils wait for their teacher; return the share of a core that portal and nginx use meanwhile."""
    with client(people("waiting"), **classes_for(PEOPLE), people=PEOPLE) as process:
        answer(process)
        time.sleep(WARM)
        before = processor_seconds(PORTAL, NGINX)
        time.sleep(MINUTE)
        used = processor_seconds(PORTAL, NGINX) - before
        process.communicate("\n")
    return used / MINUTE


def lecture() -> tuple[float, float]:
    """Hold a lecture with and without batches of packets, side by side; return the cores that LiveKit uses, as medians.

    ClassroomError if more than a hundredth of the packets is lost.
    """
    program = build_load(toolchain())
    used: dict[bool, list[float]] = {True: [], False: []}
    try:
        for batches in (True, False) * PAIRS:
            set_batches(batches)
            used[batches].append(_lecture(program))
    finally:
        set_batches(True)
    return statistics.median(used[True]), statistics.median(used[False])


def _lecture(program: Path) -> float:
    with client(people("lecture"), **classes_for(PUPILS), people=SUBSCRIBERS, program=str(program)) as process:

        def ask() -> dict[str, Any]:
            send(process, "")
            return answer(process)

        answer(process)
        time.sleep(WARM)
        ask()
        before = processor_seconds(LIVEKIT)
        time.sleep(WATCHED)
        seconds, found = processor_seconds(LIVEKIT) - before, ask()
        process.communicate()
    if found["lost"] > found["packets"] / 100 or not found["packets"]:
        raise ClassroomError(f"a lecture of {SUBSCRIBERS} lost {found['lost']} of {found['packets']} packets")
    return seconds / WATCHED


def _inits() -> Iterator[tuple[str, Path]]:
    """Return the first process of each PID namespace, with the namespace."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if re.search(r"^NSpid:.*\s1$", (folder / "status").read_text(), re.M):
                yield folder.name, (folder / "ns/pid").readlink()


def set_batches(wanted: bool) -> None:
    """Switch LiveKit's batches of packets on or off on the media machine, from outside the guest."""
    namespace = (processes(LIVEKIT)[0] / "ns/pid").readlink()
    init = next(name for name, found in _inits() if found == namespace)
    edit = rf"s/^( *)#?({BATCHES})/\1{'' if wanted else '#'}\2/"
    script = f"sed -Ei '{edit}' /etc/classroom/livekit.yaml && systemctl restart livekit"
    subprocess.run(["nsenter", "--target", init, "--all", "sh", "-c", script], check=True)
    time.sleep(WARM)

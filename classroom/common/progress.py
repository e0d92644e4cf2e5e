"""Report the progress of long commands: what runs and for how long."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from classroom.common.errors import ClassroomError

TICK = 10.0
"""Seconds between two progress lines."""


def say(text: str) -> None:
    """Print one line and flush it."""
    print(text, flush=True)


def run(
    label: str, argv: Sequence[object], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """Run `argv`, append its output to `log`, and print the seconds elapsed every TICK seconds.

    If the command fails, print the last lines of the log and raise ClassroomError.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    say(f"{label} …")
    with log.open("a") as out:
        out.write(f"$ {' '.join(map(str, argv))}\n")
        out.flush()
        process = subprocess.Popen(
            [str(a) for a in argv],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=dict(env) if env else None,
            cwd=cwd,
        )
        try:
            while True:
                try:
                    status = process.wait(TICK)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{label} … {time.monotonic() - start:.0f} s")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        print(tail, file=sys.stderr)
        raise ClassroomError(f"{label} failed with status {status}; see its output in {log}")
    say(f"{label}: done in {time.monotonic() - start:.0f} s")

"""Run the parts of the test run and compare their seconds with the budgets in budgets.toml.

`python -m tests.budget PART…` runs `make PART` for each part, and the lanes of "PART|PART,PART" side by side. It stops at the first
that fails, prints the table and ends with that part's exit status. CLASSROOM_TOOK adds parts that ran before, as in
"install=12 machine=3". With `--drills` it writes the outcome of the drills into drills.json instead, with the date and the commit
that they ran on.
"""

import datetime
import json
import os
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parent
DRILLS = TESTS / "drills.json"


def budgets() -> dict[str, float]:
    """Return the budget of each part in seconds."""
    found: dict[str, float] = tomllib.loads((TESTS / "budgets.toml").read_text())["seconds"]
    return found


def before(text: str) -> dict[str, float]:
    """Return the seconds of parts that ran before, from "part=seconds part=seconds"; ValueError if it has another form."""
    return {name: float(seconds) for name, _, seconds in (word.partition("=") for word in text.split())}


def report(took: dict[str, float], limits: dict[str, float], all_seconds: float, all_limit: float) -> Table:
    """Return the table of parts, with a mark where one is over its budget; a part without a budget is marked too.

    `all_seconds` and `all_limit` concern the whole run, in which parts run side by side.
    """
    table = Table("part", "seconds", "budget", "", title="test run")
    for name, seconds in took.items():
        limit = limits.get(name)
        mark = "no budget" if limit is None else ("OVER" if seconds > limit else "")
        table.add_row(name, f"{seconds:.0f}", "-" if limit is None else f"{limit:.0f}", mark)
    table.add_row("all", f"{all_seconds:.0f}", f"{all_limit:.0f}", "OVER" if all_seconds > all_limit else "")
    return table


def git(*words: str) -> str:
    """Return what git prints, without its last newline; empty where it fails."""
    answer = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=TESTS)
    return answer.stdout.strip()


def age(kept: dict[str, Any], now: datetime.datetime) -> str:
    """Return one sentence on the last drills: outcome, age in days and the number of commits since."""
    days = (now - datetime.datetime.fromisoformat(kept["date"])).days
    since = git("rev-list", "--count", f"{kept['commit']}..HEAD") or "an unknown number of"
    outcome = "passed" if kept["passed"] else "FAILED"
    return f"drills {outcome} {days} days ago in {kept['seconds']:.0f} s, on commit {kept['commit'][:9]}, {since} commits ago"


def lanes(word: str) -> list[list[str]]:
    """Return the parts of each lane of a word: "a|b,c" runs `a` beside `b` and, after `b`, `c`."""
    return [lane.split(",") for lane in word.split("|")]


def limit_of(words: list[str], limits: dict[str, float]) -> float:
    """Return the budget of words: lanes count as their longest one."""
    return sum(max(sum(limits.get(part, 0) for part in lane) for lane in lanes(word)) for word in words)


def _make(part: str, label: str) -> int:
    """Run `make` for a part and return its status; with a label, each line of its output begins with it."""
    command = ["make", "--no-print-directory", part]
    if not label:
        return subprocess.run(command, cwd=TESTS.parent, check=False).returncode
    with subprocess.Popen(
        command, cwd=TESTS.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout
        for line in process.stdout:
            print(f"{label} | {line}", end="", flush=True)
    return process.returncode


def run(words: list[str]) -> tuple[dict[str, float], int]:
    """Run `make` for each part and return their seconds and the status of the first that failed, or 0.

    Lanes of one word run side by side, and each line of their output begins with the part.
    """
    took: dict[str, float] = {}
    failed: list[int] = []

    def follow(lane: list[str], width: int) -> None:
        for part in lane:
            if failed:
                return
            start = time.monotonic()
            status = _make(part, part.rjust(width) if width else "")
            took[part] = time.monotonic() - start
            if status:
                failed.append(status)

    for word in words:
        parts = [part for lane in lanes(word) for part in lane]
        width = max(map(len, parts)) if len(lanes(word)) > 1 else 0
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda lane, width=width: follow(lane, width), lanes(word)))
        if failed:
            break
    return took, failed[0] if failed else 0


def main() -> int:
    """Run what the command line names."""
    words = sys.argv[1:]
    if "--drills" in words:
        commit = git("rev-parse", "HEAD")
        took, status = run([word for word in words if word != "--drills"])
        kept = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "commit": commit,
            "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
            "seconds": round(sum(took.values())),
            "passed": status == 0,
        }
        DRILLS.write_text(json.dumps(kept, indent=1) + "\n")
        return status
    took = before(os.environ.get("CLASSROOM_TOOK", ""))
    start, limits = time.monotonic(), budgets()
    now, status = run(words)
    seconds, limit = time.monotonic() - start + sum(took.values()), limit_of([*took, *words], limits)
    Console(width=100, highlight=False).print(report(took | now, limits, seconds, limit))
    print(
        age(json.loads(DRILLS.read_text()), datetime.datetime.now(datetime.UTC))
        if DRILLS.exists()
        else "drills: no result kept"
    )
    return status


if __name__ == "__main__":
    sys.exit(main())

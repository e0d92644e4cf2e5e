"""Run the parts of the test run one after the other and compare their seconds with the budgets in budgets.toml.

`python -m tests.budget PART…` runs `make PART` for each part, stops at the first that fails, prints the table and ends with
that part's exit status. CLASSROOM_TOOK adds parts that ran before, as in "install=12 machine=3". With `--drills` it writes
the outcome of the drills into drills.json instead, with the date and the commit that they ran on.
"""

import datetime
import json
import os
import subprocess
import sys
import time
import tomllib
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


def report(took: dict[str, float], limits: dict[str, float]) -> Table:
    """Return the table of parts, with a mark where one is over its budget; a part without a budget is marked too."""
    table = Table("part", "seconds", "budget", "", title="test run")
    for name, seconds in took.items():
        limit = limits.get(name)
        mark = "no budget" if limit is None else ("OVER" if seconds > limit else "")
        table.add_row(name, f"{seconds:.0f}", "-" if limit is None else f"{limit:.0f}", mark)
    total = sum(limits.get(name, 0) for name in took)
    table.add_row("all", f"{sum(took.values()):.0f}", f"{total:.0f}", "OVER" if sum(took.values()) > total else "")
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


def run(parts: list[str]) -> tuple[dict[str, float], int]:
    """Run `make` for each part and return their seconds and the status of the first that failed, or 0."""
    took: dict[str, float] = {}
    for part in parts:
        start = time.monotonic()
        status = subprocess.run(["make", "--no-print-directory", part], cwd=TESTS.parent, check=False).returncode
        took[part] = time.monotonic() - start
        if status:
            return took, status
    return took, 0


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
    now, status = run(words)
    Console(width=100, highlight=False).print(report(took | now, budgets()))
    print(
        age(json.loads(DRILLS.read_text()), datetime.datetime.now(datetime.UTC))
        if DRILLS.exists()
        else "drills: no result kept"
    )
    return status


if __name__ == "__main__":
    sys.exit(main())

"""Looks at an open class with the quick part of its verification, and lends an administrator's hand.

The browsers and the scan of all ports stay out: they look at the same faults for minutes. Run as a program, out there,
this file does the looking (`check`) and what an administrator does (`admin`).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from classroom.verify.deployment import Target
from classroom.verify.run import run
from tests.rehearsal.command import as_client

AREAS = ("every", "front", "media", "outside/test_page.py")
WITHOUT = frozenset({"inside"})


def look(inventory: Path, env: dict[str, str] | None = None) -> dict[str, str]:
    """Return the outcome of every test by its name; `env` goes before the member's own variables."""
    found: dict[str, str] = json.loads(_outside("check", inventory, env=env).stdout.splitlines()[-1])
    assert len(found) > 40
    return found


def administer(inventory: Path, machine: str, command: str) -> None:
    """Run a shell command as root on a machine, with an administrator's login."""
    _outside("admin", inventory, machine, command)


def red(outcomes: dict[str, str]) -> set[str]:
    """Return the tests that failed."""
    return {test for test, outcome in outcomes.items() if outcome == "failed"}


def _outside(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run this file as a program, as a client out there."""
    answer = as_client(sys.executable, "-m", "tests.rehearsal.quick_check", *words, env=env)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    return answer


def check(inventory: Path) -> dict[str, str]:
    """Run the tests of AREAS and return their outcomes by name."""
    with tempfile.TemporaryDirectory() as scratch:
        done, _ = run(Target.read(inventory), Path(scratch), WITHOUT, AREAS)
    for result in done.results:
        if result.outcome == "failed":
            print(result.message, file=sys.stderr)
    return {f"{result.area}/{result.test}": result.outcome for result in done.results}


def admin(inventory: Path, machine: str, command: str) -> int:
    """Run a shell command as root on a machine, with an administrator's login, and return its status."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Target.read(inventory)
        config, account = target.write_ssh(Path(scratch)), target.vars["classroom_admins"][0]["name"]
        argv = ["ssh", "-F", config, "-o", "ControlMaster=no", f"{account}@{machine}", "sudo", "-n", "sh", "-e"]
        return subprocess.run([str(a) for a in argv], input=command, text=True, check=False).returncode


if __name__ == "__main__":
    what, given, *rest = sys.argv[1:]
    if what == "admin":
        sys.exit(admin(Path(given), *rest))
    print(json.dumps(check(Path(given))))

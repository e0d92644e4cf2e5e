"""Runs the quick part of the verification on an open class, and commands with an administrator's login.

Browsers and the scan of all ports are left out: they would find the same faults, but take minutes. As a program on the outside
network, this file runs the verification (`check`) or an administrator's command (`admin`).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from classroom.verify.deployment import Deployment
from classroom.verify.run import run
from tests.rehearsal.command import as_client

AREAS = ("every", "front", "media", "outside/test_page.py")
WITHOUT = frozenset({"inside"})


def details(inventory: Path, env: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """Run the quick check on the outside network; return outcome and message of every test by its name.

    `env` precedes the member's own variables.
    """
    answer = json.loads(_run_outside("check", inventory, env=env).stdout.splitlines()[-1])
    found = {test: (outcome, message) for test, (outcome, message) in answer.items()}
    assert len(found) > 40
    return found


def run_as_admin(inventory: Path, machine: str, command: str) -> None:
    """Run a shell command as root on a machine, with an administrator's login."""
    _run_outside("admin", inventory, machine, command)


def failed(found: dict[str, str]) -> set[str]:
    """Return the names of the failed tests."""
    return {test for test, outcome in found.items() if outcome == "failed"}


def assert_sound(inventory: Path, env: dict[str, str] | None = None) -> dict[str, str]:
    """Assert that no test of the quick check fails; return the outcomes, and show the end of each failure's message otherwise."""
    found = details(inventory, env)
    failures = [f"{test}: …{message[-1500:]}" for test, (outcome, message) in found.items() if outcome == "failed"]
    assert not failures, "\n".join(failures)
    return {test: outcome for test, (outcome, _) in found.items()}


def _run_outside(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run this file as a program on the outside network."""
    answer = as_client(sys.executable, "-m", "tests.rehearsal.quick_check", *words, env=env)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    return answer


def check(inventory: Path) -> dict[str, tuple[str, str]]:
    """Run the tests of AREAS and return their outcomes and messages by name."""
    with tempfile.TemporaryDirectory() as scratch:
        done, _ = run(Deployment.read(inventory), Path(scratch), WITHOUT, AREAS)
    for result in done.results:
        if result.outcome == "failed":
            print(result.message, file=sys.stderr)
    return {f"{result.area}/{result.test}": (result.outcome, result.message) for result in done.results}


def admin(inventory: Path, machine: str, command: str) -> int:
    """Run a shell command as root on a machine, with an administrator's login, and return its status."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Deployment.read(inventory)
        config, account = target.write_ssh(Path(scratch)), target.vars["classroom_admins"][0]["name"]
        argv = ["ssh", "-F", config, "-o", "ControlMaster=no", f"{account}@{machine}", "sudo", "-n", "sh", "-e"]
        return subprocess.run([str(a) for a in argv], input=command, text=True, check=False).returncode


if __name__ == "__main__":
    what, given, *rest = sys.argv[1:]
    if what == "admin":
        sys.exit(admin(Path(given), *rest))
    print(json.dumps(check(Path(given))))

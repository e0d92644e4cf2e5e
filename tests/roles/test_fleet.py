"""Hosts for role tests start in seconds and leave nothing behind, stopped or killed."""

import contextlib
import glob
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from classroom.common.errors import WrongUseError
from rehearsal.lab import commands, control_groups
from tests.roles import host
from tests.roles.fleet import GROUP, STATES, Fleet

NAME = "leftovers"


def namespaces(processes: str) -> set[str]:
    """Return the namespaces of processes; `processes` is a name below /proc ("self") or a pattern."""
    found = set()
    # Not lsns or pathlib: both fail if a process ends meanwhile.
    for path in glob.glob(f"/proc/{processes}/ns/*"):  # noqa: PTH207
        with contextlib.suppress(OSError):
            found.add(str(Path(path).readlink()))
    return found


def traces() -> dict[str, set[str]]:
    """Return what a fleet could leave on the machine, by kind."""
    return {
        "mounts": {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"roles/{NAME}" in line},
        "groups": {str(group) for group in control_groups(GROUP + NAME)},
        "processes": {str(pid) for pid, words in commands().items() if f"roles/{NAME}" in " ".join(words)},
        "links": {line for line in Path("/proc/net/dev").read_text().splitlines() if "br0:" in line or "vb-" in line},
        "files": {str(p) for p in STATES.glob(NAME)},
    }


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_fleet_leaves_nothing_behind(end: str) -> None:
    before = traces()
    assert before["processes"] == before["groups"] == before["files"] == set()
    fleet = Fleet(NAME)
    fleet.start(["one"])
    try:
        assert traces() != before
        own = namespaces(str(fleet.pid())) - namespaces("self")
        assert {name.partition(":")[0] for name in own} >= {"mnt", "net", "pid", "ipc", "uts"}
        with fleet.network():
            answer = subprocess.run(
                ["ssh", "-F", str(fleet.ssh_config), "one", "sudo systemctl is-system-running --wait"],
                capture_output=True,
            )
            assert answer.stdout.strip() == b"running"
        if end == "killed":
            supervisor = int((fleet.state / "pid").read_text().split()[0])
            os.kill(supervisor, signal.SIGKILL)
            deadline = time.monotonic() + 5
            while own & namespaces("[0-9]*") and time.monotonic() < deadline:
                time.sleep(0.05)
            assert traces()["mounts"] == set()
    finally:
        fleet.stop()
    after = traces()
    # Killed processes may need a moment to exit.
    deadline = time.monotonic() + 5
    while (after != before or own & namespaces("[0-9]*")) and time.monotonic() < deadline:
        time.sleep(0.1)
        after = traces()
    assert after == before
    assert not own & namespaces("[0-9]*")


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(WrongUseError, match=r"ROLE: 'webb' .*base, firewall"):
        host.main(["run", "webb"])

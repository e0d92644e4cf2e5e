"""Hosts for role tests come in seconds and leave nothing behind, whatever ends them."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from classroom.errors import WrongUseError
from tests.roles import host
from tests.roles.fleet import CGROUPS, STATES, Fleet

NAME = "leftovers"


def traces() -> dict[str, set[str]]:
    """Return what of a fleet could be left on the machine."""
    groups = {str(p) for hierarchy in (CGROUPS, *CGROUPS.glob("*")) for p in hierarchy.glob("*") if p.is_dir()}
    processes = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"roles/{NAME}".encode() in path.read_bytes():
                processes.add(path.parent.name)
        except OSError:
            continue
    spaces = subprocess.run(
        ["lsns", "--noheadings", "--output", "NS,COMMAND"], capture_output=True, text=True, check=True
    )
    return {
        "mounts": {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"roles/{NAME}" in line},
        "groups": {g for g in groups if NAME in g},
        "processes": processes,
        "namespaces": {line for line in spaces.stdout.splitlines() if f"roles/{NAME}" in line},
        "links": {line for line in Path("/proc/net/dev").read_text().splitlines() if "br0:" in line or "vb-" in line},
        "files": {str(p) for p in STATES.glob(NAME)},
    }


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_nothing_is_left(end: str) -> None:
    before = traces()
    assert before["processes"] == before["groups"] == before["files"] == set()
    fleet = Fleet(NAME)
    fleet.start(["one"])
    try:
        assert traces() != before
        with fleet.network():
            said = subprocess.run(
                ["ssh", "-F", str(fleet.ssh_config), "one", "sudo systemctl is-system-running --wait"],
                capture_output=True,
            )
            assert said.stdout.strip() == b"running"
        if end == "killed":
            supervisor = int((fleet.state / "pid").read_text().split()[0])
            os.kill(supervisor, signal.SIGKILL)
            deadline = time.monotonic() + 5
            while traces()["namespaces"] != before["namespaces"] and time.monotonic() < deadline:
                time.sleep(0.05)
            assert traces()["mounts"] == set()
    finally:
        fleet.stop()
    after = traces()
    # Processes that were told to end may take a moment to be gone.
    deadline = time.monotonic() + 5
    while after != before and time.monotonic() < deadline:
        time.sleep(0.1)
        after = traces()
    assert after == before


def test_a_wrong_role_is_named() -> None:
    with pytest.raises(WrongUseError, match="there is no role 'webb'; choose one of base, firewall"):
        host.main(["run", "webb"])

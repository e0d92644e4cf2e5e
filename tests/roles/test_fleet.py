"""Hosts for role tests come in seconds and leave nothing behind, whatever ends them."""

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
    """Return the namespaces that processes hold, by /proc's names of them ("self", or a pattern)."""
    found = set()
    # Neither lsns nor pathlib: both fail where a process ends while they look.
    for path in glob.glob(f"/proc/{processes}/ns/*"):  # noqa: PTH207
        with contextlib.suppress(OSError):
            found.add(str(Path(path).readlink()))
    return found


def traces() -> dict[str, set[str]]:
    """Return what of a fleet could be left on the machine."""
    return {
        "mounts": {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"roles/{NAME}" in line},
        "groups": {str(group) for group in control_groups(GROUP + NAME)},
        "processes": {str(pid) for pid, words in commands().items() if f"roles/{NAME}" in " ".join(words)},
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
        own = namespaces(str(fleet.pid())) - namespaces("self")
        assert {name.partition(":")[0] for name in own} >= {"mnt", "net", "pid", "ipc", "uts"}
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
            while own & namespaces("[0-9]*") and time.monotonic() < deadline:
                time.sleep(0.05)
            assert traces()["mounts"] == set()
    finally:
        fleet.stop()
    after = traces()
    # Processes that were told to end may take a moment to be gone.
    deadline = time.monotonic() + 5
    while (after != before or own & namespaces("[0-9]*")) and time.monotonic() < deadline:
        time.sleep(0.1)
        after = traces()
    assert after == before
    assert not own & namespaces("[0-9]*")


def test_a_wrong_role_is_named() -> None:
    with pytest.raises(WrongUseError, match="there is no role 'webb'; choose one of base, firewall"):
        host.main(["run", "webb"])

"""Detects what a rehearsal could leave on the machine."""

import subprocess
from pathlib import Path

from rehearsal.lab import GROUP, commands, control_groups


def _lines(*argv: str) -> set[str]:
    return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines())


def traces() -> dict[str, set[str]]:
    """Return mounts, network namespaces, loop devices, bridges and links, control groups, and the lab's processes."""
    processes = {" ".join(words) for words in commands().values()}
    own = ("rehearsal/inside", "/opt/openstack", "apt-cacher-ng")
    return {
        "mounts": {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "namespaces": _lines("ip", "netns", "list"),
        "loop devices": _lines("losetup", "-a"),
        "links": {line.split(": ")[1].partition("@")[0] for line in _lines("ip", "-o", "link")},
        "control groups": {str(p) for p in control_groups(f"{GROUP}*")},
        "processes": {command for command in processes if any(part in command for part in own)},
    }


def left_over(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what exists now and did not exist before, by kind."""
    now = traces()
    return {kind: now[kind] - before[kind] for kind in now if now[kind] - before[kind]}

"""Manages the lab's namespaces: starts them, runs commands in them, stops and cleans them up.

The lab has its own cgroup, network, mount, PID, UTS and IPC namespaces. When its first process is killed, everything in
the lab ends. Clients use the machine's root file system and the network namespace of their client.
"""

import contextlib
import fcntl
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, SYSTEM_PROGRAMS
from rehearsal.folders import CLOUD, HERE, LOGS, PACKAGES, STATE

GROUP = "sovereign-classroom"
CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = ["--cgroup", "--net", "--mount", "--uts", "--pid", "--ipc"]
MEMORY_GIB, DISK_GIB = 8, 8


def check_root() -> None:
    """Raise ClassroomError unless the user is root."""
    if os.geteuid() != 0:
        raise ClassroomError("the rehearsal creates namespaces and mounts: run it as root")


def check_machine() -> None:
    """Raise ClassroomError with the reason if the rehearsal cannot run on this machine."""
    check_root()
    systems = Path("/proc/filesystems").read_text()
    for system in ("overlay", "cgroup2", "ext4"):
        if not any(line.split()[-1] == system for line in systems.splitlines() if line.split()):
            raise ClassroomError(
                f"this kernel lacks the {system} file system, which the rehearsal needs: use a kernel with {system}"
            )
    available = next(
        int(line.split()[1]) / 1024**2
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvail")
    )
    if available < MEMORY_GIB:
        raise ClassroomError(
            f"memory: {available:.1f} GiB available, the rehearsal needs {MEMORY_GIB} GiB: free some memory"
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free / 1024**3
    if free < DISK_GIB:
        raise ClassroomError(
            f"disk space: {free:.1f} GiB free under {CACHE}, the rehearsal needs {DISK_GIB} GiB:"
            " free some space, or set CLASSROOM_CACHE to another folder"
        )


def commands() -> dict[int, list[str]]:
    """Return the command line of each process of the machine by PID; skip processes that end meanwhile."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found[int(path.parent.name)] = path.read_bytes().decode(errors="replace").split("\0")
    return found


def labs() -> dict[int, Path]:
    """Return the running labs of this machine: PID of the `unshare` process that started each, and its cloud folder.

    Reads the process list instead of a PID file, so that an interrupted start is found too.
    """
    found = {}
    for pid, argv in commands().items():
        script = next((n for n, word in enumerate(argv) if word.endswith("/rehearsal/inside/init.sh")), None)
        if argv[0] == "unshare" and script is not None and len(argv) > script + 2:
            found[pid] = Path(argv[script + 2])
    return found


def children(pid: int) -> list[int]:
    """Return the PIDs of the child processes of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _unshare_process() -> int | None:
    """Return the PID of the `unshare` process of this cache's lab, or None; ClassroomError if another cache's lab runs."""
    found = labs()
    for pid, cloud in found.items():
        if cloud == CLOUD:
            return pid
    for cloud in found.values():
        raise ClassroomError(
            f"another rehearsal runs on this machine (state: {cloud.parent}): stop it with"
            f" `CLASSROOM_CACHE={cloud.parent.parent} make rehearsal-down`"
        )
    return None


def running() -> int | None:
    """Return the PID of the first process of this cache's lab, or None if the lab is not running.

    Raises ClassroomError if a lab of another cache runs: a machine can run only one.
    """
    parent = _unshare_process()
    return next(iter(children(parent)), None) if parent else None


def _controllers() -> list[str]:
    names = [line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    return [name for name in names if name and "=" not in name]


def _join(lines: Sequence[str], *, below: str = "") -> None:
    """Move the calling process into the control groups of `lines` (format of /proc/PID/cgroup); create missing groups."""
    for line in lines:
        _, controller, path = line.split(":", 2)
        folder = CGROUPS / (controller.removeprefix("name=") or "unified")
        if not folder.is_dir():
            folder = CGROUPS  # the machine has only cgroup v2
        group = folder / path.strip().lstrip("/") / below
        group.mkdir(parents=True, exist_ok=True)
        if controller == "cpuset":
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not (group / name).read_text().strip():
                    (group / name).write_text((group.parent / name).read_text())
        (group / "cgroup.procs").write_text(str(os.getpid()))


def start(tools: Path) -> int:
    """Start the lab on the tools root if it is not running; return the PID of its first process.

    Raises ClassroomError if the machine lacks something or the namespaces do not start.
    """
    pid = running()
    if pid:
        return pid
    check_machine()
    clean()
    for folder in (CLOUD / "root", PACKAGES, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)
    (CLOUD / "ready").unlink(missing_ok=True)
    own = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if f"/{GROUP}" not in line]
    unshare = ["unshare", *NAMESPACES, "--fork", "--mount-proc", "--propagation", "private", "--"]
    arguments = (tools, CLOUD, HERE, PACKAGES, " ".join(_controllers()))
    with (LOGS / "lab.log").open("w") as log:
        parent = subprocess.Popen(
            [*unshare, "bash", *map(str, (HERE / "inside/init.sh", *arguments))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: _join(own, below=GROUP),
        )
    end = time.monotonic() + 20
    while not (CLOUD / "ready").exists():
        if parent.poll() is not None or time.monotonic() > end:
            stop()
            raise ClassroomError(
                f"the lab's namespaces did not start, see {LOGS / 'lab.log'}: {(LOGS / 'lab.log').read_text().strip()[-400:]}"
            )
        time.sleep(0.05)
    return _pid()


def _pid() -> int:
    pid = running()
    if pid is None:
        raise ClassroomError("no rehearsal is running: start it with `make rehearsal` or `classroom rehearsal up`")
    return pid


def _enter(argv: Sequence[object], flags: Sequence[str], env: Mapping[str, str]) -> dict[str, object]:
    pid = _pid()
    groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    command = ["nsenter", "--target", str(pid), *flags, "--", *map(str, argv)]
    return {"args": command, "env": dict(env), "preexec_fn": lambda: _join(groups)}


INSIDE_PATH = f"/opt/openstack/bin:/usr/local/sbin:/usr/local/bin:{SYSTEM_PROGRAMS}"


def inside(argv: Sequence[object], env: Mapping[str, str], *, machine_network: bool = False) -> dict[str, object]:
    """Return the arguments for subprocess that run `argv` inside the lab, in the tools root.

    `machine_network` keeps the machine's network, which only the package proxy needs, to reach a mirror.
    """
    flags = ["--mount", "--uts", "--ipc", "--pid", "--cgroup", *([] if machine_network else ["--net"]), "--wdns=/lab"]
    return _enter(
        argv, flags, {"PATH": INSIDE_PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore", **env}
    )


def outside(argv: Sequence[object], env: Mapping[str, str], client: str = "client") -> dict[str, object]:
    """Return the arguments for subprocess that run `argv` as a client: its network, the machine's root file system.

    `client` names the client's network namespace. Raises ClassroomError if it does not exist.
    """
    pid = _pid()
    clients = Path(f"/proc/{pid}/root/run/netns")
    existing = sorted(p.name for p in clients.iterdir() if not p.name.startswith(("qrouter-", "qdhcp-")))
    if client not in existing:
        raise ClassroomError(
            f"--client: '{client}' does not exist on the outside network; choose one of: {', '.join(existing)}"
        )
    # When the caller is killed, the command ends too, also in the lab's PID namespace.
    end_with_parent = ["setpriv", "--pdeathsig", "TERM", "--"]
    script = ["unshare", "--mount", "--propagation", "private", "--", "bash", HERE / "client.sh", CLOUD / "outside"]
    found = _enter([*end_with_parent, *script, *argv], ["--pid", "--cgroup", "--ipc", f"--net={clients / client}"], env)
    command = found["args"]
    assert isinstance(command, list)
    return found | {"args": [*end_with_parent, *command]}


def stop() -> None:
    """Stop the lab or an interrupted start with all its processes; keep disks and databases."""
    parent = _unshare_process()
    if parent:
        # Killing the first process ends its PID namespace; the parent then exits by itself.
        first = children(parent)
        for pid in [*first, *([] if first else [parent])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while parent in labs() and time.monotonic() < end:
            time.sleep(0.05)
    clean()


def _own_loop_devices() -> list[str]:
    """Return the loop devices of this cloud's disks, matched by inode, as paths differ inside the lab."""
    listing = subprocess.run(
        ["losetup", "--list", "--json", "--output", "NAME,BACK-FILE,BACK-INO,BACK-MAJ:MIN"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    disks = set()
    for path in (CLOUD / "nova" / "instances").glob("*/disk*"):
        about = path.stat()
        disks.add((f"{os.major(about.st_dev)}:{os.minor(about.st_dev)}", about.st_ino))
    devices = json.loads(listing)["loopdevices"] if listing.strip() else []
    return [
        device["name"]
        for device in devices
        if (device["back-maj:min"].strip(), int(device["back-ino"] or 0)) in disks
        # a machine whose deletion was interrupted when the lab ended
        or re.fullmatch(r"/lab/nova/instances/.* \(deleted\)", device["back-file"] or "")
    ]


def control_groups(name: str, top: Path | None = None) -> list[Path]:
    """Return the control groups whose name matches a shell pattern, in all hierarchies or below `top`, parents first.

    Groups that disappear meanwhile are skipped; pathlib's `rglob` would raise.
    """
    walk = os.walk(top or CGROUPS)
    return sorted(Path(here, group) for here, groups, _ in walk for group in fnmatch.filter(groups, name))


def end_groups(name: str) -> None:
    """Remove the control groups of a name and their subgroups; wait up to 10 s for killed processes to exit."""
    deadline = time.monotonic() + 10
    while (groups := control_groups(name)) and time.monotonic() < deadline:
        for group in groups:
            for folder in [*reversed(control_groups("*", group)), group]:
                with contextlib.suppress(OSError):
                    folder.rmdir()
        time.sleep(0.02)


def clean() -> None:
    """Remove what a stopped lab leaves on the machine: loop devices, control groups, mounts."""
    for device in _own_loop_devices():
        subprocess.run(["losetup", "-d", device], check=False)
    end_groups(GROUP)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        if point.startswith(f"{CLOUD}/"):
            subprocess.run(["umount", "-l", point], check=False)


class RehearsalLock:
    """Locks the rehearsal's state for a command that starts, changes or stops it. Use it in a `with`."""

    def __enter__(self) -> "RehearsalLock":
        """Take the lock; ClassroomError if another command has it."""
        STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = (STATE / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ClassroomError(
                "another `classroom rehearsal` command is running: wait until it ends, or stop it"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        self._file.close()

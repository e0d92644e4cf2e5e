"""The lab's namespaces: start them, run something in them, end them without a trace.

The lab has its own cgroup, network, mount, PID, UTS and IPC namespaces. Its first process holds all of it: when that is
killed, everything in the lab ends. Clients use the machine's own root file system, in the client's network.
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
    """Raise ClassroomError for an ordinary user."""
    if os.geteuid() != 0:
        raise ClassroomError("the rehearsal makes namespaces and mounts: run it as root")


def check_machine() -> None:
    """Raise ClassroomError, naming the reason, where the rehearsal cannot run."""
    check_root()
    systems = Path("/proc/filesystems").read_text()
    for system in ("overlay", "cgroup2", "ext4"):
        if not any(line.split()[-1] == system for line in systems.splitlines() if line.split()):
            raise ClassroomError(
                f"this kernel has no {system} file system, which the rehearsal needs: use a kernel that has it"
            )
    available = next(
        int(line.split()[1]) / 1024**2
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvail")
    )
    if available < MEMORY_GIB:
        raise ClassroomError(
            f"{available:.1f} GiB of memory are available, and the rehearsal needs {MEMORY_GIB}: free some"
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free / 1024**3
    if free < DISK_GIB:
        raise ClassroomError(
            f"{free:.1f} GiB are free under {CACHE}, and the rehearsal needs {DISK_GIB}:"
            " free some, or set CLASSROOM_CACHE"
        )


def commands() -> dict[int, list[str]]:
    """Return the command lines of the machine's processes; those that end meanwhile are passed over."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found[int(path.parent.name)] = path.read_bytes().decode(errors="replace").split("\0")
    return found


def labs() -> dict[int, Path]:
    """Return every lab on this machine: the process that holds its namespaces' first process, and its cloud's folder.

    The processes themselves tell, not a file beside them: a start that was killed half-way is found too.
    """
    found = {}
    for pid, argv in commands().items():
        script = next((n for n, word in enumerate(argv) if word.endswith("/rehearsal/inside/init.sh")), None)
        if argv[0] == "unshare" and script is not None and len(argv) > script + 2:
            found[pid] = Path(argv[script + 2])
    return found


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _holder() -> int | None:
    """Return the process that holds this cache's lab, or None; ClassroomError when a lab of another cache runs."""
    found = labs()
    for holder, cloud in found.items():
        if cloud == CLOUD:
            return holder
    for cloud in found.values():
        raise ClassroomError(
            f"another rehearsal runs on this machine (its state: {cloud.parent}): end it with"
            f" `CLASSROOM_CACHE={cloud.parent.parent} make rehearsal-down`"
        )
    return None


def running() -> int | None:
    """Return the first process of this cache's lab, or None if it does not run.

    Raises ClassroomError when a lab of another cache runs on this machine: there is place for one.
    """
    holder = _holder()
    return next(iter(children(holder)), None) if holder else None


def _controllers() -> list[str]:
    names = [line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    return [name for name in names if name and "=" not in name]


def _join(lines: Sequence[str], *, below: str = "") -> None:
    """Put the calling process into the groups of `lines` (as /proc/PID/cgroup shows them), made if they are missing."""
    for line in lines:
        _, controller, path = line.split(":", 2)
        folder = CGROUPS / (controller.removeprefix("name=") or "unified")
        if not folder.is_dir():
            folder = CGROUPS  # a machine with cgroup v2 alone
        group = folder / path.strip().lstrip("/") / below
        group.mkdir(parents=True, exist_ok=True)
        if controller == "cpuset":
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not (group / name).read_text().strip():
                    (group / name).write_text((group.parent / name).read_text())
        (group / "cgroup.procs").write_text(str(os.getpid()))


def start(tools: Path) -> int:
    """Start the lab's namespaces over the tools root, and return its first process; nothing is done if it runs."""
    there = running()
    if there:
        return there
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
                f"the lab's namespaces did not come up: {(LOGS / 'lab.log').read_text().strip()[-400:]}"
            )
        time.sleep(0.05)
    return _pid()


def _pid() -> int:
    pid = running()
    if pid is None:
        raise ClassroomError("no rehearsal runs: start it with `make rehearsal` or `classroom rehearsal up`")
    return pid


def _enter(argv: Sequence[object], flags: Sequence[str], env: Mapping[str, str]) -> dict[str, object]:
    pid = _pid()
    groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    command = ["nsenter", "--target", str(pid), *flags, "--", *map(str, argv)]
    return {"args": command, "env": dict(env), "preexec_fn": lambda: _join(groups)}


INSIDE_PATH = f"/opt/openstack/bin:/usr/local/sbin:/usr/local/bin:{SYSTEM_PROGRAMS}"


def inside(argv: Sequence[object], env: Mapping[str, str], *, machine_network: bool = False) -> dict[str, object]:
    """Return the arguments for subprocess to run `argv` inside the lab, in the tools root.

    With `machine_network` it keeps the machine's own network: for the package proxy alone, which has to reach a mirror.
    """
    flags = ["--mount", "--uts", "--ipc", "--pid", "--cgroup", *([] if machine_network else ["--net"]), "--wdns=/lab"]
    return _enter(
        argv, flags, {"PATH": INSIDE_PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore", **env}
    )


def outside(argv: Sequence[object], env: Mapping[str, str], client: str = "client") -> dict[str, object]:
    """Return the arguments for subprocess to run `argv` as a client: its network, the machine's root file system.

    `client` names the client's network namespace. Raises ClassroomError if there is no such client.
    """
    pid = _pid()
    clients = Path(f"/proc/{pid}/root/run/netns")
    there = sorted(p.name for p in clients.iterdir() if not p.name.startswith(("qrouter-", "qdhcp-")))
    if client not in there:
        raise ClassroomError(f"no client '{client}' in the outside; there are: {', '.join(there)}")
    # Who ends the command's caller ends the command, in the lab's process namespace too.
    mortal = ["setpriv", "--pdeathsig", "TERM", "--"]
    script = ["unshare", "--mount", "--propagation", "private", "--", "bash", HERE / "client.sh", CLOUD / "outside"]
    found = _enter([*mortal, *script, *argv], ["--pid", "--cgroup", "--ipc", f"--net={clients / client}"], env)
    command = found["args"]
    assert isinstance(command, list)
    return found | {"args": [*mortal, *command]}


def stop() -> None:
    """End the lab and all that is in it, a start that was interrupted too; disks and databases stay."""
    holder = _holder()
    if holder:
        # The first process takes its whole namespace with it, and its holder then ends by itself.
        first = children(holder)
        for pid in [*first, *([] if first else [holder])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while holder in labs() and time.monotonic() < end:
            time.sleep(0.05)
    clean()


def _own_loop_devices() -> list[str]:
    """Return the loop devices of this cloud's disks, told by file number: the lab knew them by another name."""
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
        # a machine that was being deleted when the lab ended
        or re.fullmatch(r"/lab/nova/instances/.* \(deleted\)", device["back-file"] or "")
    ]


def control_groups(name: str, top: Path | None = None) -> list[Path]:
    """Return the control groups of a name (it may be a shell pattern), in all hierarchies or below one group, the upper first.

    Others may go while one looks, and are passed over; pathlib's own search fails then.
    """
    walk = os.walk(top or CGROUPS)
    return sorted(Path(here, group) for here, groups, _ in walk for group in fnmatch.filter(groups, name))


def end_groups(name: str) -> None:
    """Remove the control groups of a name, and those below; processes that have just been killed may need a moment to go."""
    deadline = time.monotonic() + 10
    while (groups := control_groups(name)) and time.monotonic() < deadline:
        for group in groups:
            for folder in [*reversed(control_groups("*", group)), group]:
                with contextlib.suppress(OSError):
                    folder.rmdir()
        time.sleep(0.02)


def clean() -> None:
    """Take away what a lab that ended leaves on the machine: loop devices, cgroups, mounts."""
    for device in _own_loop_devices():
        subprocess.run(["losetup", "-d", device], check=False)
    end_groups(GROUP)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        if point.startswith(f"{CLOUD}/"):
            subprocess.run(["umount", "-l", point], check=False)


class OnlyOne:
    """Holds the machine's one place for a command that starts, changes or ends a rehearsal."""

    def __enter__(self) -> "OnlyOne":
        """Take the place; ClassroomError if another command has it."""
        STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = (STATE / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ClassroomError("another `classroom rehearsal` command is at work: wait for it, or end it") from None
        return self

    def __exit__(self, *_: object) -> None:
        """Give the place back."""
        self._file.close()

"""Runs hosts of the guest system under systemd-nspawn, in their own namespaces: started in seconds, removed completely.

A fleet is a set of hosts on one bridge, with documentation addresses and no route to the internet; the services that they use
are on the same bridge. Each host is an overlay on the guest image's root file system. `python -m tests.roles.fleet STATE` is the
fleet's supervisor; all other processes are its children and end with it.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from classroom.clients import ssh_options
from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, REPO, SYSTEM_PROGRAMS
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import port_number
from rehearsal.lab import CGROUPS, end_groups
from tests.roles import outside, packages

STATES = CACHE / "roles"
GROUP = "classroom-roles-"
"""Prefix of a fleet's control groups, followed by its name."""
CLIENT4, CLIENT6 = "198.51.100.7", "2001:db8:c::7"  # addresses of a class's participants
ADMINISTRATOR = "ada"
"""First administrator of the plays; has the same key as the image's account."""
OUTSIDE = sorted({a for both in outside.NAMES.values() for a in both} | {outside.DNS4, outside.DNS6})
BOOT_SECONDS = 60
_MACHINE = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
"""The network in which this process started."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host of a fleet, with its addresses."""

    name: str
    address4: str
    address6: str


def _roots() -> tuple[Path, Path]:
    """Return the tools root, which contains systemd-nspawn, and the guest's root file system; build them if missing."""
    from rehearsal import rootfs

    return rootfs.build_tools(), rootfs.build_guest().parent / "rootfs"


class Fleet:
    """Hosts by name, their SSH settings, and access to their network."""

    def __init__(self, name: str) -> None:
        """Create the object for a fleet, running or not; its state is below the cache."""
        self.state = STATES / name
        self.ssh_config = self.state / "ssh_config"
        # Socket paths must be short, and the path of the cache may be long.
        self.sockets = Path("/run/classroom-roles") / sha256(str(self.state).encode()).hexdigest()[:8]
        self._locked: set[str] = set()

    @property
    def hosts(self) -> dict[str, Host]:
        """Return the hosts by name; empty if the fleet was never started."""
        spec = self.state / "hosts.json"
        return {h["name"]: Host(**h) for h in json.loads(spec.read_text())} if spec.exists() else {}

    def pid(self) -> int:
        """Return the PID of the first process in the fleet's namespaces, or 0 if the fleet is not running."""
        try:
            supervisor, inner = map(int, (self.state / "pid").read_text().split())
            command = Path(f"/proc/{supervisor}/cmdline").read_bytes()
        except (OSError, ValueError):
            return 0
        return inner if str(self.state).encode() in command else 0

    def start(self, names: Sequence[str]) -> None:
        """Start the hosts `names` and wait until SSH answers on each.

        Raises ClassroomError with the reason if a host does not start, and stops the fleet.
        """
        if os.geteuid() != 0:
            raise ClassroomError("role tests create systemd-nspawn hosts and namespaces: run them as root")
        self.stop()
        tools, guest = _roots()
        self.state.mkdir(parents=True)
        self.state.chmod(0o700)
        self.sockets.mkdir(parents=True, mode=0o700)
        hosts = [
            Host(name=name, address4=f"203.0.113.{number}", address6=f"2001:db8:30::{number}")
            for number, name in enumerate(names, 10)
        ]
        (self.state / "hosts.json").write_text(json.dumps([vars(h) for h in hosts]))
        (self.state / "roots.json").write_text(json.dumps({"tools": str(tools), "guest": str(guest)}))
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "role-tests", "-f"]
        subprocess.run([*keygen, str(self.state / "key")], check=True)
        known = []
        for host in hosts:
            subprocess.run([*keygen, str(self.state / f"{host.name}.hostkey")], check=True)
            public = " ".join((self.state / f"{host.name}.hostkey.pub").read_text().split()[:2])
            known += [f"{host.name},{host.address4},{host.address6} {public}"]
        (self.state / "known_hosts").write_text("\n".join(known) + "\n")
        self.ssh_config.write_text(
            "".join(f"Host {h.name} {h.address4}\n  HostName {h.address4}\n" for h in hosts)
            + f"Host *\n  User {IMAGE_ACCOUNT}\n  IdentityFile {self.state}/key\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            + ssh_options.config_lines(ssh_options.known_hosts_alone(self.state / "known_hosts"))
            + f"  ControlMaster auto\n  ControlPersist 30s\n  ControlPath {self.sockets}/%r@%n\n  LogLevel ERROR\n"
        )
        log = (self.state / "log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.roles.fleet", str(self.state)],
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + BOOT_SECONDS
        while not (self.state / "ready").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (self.state / "log").read_text(errors="replace")[-2000:]
                self.stop()
                raise ClassroomError(f"the hosts {', '.join(names)} did not start within {BOOT_SECONDS} s:\n{tail}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the fleet if it is running, and delete its state."""
        for control in self.sockets.glob("*"):
            subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={control}", "host"], capture_output=True)
        with contextlib.suppress(OSError, ValueError):
            if self.pid():
                supervisor = int((self.state / "pid").read_text().split()[0])
                os.kill(supervisor, signal.SIGTERM)
                deadline = time.monotonic() + 20
                while Path(f"/proc/{supervisor}").exists() and time.monotonic() < deadline:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(supervisor, os.WNOHANG)
                    time.sleep(0.02)
        end_groups(GROUP + self.state.name)
        if self.state.exists():
            shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)
        for folder in (STATES, self.sockets.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def account(self, name: str) -> str:
        """Return the account with sudo on a host: the image's, or the first administrator after the former is locked.

        The caller must be in the fleet's network.
        """
        if name not in self._locked and not _logs_in(self.ssh_config, name):
            self._locked.add(name)
        return ADMINISTRATOR if name in self._locked else IMAGE_ACCOUNT

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Move this thread, and the processes that it starts, into the hosts' network for the duration of the context."""
        before = os.open(f"/proc/{os.getpid()}/ns/net", os.O_RDONLY)
        packages.enter_network(self.pid())
        try:
            yield
        finally:
            packages.enter_namespace(before)
            os.close(before)


@contextlib.contextmanager
def machine_network() -> Iterator[None]:
    """Move this thread, and what it starts, out of a fleet's network into the machine's for the duration of the context."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    packages.enter_namespace(_MACHINE)
    try:
        yield
    finally:
        packages.enter_namespace(before)
        os.close(before)


def _logs_in(ssh_config: Path, name: str) -> bool:
    argv = ["ssh", "-F", str(ssh_config), "-o", "BatchMode=yes", name, "true"]
    return not subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def _run(*argv: object) -> None:
    subprocess.run([str(a) for a in argv], check=True, stdin=subprocess.DEVNULL)


def network_text(host: Host) -> str:
    """Return the network settings of a host."""
    return (
        f"[Match]\nName=host0\n[Network]\nAddress={host.address4}/24\nAddress={host.address6}/64\nDNS={outside.DNS4}\n"
        "Gateway=203.0.113.1\nGateway=2001:db8:30::1\nIPv6AcceptRA=no\nLinkLocalAddressing=ipv6\n[IPv6AcceptRA]\n"
    )


def _prepare(root: Path, host: Host, state: Path) -> None:
    """Configure a host as the cloud and cloud-init would: addresses, name, first login with its key, host key."""
    (root / "etc/systemd/network/00-fleet.network").write_text(network_text(host))
    (root / "etc/hostname").write_text(host.name + "\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost\n")
    (root / "etc/cloud/cloud-init.disabled").touch()
    (root / "etc/ssh/ssh_host_ed25519_key").write_bytes((state / f"{host.name}.hostkey").read_bytes())
    (root / "etc/ssh/ssh_host_ed25519_key").chmod(0o600)
    (root / "etc/ssh/ssh_host_ed25519_key.pub").write_bytes((state / f"{host.name}.hostkey.pub").read_bytes())
    _run("chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", "--groups", "adm,sudo", IMAGE_ACCOUNT)
    rights = root / "etc/sudoers.d/90-cloud-init-users"
    rights.write_text(f"{IMAGE_ACCOUNT} ALL=(ALL) NOPASSWD:ALL\n")
    rights.chmod(0o440)
    home = root / "home" / IMAGE_ACCOUNT
    keys = home / ".ssh"
    keys.mkdir(mode=0o700)
    (keys / "authorized_keys").write_bytes((state / "key.pub").read_bytes())
    owner = home.stat()
    for path in (keys, keys / "authorized_keys"):
        os.chown(path, owner.st_uid, owner.st_gid)


def _join_cgroup(name: str, host: str) -> None:
    """Move this process into a new control group in every hierarchy that systemd-nspawn writes to."""
    for hierarchy in ("unified", "systemd", "."):
        top = CGROUPS / hierarchy
        if (top / "cgroup.procs").exists():
            group = top / f"{GROUP}{name}" / host
            group.mkdir(parents=True, exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))


def _inner(state: Path) -> None:
    """Run as the first process of the fleet's namespaces: create mounts, bridge and hosts, then wait for their end."""
    spec = json.loads((state / "roots.json").read_text())
    tools, guest = Path(spec["tools"]), Path(spec["guest"])
    hosts = list(Fleet(state.name).hosts.values())
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
    for address in ("203.0.113.1/24", f"{CLIENT4}/24", *(f"{a}/32" for a in OUTSIDE if ":" not in a)):
        _run("ip", "address", "add", address, "dev", "br0")
    for address in ("2001:db8:30::1/64", f"{CLIENT6}/64", *(f"{a}/128" for a in OUTSIDE if ":" in a)):
        _run("ip", "-6", "address", "add", address, "dev", "br0", "nodad")
    _run("ip", "link", "set", "br0", "up")
    (state / "network").touch()
    _run("mount", "--bind", tools, tools)
    for name in ("proc", "sys", "dev"):
        _run("mount", "--rbind", f"/{name}", tools / name)
    for name in ("run", "mnt", "tmp"):
        _run("mount", "-t", "tmpfs", "tmpfs", tools / name)
    # systemd-nspawn derives MAC addresses from the machine ID.
    (state / "machine-id").write_text("5" * 32 + "\n")
    _run("mount", "--bind", state / "machine-id", tools / "etc/machine-id")
    processes = []
    for host in hosts:
        root = tools / "mnt" / host.name
        root.mkdir()
        own = state / "disks" / host.name
        for part in ("upper", "work"):
            (own / part).mkdir(parents=True)
        layers = f"lowerdir={guest},upperdir={own}/upper,workdir={own}/work"
        _run("mount", "-t", "overlay", "overlay", "-o", layers, root)
        _prepare(root, host, state)
        log = (state / f"{host.name}.log").open("w")
        options = [
            "--boot",
            "--register=no",
            "--keep-unit",
            "--network-bridge=br0",
            "--console=pipe",
            "--resolv-conf=off",
        ]
        options += ["--timezone=off", "--link-journal=no", f"--machine={host.name}", f"--directory=/mnt/{host.name}"]
        inside = 'cd "$0" && pivot_root . . && umount -l . && exec systemd-nspawn "$@"'
        process = subprocess.Popen(
            # Not chroot: the kernel refuses user namespaces, which services need, to processes below a chroot.
            ["unshare", "--mount", "sh", "-c", inside, str(tools), *options],
            env={"PATH": SYSTEM_PROGRAMS, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda name=host.name: _join_cgroup(state.name, name),  # type: ignore[misc]
        )
        processes.append(process)
    waiting = list(hosts)
    while waiting:
        if any(p.poll() is not None for p in processes):
            sys.exit(
                "a host stopped during its start: "
                + "".join((state / f"{h.name}.log").read_text()[-500:] for h in hosts)
            )
        waiting = [h for h in waiting if not _ssh_answers(h.address4)]
        time.sleep(0.05)
    (state / "ready").touch()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _ssh_answers(address: str) -> bool:
    try:
        with socket.create_connection((address, port_number("ssh")), timeout=0.5) as connection:
            connection.settimeout(2)
            return connection.recv(8).startswith(b"SSH-")
    except OSError:
        return False


def _supervise(state: Path) -> None:
    """Start the namespaces, serve packages and DNS to them, and stop them when this process ends."""

    def terminate(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, terminate)
    child = subprocess.Popen(
        # The first process keeps the namespaces alive, and is killed together with its parent.
        [
            *["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child=SIGKILL"],
            *sys.orig_argv,
            "inside",
        ],
        preexec_fn=_die_with_parent,
    )
    try:
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
        while not (inner := children.read_text().split()) or not (state / "network").exists():
            if child.poll() is not None:
                raise ClassroomError("unshare failed to create the fleet's namespaces: see the log above")
            time.sleep(0.02)
        mirror = (outside.MIRROR4, outside.MIRROR6)
        packages.serve(int(inner[0]), mirror, outside.MIRROR_PORT, CACHE / "packages" / "roles")
        outside.serve(int(inner[0]), state / "queries")
        (state / "pid").write_text(f"{os.getpid()} {inner[0]}")
        child.wait()
    finally:
        child.kill()
        child.wait()
        end_groups(GROUP + state.name)


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    (_inner if len(sys.argv) > 2 else _supervise)(Path(sys.argv[1]))

"""A client with a restricted network: its own network namespace, behind NAT."""

import contextlib
import fcntl
import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from classroom.common.errors import ClassroomError
from classroom.config.ports import port_number

PREFIX, FOLDER = "verify", "classroom-client-"
IPV4_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
IPV6 = Path("/proc/sys/net/ipv6/conf")

# DNS is not needed: names are in the namespace's hosts file.
ONLY_HTTPS = """
table inet only443 {
  counter dropped_udp { }
  counter dropped_tcp { }
  chain out {
    type filter hook output priority 0; policy drop;
    oifname "lo" accept
    meta l4proto { icmp, icmpv6 } accept
    tcp dport HTTPS accept
    meta l4proto udp counter name dropped_udp drop
    meta l4proto tcp counter name dropped_tcp drop
  }
}
""".replace("HTTPS", str(port_number("https")))
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()"


def _run(*argv: object, input_text: str | None = None) -> str:
    words = [str(a) for a in argv]
    answer = subprocess.run(words, input=input_text, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ClassroomError(f"`{' '.join(words)}` failed: {answer.stderr.strip()[-300:]}")
    return answer.stdout


def _try(*argv: object) -> None:
    subprocess.run([str(a) for a in argv], capture_output=True, check=False)


class Folder:
    """A temporary folder for a client's files, owned by this process through a file lock, which a killed process releases.

    A process id would not suffice: a client may have its own PID namespace.
    """

    def __init__(self) -> None:
        """Create the folder; OSError if that fails, such as on a full disk."""
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=FOLDER))
            with contextlib.suppress(FileNotFoundError):  # removed by `sweep_folders` before it was locked
                self._lock = os.open(self.path, os.O_RDONLY)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                self.path.chmod(0o755)
                return

    def remove(self) -> None:
        """Remove the folder and release the lock."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


@dataclass
class Client:
    """A network namespace with IPv4 (`v4`), IPv6 (`v6`) or both; with `only_443` it drops all but TCP 443.

    `names` are resolved on this machine and written to the namespace's hosts file; other names do not resolve, as the
    machine's resolver may be unreachable from the namespace. With `own_names` the machine's resolver is used instead. If
    `only` lists addresses, this machine drops packets of the namespace to any other address. As a context manager, it
    removes namespace, addresses and rules at the end and restores the forwarding settings.
    """

    v4: bool
    v6: bool
    only_443: bool = False
    names: Sequence[str] = ()
    own_names: bool = False
    only: Sequence[str] = ()

    def __enter__(self) -> "Client":
        """Create the namespace and its NAT; ClassroomError with the failed command, after everything is removed again."""
        sweep()
        self._number = 0
        self._forwarding: dict[Path, str] = {}
        self._own = Folder()
        self._folder = self._own.path
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    @property
    def link(self) -> str:
        """The name of the veth interface on this machine."""
        return f"{PREFIX}{self._number}"

    @property
    def name(self) -> str:
        """The namespace's name, which contains the id of the process that created it."""
        return f"{PREFIX}-{os.getpid()}-{self._number}"

    @property
    def _table(self) -> str:
        return self.name.replace("-", "_")

    def _make(self) -> None:
        addresses = {name: self._resolve(name) for name in self.names}
        self._claim()
        n, link = self._number, self.link
        inside = ("ip", "-n", self.name)
        # An address added after duplicate address detection is a change of network, at which browsers abort their requests.
        key, value = ("accept_dad", 0) if self.v6 else ("disable_ipv6", 1)
        if IPV6.exists():  # missing if the kernel has no IPv6
            (IPV6 / link / key).write_text(str(value))
            _run("ip", "netns", "exec", self.name, "sh", "-c", f"echo {value} > {IPV6}/eth0/{key}")
        _run(*inside, "link", "set", "lo", "up")
        _run("ip", "link", "set", link, "up")
        _run(*inside, "link", "set", "eth0", "up")
        rules = ["type nat hook postrouting priority srcnat; policy accept;"]
        if self.v4:
            _run("ip", "address", "add", f"10.250.{n}.1/30", "dev", link)
            _run(*inside, "address", "add", f"10.250.{n}.2/30", "dev", "eth0")
            _run(*inside, "route", "add", "default", "via", f"10.250.{n}.1")
            self._set(IPV4_FORWARDING, "1")
            rules.append(f"ip saddr 10.250.{n}.0/30 masquerade")
        if self.v6:
            _run("ip", "address", "add", f"fd00:250:{n:x}::1/64", "dev", link, "nodad")
            _run(*inside, "address", "add", f"fd00:250:{n:x}::2/64", "dev", "eth0", "nodad")
            _run(*inside, "-6", "route", "add", "default", "via", f"fd00:250:{n:x}::1")
            self._forward6()
            rules.append(f"ip6 saddr fd00:250:{n:x}::/64 masquerade")
        body = "\n".join(rules)
        chains = f"chain out {{\n{body}\n}}\n"
        if self.only:
            known = sorted(self.only)
            chains += (
                f"chain through {{\ntype filter hook forward priority filter; policy accept;\n{_only(link, known)}}}\n"
            )
        _run("nft", "-f", "-", input_text=f"table inet {self._table} {{\n{chains}}}\n")
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        lines += [f"{address} {name}" for name, found in addresses.items() for address in found]
        hosts, resolver = "\n".join(lines) + "\n", "# no DNS in this namespace\nnameserver 127.0.0.1\n"
        if self.own_names:
            hosts, resolver = Path("/etc/hosts").read_text(), _own_resolver()
        (self._folder / "hosts").write_text(hosts)
        (self._folder / "resolv.conf").write_text(resolver)
        if self.only_443:
            _run(*self.command(["nft", "-f", "-"]), input_text=ONLY_HTTPS)
        for address in {a for found in addresses.values() for a in found}:
            answer = subprocess.run(
                self.command([sys.executable, "-c", CONNECT, address, str(port_number("https"))]),
                capture_output=True,
                text=True,
            )
            if answer.returncode:
                raise ClassroomError(
                    f"a network namespace of this machine does not reach {address} port {port_number('https')}"
                    f" ({answer.stderr.strip().splitlines()[-1]}): allow forwarding for 10.250.0.0/16 and fd00:250::/32 on this"
                    " machine"
                )

    def _claim(self) -> None:
        """Create the namespace and its link with the first free number; the link's name reserves the number."""
        there = set(re.findall(rf"^\d+: {PREFIX}(\d+)@", _run("ip", "-o", "link"), re.M))
        for number in (n for n in range(1, 250) if str(n) not in there):
            self._number = number
            _run("ip", "netns", "add", self.name)
            link = ("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            answer = subprocess.run(link, capture_output=True, text=True, check=False)
            if answer.returncode == 0:
                return
            _try("ip", "netns", "del", self.name)
            self._number = 0
            if "exists" not in answer.stderr:
                raise ClassroomError(f"`{' '.join(link)}` failed: {answer.stderr.strip()}")
        raise ClassroomError(
            f"249 client networks exist already (`ip link` shows {PREFIX}1 …): delete them with `ip link del`"
        )

    def _resolve(self, name: str) -> list[str]:
        families = [socket.AF_INET] * self.v4 + [socket.AF_INET6] * self.v6
        try:
            answers = socket.getaddrinfo(name, port_number("https"), type=socket.SOCK_STREAM)
        except OSError as error:
            raise ClassroomError(f"{name} does not resolve ({error.strerror}): create its DNS records") from None
        found = sorted({str(answer[4][0]) for answer in answers if answer[0] in families})
        if not found:
            raise ClassroomError(f"{name} has no {'IPv6' if self.v6 else 'IPv4'} address: create its DNS record")
        return found

    def _set(self, path: Path, value: str) -> None:
        before = path.read_text().strip()
        if before != value:
            path.write_text(value)
            self._forwarding[path] = before

    def _forward6(self) -> None:
        """Enable IPv6 forwarding; `accept_ra` 2 keeps a default route that was learnt from router advertisements."""
        for route in json.loads(_run("ip", "-6", "-j", "route", "show", "default")):
            if route.get("protocol") == "ra":
                self._set(IPV6 / route["dev"] / "accept_ra", "2")
        self._set(IPV6 / "all" / "forwarding", "1")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the namespace and its NAT; the last one also restores the forwarding settings of this machine."""
        if self._number:
            _try("nft", "delete", "table", "inet", self._table)
            _try("ip", "netns", "del", self.name)
            _try("ip", "link", "del", self.link)
        others = re.search(rf"^\d+: {PREFIX}\d+@", _run("ip", "-o", "link"), re.M)
        for path, before in [] if others else reversed(self._forwarding.items()):
            with contextlib.suppress(OSError):
                path.write_text(before)
        self._own.remove()

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` in the namespace, with its own hosts and resolv.conf files."""
        script = (
            f"mount --bind {self._folder}/hosts /etc/hosts &&"
            f' mount --bind {self._folder}/resolv.conf "$(readlink -f /etc/resolv.conf)" && exec "$@"'
        )
        return ["ip", "netns", "exec", self.name, "sh", "-c", script, "sh", *argv]

    def dropped(self) -> dict[str, int]:
        """Return the dropped packets of `only_443` by counter."""
        text = _run("ip", "netns", "exec", self.name, "nft", "-j", "list", "counters")
        found = [item["counter"] for item in json.loads(text)["nftables"] if "counter" in item]
        return {counter["name"]: counter["packets"] for counter in found}


def _only(link: str, known: Sequence[str]) -> str:
    """Return the nft rules that drop packets from a link to any but the known addresses."""
    lines = []
    for family, found in (("ip", [a for a in known if ":" not in a]), ("ip6", [a for a in known if ":" in a])):
        places = f"{family} daddr != {{ {', '.join(found)} }} " if found else ""
        lines.append(f'iifname "{link}" meta nfproto ipv{"4" if family == "ip" else "6"} {places}drop\n')
    return "".join(lines)


def _own_resolver() -> str:
    """Return a resolv.conf of this machine without loopback resolvers, which a namespace does not reach."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        text = path.read_text() if path.exists() else ""
        servers = re.findall(r"^\s*nameserver\s+(\S+)", text, re.M)
        if servers and not any(ipaddress.ip_address(server.partition("%")[0]).is_loopback for server in servers):
            return text
    raise ClassroomError(
        "/etc/resolv.conf: its name server is a loopback address, which a network namespace does not reach: set the upstream"
        " name server"
    )


def sweep() -> None:
    """Remove namespaces, rules and folders that killed verifications left on this machine."""
    sweep_folders()
    names = re.findall(rf"^{PREFIX}-(\d+)-(\d+)", _run("ip", "netns", "list"), re.M)
    tables = re.findall(rf"^table inet {PREFIX}_(\d+)_(\d+)$", _run("nft", "list", "tables"), re.M)
    for pid, number in {*names, *tables}:
        if not Path(f"/proc/{pid}").exists():
            _try("nft", "delete", "table", "inet", f"{PREFIX}_{pid}_{number}")
            _try("ip", "netns", "del", f"{PREFIX}-{pid}-{number}")


def sweep_folders() -> None:
    """Remove the folders of this user's clients that no process has locked."""
    for path in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # removed meanwhile, or not a folder
        with contextlib.suppress(BlockingIOError):
            if os.fstat(folder).st_uid == os.geteuid():
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        os.close(folder)

"""A client with less network than this machine: a namespace of its own, behind address translation."""

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

# Names are known in there without asking anybody: what is tested is the way of the media.
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
    """A folder for a client's files, this process's as long as it holds the lock on it: that ends with a killed one, too.

    The lock tells more than a number of a process would: a client may have numbers of its own.
    """

    def __init__(self) -> None:
        """Make the folder; OSError if there is no room for it."""
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=FOLDER))
            with contextlib.suppress(FileNotFoundError):  # swept before the lock was held
                self._lock = os.open(self.path, os.O_RDONLY)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                self.path.chmod(0o755)
                return

    def remove(self) -> None:
        """Take it away."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


@dataclass
class Client:
    """A namespace with IPv4 (`v4`) and IPv6 (`v6`) or one of them; with `only_443` all but TCP 443 is dropped.

    `names` are looked up out here and known in there, and nothing else is: a resolver of this machine may not be
    reachable from the namespace. With `own_names` this machine's own resolver is asked instead. Where `only` lists
    addresses, what is for any other leaves the namespace and goes no further. Use it in a `with`: namespace, addresses
    and rules are gone afterwards, and forwarding is as it was.
    """

    v4: bool
    v6: bool
    only_443: bool = False
    names: Sequence[str] = ()
    own_names: bool = False
    only: Sequence[str] = ()

    def __enter__(self) -> "Client":
        """Make the namespace and its way out; ClassroomError says what failed, and then nothing is left."""
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
        """The name of its link on this machine."""
        return f"{PREFIX}{self._number}"

    @property
    def name(self) -> str:
        """The namespace's name; it says which process made it."""
        return f"{PREFIX}-{os.getpid()}-{self._number}"

    @property
    def _table(self) -> str:
        return self.name.replace("-", "_")

    def _make(self) -> None:
        addresses = {name: self._look_up(name) for name in self.names}
        self._claim()
        n, link = self._number, self.link
        inside = ("ip", "-n", self.name)
        # An address that comes later, once nobody else was found to have it, is a change of network: browsers give up what
        # they were about to load.
        key, value = ("accept_dad", 0) if self.v6 else ("disable_ipv6", 1)
        if IPV6.exists():  # it is not where the kernel has no IPv6
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
        hosts, resolver = "\n".join(lines) + "\n", "# nobody is asked in here\nnameserver 127.0.0.1\n"
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
                    f"a client in a namespace of this machine does not reach {address} port {port_number('https')}"
                    f" ({answer.stderr.strip().splitlines()[-1]}): let this machine forward for 10.250.0.0/16 and fd00:250::/32"
                )

    def _claim(self) -> None:
        """Make the namespace and its link under the first number that nobody uses: the link's name is the claim."""
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
            f"249 clients of verifications are there already (`ip link` shows {PREFIX}1 …): delete them"
        )

    def _look_up(self, name: str) -> list[str]:
        families = [socket.AF_INET] * self.v4 + [socket.AF_INET6] * self.v6
        try:
            answers = socket.getaddrinfo(name, port_number("https"), type=socket.SOCK_STREAM)
        except OSError as error:
            raise ClassroomError(f"the name {name} cannot be looked up: {error.strerror}") from None
        found = sorted({str(answer[4][0]) for answer in answers if answer[0] in families})
        if not found:
            raise ClassroomError(f"{name} has no address for a client with {'IPv6' if self.v6 else 'IPv4'} alone")
        return found

    def _set(self, path: Path, value: str) -> None:
        before = path.read_text().strip()
        if before != value:
            path.write_text(value)
            self._forwarding[path] = before

    def _forward6(self) -> None:
        """Forward IPv6; a machine that learns its way out from router advertisements would forget it without `accept_ra` 2."""
        for route in json.loads(_run("ip", "-6", "-j", "route", "show", "default")):
            if route.get("protocol") == "ra":
                self._set(IPV6 / route["dev"] / "accept_ra", "2")
        self._set(IPV6 / "all" / "forwarding", "1")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take everything away again."""
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
        """Return the words that run `argv` in the namespace, where names are known by its own files."""
        script = (
            f"mount --bind {self._folder}/hosts /etc/hosts &&"
            f' mount --bind {self._folder}/resolv.conf "$(readlink -f /etc/resolv.conf)" && exec "$@"'
        )
        return ["ip", "netns", "exec", self.name, "sh", "-c", script, "sh", *argv]

    def dropped(self) -> dict[str, int]:
        """Return how many packets each rule of `only_443` has dropped."""
        text = _run("ip", "netns", "exec", self.name, "nft", "-j", "list", "counters")
        found = [item["counter"] for item in json.loads(text)["nftables"] if "counter" in item]
        return {counter["name"]: counter["packets"] for counter in found}


def _only(link: str, known: Sequence[str]) -> str:
    """Return the rules that stop what comes from a link and is for none of the known addresses."""
    lines = []
    for family, found in (("ip", [a for a in known if ":" not in a]), ("ip6", [a for a in known if ":" in a])):
        places = f"{family} daddr != {{ {', '.join(found)} }} " if found else ""
        lines.append(f'iifname "{link}" meta nfproto ipv{"4" if family == "ip" else "6"} {places}drop\n')
    return "".join(lines)


def _own_resolver() -> str:
    """Return this machine's resolv.conf as a namespace can use it: a resolver on loopback is not there in it."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        text = path.read_text() if path.exists() else ""
        servers = re.findall(r"^\s*nameserver\s+(\S+)", text, re.M)
        if servers and not any(ipaddress.ip_address(server.partition("%")[0]).is_loopback for server in servers):
            return text
    raise ClassroomError(
        "/etc/resolv.conf: it names a resolver on this machine's loopback, which a network of its own does not reach: name the"
        " resolver behind it"
    )


def sweep() -> None:
    """Remove what verifications that were killed have left here: their namespaces and rules, and their folders."""
    sweep_folders()
    names = re.findall(rf"^{PREFIX}-(\d+)-(\d+)", _run("ip", "netns", "list"), re.M)
    tables = re.findall(rf"^table inet {PREFIX}_(\d+)_(\d+)$", _run("nft", "list", "tables"), re.M)
    for pid, number in {*names, *tables}:
        if not Path(f"/proc/{pid}").exists():
            _try("nft", "delete", "table", "inet", f"{PREFIX}_{pid}_{number}")
            _try("ip", "netns", "del", f"{PREFIX}-{pid}-{number}")


def sweep_folders() -> None:
    """Remove the folders of this user's clients whose process is gone: nobody holds the lock on them."""
    for path in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # it is gone, or no folder
        with contextlib.suppress(BlockingIOError):
            if os.fstat(folder).st_uid == os.geteuid():
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        os.close(folder)

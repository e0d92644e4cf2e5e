"""A client with less network than this machine: a namespace of its own, behind address translation."""

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from classroom.errors import ClassroomError

_numbers = itertools.count(1)


def _run(*argv: object, input_text: str | None = None) -> str:
    words = [str(a) for a in argv]
    answer = subprocess.run(words, input=input_text, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ClassroomError(f"`{' '.join(words)}` failed: {answer.stderr.strip()[-300:]}")
    return answer.stdout


@dataclass
class Client:
    """A namespace with IPv4 (`v4`) and IPv6 (`v6`) or one of them; with `only_443` all but TCP 443 is dropped.

    `names` are looked up out here and known in there: a resolver of this machine may not be reachable from the namespace.
    Use it in a `with`: namespace, addresses and rules are gone afterwards. `exec` lists the words that run a command in it.
    """

    v4: bool
    v6: bool
    only_443: bool = False
    names: Sequence[str] = ()
    name: str = field(default_factory=lambda: f"verify-{os.getpid()}-{next(_numbers)}")

    def __enter__(self) -> "Client":
        """Make the namespace and its way out."""
        self._number = int(self.name.rsplit("-", 1)[1])
        self._link = f"vfy{os.getpid() % 100000}x{self._number}"
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _make(self) -> None:
        n, link = self._number, self._link
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _run("ip", "link", "set", link, "up")
        inside = ("ip", "-n", self.name)
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "link", "set", "eth0", "up")
        rules = []
        if self.v4:
            _run("ip", "address", "add", f"10.250.{n}.1/30", "dev", link)
            _run(*inside, "address", "add", f"10.250.{n}.2/30", "dev", "eth0")
            _run(*inside, "route", "add", "default", "via", f"10.250.{n}.1")
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            rules.append(f"ip saddr 10.250.{n}.0/30 masquerade")
        if self.v6:
            _run("ip", "address", "add", f"fd00:250:{n}::1/64", "dev", link, "nodad")
            _run(*inside, "address", "add", f"fd00:250:{n}::2/64", "dev", "eth0", "nodad")
            _run(*inside, "-6", "route", "add", "default", "via", f"fd00:250:{n}::1")
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
            rules.append(f"ip6 saddr fd00:250:{n}::/64 masquerade")
        lines = ["type nat hook postrouting priority srcnat; policy accept;", *rules]
        body = "\n".join(lines)
        _run("nft", "-f", "-", input_text=f"table inet {self._table} {{\nchain out {{\n{body}\n}}\n}}\n")
        self._write_hosts()
        if self.only_443:
            _run("ip", "netns", "exec", self.name, "nft", "-f", "-", input_text=ONLY_443)

    def _write_hosts(self) -> None:
        families = [socket.AF_INET] * self.v4 + [socket.AF_INET6] * self.v6
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        for name in self.names:
            found = {i[4][0] for i in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM) if i[0] in families}
            if not found:
                raise ClassroomError(f"{name} has no address for a client with {'IPv6' if self.v6 else 'IPv4'} alone")
            lines += [f"{address} {name}" for address in sorted(map(str, found))]
        self._etc.mkdir(parents=True)
        (self._etc / "hosts").write_text("\n".join(lines) + "\n")

    @property
    def _etc(self) -> Path:
        return Path("/etc/netns") / self.name

    @property
    def _table(self) -> str:
        return self.name.replace("-", "_")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take everything away again."""
        for argv in (["nft", "delete", "table", "inet", self._table], ["ip", "netns", "del", self.name]):
            subprocess.run(argv, capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._link], capture_output=True, check=False)
        shutil.rmtree(self._etc, ignore_errors=True)
        with contextlib.suppress(OSError):  # others may have folders there
            self._etc.parent.rmdir()

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the words that run `argv` in the namespace."""
        return ["ip", "netns", "exec", self.name, *argv]

    def dropped(self) -> dict[str, int]:
        """Return how many packets each rule of `only_443` has dropped."""
        text = _run("ip", "netns", "exec", self.name, "nft", "-j", "list", "counters")
        found = [item["counter"] for item in json.loads(text)["nftables"] if "counter" in item]
        return {counter["name"]: counter["packets"] for counter in found}


# Names are still asked for: what is tested is the way of the media.
ONLY_443 = """
table inet only443 {
  counter dropped_udp { }
  counter dropped_tcp { }
  chain out {
    type filter hook output priority 0; policy accept;
    oifname "lo" accept
    udp dport 53 accept
    tcp dport 443 accept
    meta l4proto udp counter name dropped_udp drop
    meta l4proto tcp counter name dropped_tcp drop
  }
}
"""

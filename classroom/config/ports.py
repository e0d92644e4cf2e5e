"""Define all ports in one table: security groups, the hosts' firewall, tests and docs use it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Protocol = Literal["tcp", "udp"]
Group = Literal["all", "front", "media"]
PortSource = Literal["world", "ssh_from", "front", "media"]
Shape = Literal["single", "split"]
GROUPS: tuple[Group, ...] = ("front", "media")
"""The groups of machines; in the table, `all` means every machine."""


@dataclass(frozen=True)
class Port:
    """An open port range, `first` to `last`, on the machines of `group`, for packets from `source`."""

    name: str
    protocol: Protocol
    first: int
    last: int
    group: Group
    source: PortSource
    why: str
    shapes: tuple[Shape, ...] = ("single", "split")
    media_count: int = 1
    """Minimum number of media machines with which it is open."""


# fmt: off
PORTS: tuple[Port, ...] = (
    Port("ssh", "tcp", 22, 22, "all", "ssh_from", "administration"),
    Port("http", "tcp", 80, 80, "front", "world", "sends browsers on to HTTPS"),
    Port("https", "tcp", 443, 443, "front", "world", "page, signalling and TURN over TLS"),
    Port("turn-udp", "udp", 3478, 3478, "media", "world", "STUN and TURN"),
    Port("ice-tcp", "tcp", 7881, 7881, "media", "world", "media over TCP"),
    Port("ice-udp", "udp", 7882, 7882, "media", "world", "media"),
    Port("signal", "tcp", 7880, 7880, "media", "front", "signalling behind the front", ("split",)),
    Port("turn-tls", "tcp", 5349, 5349, "media", "front", "TURN over TLS behind the front's port 443", ("split",)),
    Port("valkey", "tcp", 6379, 6379, "front", "media", "media hosts agree on who serves which class", ("split",), 2),
)
# fmt: on
RELAY = (10000, 29999)
"""First and last port of TURN's relay sockets; closed in the firewall, they only connect to their own host's media port."""


@dataclass(frozen=True)
class LocalPort:
    """A port on the loopback address of the machines of `group`; the firewall does not open it."""

    name: str
    protocols: tuple[Protocol, ...]
    number: int
    group: Group
    why: str


LOCAL_PORTS: tuple[LocalPort, ...] = (
    LocalPort("resolver", ("tcp", "udp"), 53, "all", "the machine's own resolver"),
    LocalPort("portal", ("tcp",), 8090, "front", "join service behind the web server"),
    LocalPort("tls", ("tcp",), 8443, "front", "TLS of the page behind port 443; TURN over TLS has the next ones"),
)


def ports_for(groups: Iterable[Group], shape: Shape, media_count: int = 1) -> list[Port]:
    """Return the open ports of a machine of `groups`, in a classroom of this shape and number of media machines."""
    wanted = {"all", *groups}
    return [port for port in PORTS if port.group in wanted and shape in port.shapes and media_count >= port.media_count]


def inner_ports(groups: Iterable[Group], shape: Shape, media_count: int = 1) -> list[Port]:
    """Return the ports on other machines that a machine of `groups` connects to, in the order of the table."""
    own = set(groups)
    return [port for port in ports_for(GROUPS, shape, media_count) if port.source in own]


def port_numbers() -> dict[str, int]:
    """Return the number of each port in both tables by name; the first number of a range."""
    return {port.name: port.first for port in PORTS} | {port.name: port.number for port in LOCAL_PORTS}


def port_number(name: str) -> int:
    """Return the number of a port in either table, the first number of a range; KeyError if no port has this name."""
    return port_numbers()[name]


def local_tls(media_count: int) -> list[int]:
    """Return the loopback ports for TLS on the front: one for the page, and one for TURN for each media machine."""
    return [port_number("tls") + n for n in range(1 + media_count)]


def named(name: str) -> Port:
    """Return the port with this name in `PORTS`; KeyError if no port has it."""
    return {port.name: port for port in PORTS}[name]

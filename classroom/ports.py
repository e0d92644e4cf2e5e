"""The one table of ports: security groups, the hosts' firewall, tests and docs read it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Protocol = Literal["tcp", "udp"]
Group = Literal["all", "front", "media"]
Source = Literal["world", "ssh_from", "front", "media"]
Shape = Literal["single", "split"]


@dataclass(frozen=True, kw_only=True)
class Port:
    """An open range of ports: `first` to `last`, on the machines of `group`, for packets that come from `source`."""

    name: str
    protocol: Protocol
    first: int
    last: int
    group: Group
    source: Source
    shapes: tuple[Shape, ...] = ("single", "split")
    why: str


PORTS: tuple[Port, ...] = (
    Port(name="ssh", protocol="tcp", first=22, last=22, group="all", source="ssh_from", why="administration"),
    Port(
        name="http", protocol="tcp", first=80, last=80, group="front", source="world", why="sends browsers on to HTTPS"
    ),
    Port(
        name="https",
        protocol="tcp",
        first=443,
        last=443,
        group="front",
        source="world",
        why="page, signalling and TURN over TLS",
    ),
    Port(name="turn-udp", protocol="udp", first=3478, last=3478, group="media", source="world", why="STUN and TURN"),
    Port(name="ice-tcp", protocol="tcp", first=7881, last=7881, group="media", source="world", why="media over TCP"),
    Port(name="ice-udp", protocol="udp", first=7882, last=7882, group="media", source="world", why="media"),
    Port(
        name="signal",
        protocol="tcp",
        first=7880,
        last=7880,
        group="media",
        source="front",
        shapes=("split",),
        why="signalling behind the front",
    ),
    Port(
        name="turn-tls",
        protocol="tcp",
        first=5349,
        last=5349,
        group="media",
        source="front",
        shapes=("split",),
        why="TURN over TLS behind the front's port 443",
    ),
)


def ports_for(groups: Iterable[Group], shape: Shape) -> list[Port]:
    """Return the ports that are open on a machine that belongs to `groups` in a classroom of this `shape`."""
    wanted = {"all", *groups}
    return [port for port in PORTS if port.group in wanted and shape in port.shapes]

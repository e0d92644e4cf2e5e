"""What a class could leak to: the outside's hosts on two sides, one labelled EU and one US by the overlay of the stack.

Nothing of it is a fact about the world: names are below `.example`, addresses are documentation addresses.
"""

import ipaddress
from dataclasses import dataclass
from typing import Literal

from rehearsal.authority import NAME as AUTHORITY

HostKind = Literal["dns", "ntp", "stun", "cdn", "ca"]
KINDS: tuple[HostKind, ...] = ("dns", "ntp", "stun", "cdn", "ca")
US_AUTHORITY = "Example Certificates, Inc."
"""Name of the second certificate authority, as its certificates tell it."""


def seat(country: str) -> dict[str, str]:
    """Return how a company's seat is told: `country`, and of the US whether it is in the Data Privacy Framework."""
    return {"country": country, **({"dpf": "yes"} if country == "US" else {})}


@dataclass(frozen=True)
class Side:
    """One side: its zone, the labels of its networks, its own two networks, and further addresses that belong to it."""

    zone: str
    country: str
    operator: str
    owner: str
    authority: str
    network4: str
    network6: str
    more: tuple[str, ...] = ()

    def name(self, kind: HostKind) -> str:
        """Return the host's name, such as `dns.us.example`."""
        return f"{kind}.{self.zone}"

    def addresses(self, kind: HostKind) -> tuple[str, str]:
        """Return the host's IPv4 and IPv6 address."""
        number = KINDS.index(kind) + 1
        return tuple(str(ipaddress.ip_network(net)[number]) for net in (self.network4, self.network6))  # type: ignore[return-value]

    def overlay(self) -> dict[str, object]:
        """Return the labels of its networks, as a stack file holds them."""
        return {
            "prefixes": [self.network4, self.network6, *self.more],
            "country": self.country,
            "operator": {"name": self.operator, **seat(self.country)},
            "parent": {"name": self.owner, **seat(self.country)},
        }


EU = Side(
    zone="eu.example",
    country="FR",
    operator="Example Cooperative",
    owner="The rehearsal",
    authority=AUTHORITY,
    network4="192.0.2.64/28",
    network6="2001:db8:e:1::/64",
    # What the table of endpoints names.
    more=("192.0.2.20/32", "192.0.2.53/32", "192.0.2.123/32", "2001:db8:e::/64"),
)
US = Side(
    zone="us.example",
    country="US",
    operator="Example Networks, Inc.",
    owner="Example Holdings, Inc.",
    authority=US_AUTHORITY,
    network4="192.0.2.128/28",
    network6="2001:db8:a::/64",
)
SIDES = (EU, US)


def hosts() -> list[dict[str, object]]:
    """Return every host of both sides, as the outside's daemons read them: `name`, `kind`, `addresses`."""
    return [
        {"name": side.name(kind), "kind": kind, "addresses": list(side.addresses(kind))}
        for side in SIDES
        for kind in KINDS
    ]

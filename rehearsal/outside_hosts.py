"""Hosts of the outside network that a class could leak to, in two jurisdictions: EU and US, by the stack's overlay.

These are not facts about the world: names are below `.example`, addresses are documentation addresses.
"""

import ipaddress
from dataclasses import dataclass
from typing import Literal

from rehearsal.authority import NAME as AUTHORITY

HostKind = Literal["dns", "ntp", "stun", "cdn", "ca"]
KINDS: tuple[HostKind, ...] = ("dns", "ntp", "stun", "cdn", "ca")
US_AUTHORITY = "Example Certificates, Inc."
"""Common name of the second certificate authority."""


def seat(country: str) -> dict[str, str]:
    """Return a company's seat as settings describe it: `country`, and `dpf` (Data Privacy Framework) for the US."""
    return {"country": country, **({"dpf": "yes"} if country == "US" else {})}


@dataclass(frozen=True)
class Jurisdiction:
    """One jurisdiction: its DNS zone, the labels of its networks, its two networks, and further prefixes with these labels."""

    zone: str
    country: str
    operator: str
    owner: str
    authority: str
    network4: str
    network6: str
    more_prefixes: tuple[str, ...] = ()

    def name(self, kind: HostKind) -> str:
        """Return the host's name, such as `dns.us.example`."""
        return f"{kind}.{self.zone}"

    def addresses(self, kind: HostKind) -> tuple[str, str]:
        """Return the host's IPv4 and IPv6 address."""
        number = KINDS.index(kind) + 1
        return tuple(str(ipaddress.ip_network(net)[number]) for net in (self.network4, self.network6))  # type: ignore[return-value]

    def overlay(self) -> dict[str, object]:
        """Return the labels of its networks in the format of a stack file."""
        return {
            "prefixes": [self.network4, self.network6, *self.more_prefixes],
            "country": self.country,
            "operator": {"name": self.operator, **seat(self.country)},
            "parent": {"name": self.owner, **seat(self.country)},
        }


EU = Jurisdiction(
    zone="eu.example",
    country="FR",
    operator="Example Cooperative",
    owner="The rehearsal",
    authority=AUTHORITY,
    network4="192.0.2.64/28",
    network6="2001:db8:e:1::/64",
    # Addresses in the table of endpoints.
    more_prefixes=("192.0.2.20/32", "192.0.2.53/32", "192.0.2.123/32", "2001:db8:e::/64"),
)
US = Jurisdiction(
    zone="us.example",
    country="US",
    operator="Example Networks, Inc.",
    owner="Example Holdings, Inc.",
    authority=US_AUTHORITY,
    network4="192.0.2.128/28",
    network6="2001:db8:a::/64",
)
JURISDICTIONS = (EU, US)


def hosts() -> list[dict[str, object]]:
    """Return every host of both jurisdictions, as the daemons read them: `name`, `kind`, `addresses`."""
    return [
        {"name": one.name(kind), "kind": kind, "addresses": list(one.addresses(kind))}
        for one in JURISDICTIONS
        for kind in KINDS
    ]

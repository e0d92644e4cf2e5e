"""The one table of outside endpoints, as ways out of a host: security groups, the hosts' firewall, tests and docs read it."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from classroom.config.ports import Protocol
from classroom.sovereignty.endpoint_record import Endpoint, Use

METADATA4, METADATA6 = "169.254.169.254", "fe80::a9fe:a9fe"
"""Where a cloud tells a machine about itself; open to root alone."""


@dataclass(frozen=True)
class Way:
    """How hosts use an endpoint: from which account, by which protocol and port (0: that of its `url`)."""

    account: str
    ports: tuple[tuple[Protocol, int], ...]


WAYS: Mapping[Use, Way] = {
    "dns": Way("unbound", (("udp", 53), ("tcp", 53))),
    "ntp": Way("_chrony", (("udp", 123),)),
    "packages": Way("_apt", (("tcp", 0),)),
    "ca": Way("root", (("tcp", 0),)),
}
"""What hosts use. The rest of the table (registry, stun, mail, backups) is judged, and open on no host."""


NEEDED: tuple[Use, ...] = ("dns", "ntp", "packages")
"""Without one of these a host cannot be set up: nothing else is let out."""


@dataclass(frozen=True)
class EgressRule:
    """A way out that is open: to `addresses` (networks and addresses of both families), for sockets of `account` alone."""

    use: Use
    protocol: Protocol
    port: int
    account: str
    addresses: tuple[str, ...]

    @property
    def counter(self) -> str:
        """Name of the counter in the hosts' firewall."""
        return f"out_{self.use}"

    def networks(self, family: int) -> list[str]:
        """Return the networks of IP version `family` in canonical form, merged; single addresses without a length."""
        return merged(self.addresses, family)


def merged(addresses: Iterable[str], family: int) -> list[str]:
    """Return those of `addresses` (addresses and networks) that are of IP version `family`, merged and in order."""
    found = [ipaddress.ip_network(address) for address in addresses]
    if family == 4:
        joined: Iterable[Any] = ipaddress.collapse_addresses(n for n in found if isinstance(n, ipaddress.IPv4Network))
    else:
        joined = ipaddress.collapse_addresses(n for n in found if isinstance(n, ipaddress.IPv6Network))
    return [str(n.network_address) if n.prefixlen == n.max_prefixlen else str(n) for n in joined]


def endpoints_of(rows: Iterable[Mapping[str, Any]]) -> list[Endpoint]:
    """Return the table from its rows, as the inventory holds them; pydantic's ValidationError where a row is none."""
    return [Endpoint.model_validate(row) for row in rows]


def faults_of(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return a sentence for each thing that the table lacks for machines to be set up."""
    there = {endpoint.use for endpoint in endpoints}
    found = [
        f"endpoints: none has use: {use}, and machines reach nothing but what stands there; add one"
        for use in NEEDED
        if use not in there
    ]
    for number, one in enumerate(endpoints):
        if one.use in WAYS and not one.addresses:
            found.append(
                f"endpoints.{number}.addresses: '{one.name}' has none, and no name is resolved here; list them"
            )
        if one.use == "packages" and urlsplit(one.url or "").hostname != one.name:
            found.append(
                f"endpoints.{number}.url: '{one.url or ''}' is no address at {one.name}; give the mirror's, such as"
                f" https://{one.name}/debian"
            )
    return found


def port_of(url: str | None) -> int:
    """Return the TCP port of a web address; without an address it is that of HTTPS."""
    parts = urlsplit(url or "")
    return parts.port or (80 if parts.scheme == "http" else 443)


def egress_for(endpoints: Sequence[Endpoint]) -> list[EgressRule]:
    """Return the ways out that the table opens, those to the same port together, in the order of `WAYS`."""
    found: dict[tuple[Use, Protocol, int], list[str]] = {}
    for use, way in WAYS.items():
        for endpoint in (e for e in endpoints if e.use == use):
            for protocol, port in way.ports:
                found.setdefault((use, protocol, port or port_of(endpoint.url)), []).extend(endpoint.addresses)
    return [
        EgressRule(use, protocol, port, WAYS[use].account, tuple(dict.fromkeys(addresses)))
        for (use, protocol, port), addresses in found.items()
    ]


def rows_for(endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    """Return the table as the inventory holds it."""
    return [endpoint.model_dump(mode="json") for endpoint in endpoints]


def egress_rows(endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    """Return the ways out as the hosts' firewall takes them: with counters, and addresses by family, in order."""
    return [
        {
            "counter": way.counter,
            "protocol": way.protocol,
            "port": way.port,
            "account": way.account,
            "addresses4": way.networks(4),
            "addresses6": way.networks(6),
        }
        for way in egress_for(endpoints)
    ]


def resolvers(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return the resolvers' addresses; networks, which name no server, are left out."""
    return [address for endpoint in endpoints if endpoint.use == "dns" for address in _single(endpoint)]


def _single(endpoint: Endpoint) -> list[str]:
    networks = [ipaddress.ip_network(address) for address in endpoint.addresses]
    return [str(network.network_address) for network in networks if network.prefixlen == network.max_prefixlen]


def host_services(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return what a host's own services are told; what the table does not name is empty.

    `dns`: addresses of resolvers; `names`: the only names that they are asked; `time`: addresses of time servers, or
    names where the table has networks for them; `mirror` and `security`: addresses of the package archives.
    """
    urls = [endpoint.url.rstrip("/") for endpoint in endpoints if endpoint.use == "packages" and endpoint.url]
    mirror = next((url for url in urls if not url.endswith("-security")), "")
    security = next((url for url in urls if url.endswith("-security")), mirror and f"{mirror}-security")
    return {
        "dns": resolvers(endpoints),
        "names": sorted({e.name for e in endpoints if e.use in WAYS and e.use != "dns"}),
        "time": [source for e in endpoints if e.use == "ntp" for source in _single(e) or [e.name]],
        "mirror": mirror,
        "security": security,
    }

"""Derive egress rules and host services from `endpoints`: for security groups, the hosts' firewall, tests and docs."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from classroom.config.ports import Protocol
from classroom.sovereignty.endpoint_record import Endpoint, Use

METADATA4, METADATA6 = "169.254.169.254", "fe80::a9fe:a9fe"
"""Addresses of the cloud's metadata service; only root may connect to them."""


@dataclass(frozen=True)
class EgressUse:
    """How hosts use an endpoint: from which account, with which protocol and port (0: the port of its `url`)."""

    account: str
    ports: tuple[tuple[Protocol, int], ...]


EGRESS_USES: Mapping[Use, EgressUse] = {
    "dns": EgressUse("unbound", (("udp", 53), ("tcp", 53))),
    "ntp": EgressUse("_chrony", (("udp", 123),)),
    "packages": EgressUse("_apt", (("tcp", 0),)),
    "ca": EgressUse("acme", (("tcp", 0),)),
}
"""Uses for which hosts connect to endpoints. Other uses (registry, stun, mail, backups) are checked, but opened on no host."""


NEEDED: tuple[Use, ...] = ("dns", "ntp", "packages")
"""Uses without which a host cannot be set up, as all other egress is blocked."""


@dataclass(frozen=True)
class EgressRule:
    """Allowed egress to `addresses` (networks and addresses, IPv4 and IPv6), only for sockets of `account`."""

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
        """Return the networks of IP version `family` in canonical form, merged; single addresses without a prefix length."""
        return merged(self.addresses, family)


def merged(addresses: Iterable[str], family: int) -> list[str]:
    """Return the addresses and networks of IP version `family`, merged and sorted."""
    found = [ipaddress.ip_network(address) for address in addresses]
    if family == 4:
        joined: Iterable[Any] = ipaddress.collapse_addresses(n for n in found if isinstance(n, ipaddress.IPv4Network))
    else:
        joined = ipaddress.collapse_addresses(n for n in found if isinstance(n, ipaddress.IPv6Network))
    return [str(n.network_address) if n.prefixlen == n.max_prefixlen else str(n) for n in joined]


def endpoints_of(rows: Iterable[Mapping[str, Any]]) -> list[Endpoint]:
    """Return the endpoints from their rows in the inventory; pydantic's ValidationError if a row is invalid."""
    return [Endpoint.model_validate(row) for row in rows]


def faults_of(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return one message for each endpoint or field that is missing for machines to be set up."""
    present = {endpoint.use for endpoint in endpoints}
    found = [
        f"endpoints: none has use: {use}, and machines can connect to these endpoints only; add one"
        for use in NEEDED
        if use not in present
    ]
    if not resolvers(endpoints):
        found += [
            _networks_alone(number, one) for number, one in enumerate(endpoints) if one.use == "dns" and one.addresses
        ]
    for number, one in enumerate(endpoints):
        if one.use in EGRESS_USES and not one.addresses:
            found.append(
                f"endpoints.{number}.addresses: '{one.name}' has no addresses, and firewall rules need them; list them"
            )
        if one.use == "packages" and urlsplit(one.url or "").hostname != one.name:
            found.append(
                f"endpoints.{number}.url: '{one.url or ''}' is not a URL on {one.name}; set the mirror's URL, such as"
                f" https://{one.name}/debian"
            )
    return found


def _networks_alone(number: int, one: Endpoint) -> str:
    first = next(ipaddress.ip_network(one.addresses[0]).hosts())
    return (
        f"endpoints.{number}.addresses: '{one.name}' has only networks ({', '.join(one.addresses)}), but machines need the addresses of"
        f" their resolvers; list single addresses, such as {first}"
    )


def port_of(url: str | None) -> int:
    """Return the TCP port of a URL; 443 without a URL."""
    parts = urlsplit(url or "")
    return parts.port or (80 if parts.scheme == "http" else 443)


def egress_for(endpoints: Sequence[Endpoint]) -> list[EgressRule]:
    """Return the egress rules for `endpoints`, one for each use, protocol and port, in the order of `EGRESS_USES`."""
    found: dict[tuple[Use, Protocol, int], list[str]] = {}
    for use, egress in EGRESS_USES.items():
        for endpoint in (e for e in endpoints if e.use == use):
            for protocol, port in egress.ports:
                found.setdefault((use, protocol, port or port_of(endpoint.url)), []).extend(endpoint.addresses)
    return [
        EgressRule(use, protocol, port, EGRESS_USES[use].account, tuple(dict.fromkeys(addresses)))
        for (use, protocol, port), addresses in found.items()
    ]


def rows_for(endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    """Return the endpoints as rows for the inventory."""
    return [endpoint.model_dump(mode="json") for endpoint in endpoints]


def egress_rows(endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    """Return the egress rules for the hosts' firewall, with the name of the counter and sorted addresses by family."""
    return [
        {
            "counter": rule.counter,
            "protocol": rule.protocol,
            "port": rule.port,
            "account": rule.account,
            "addresses4": rule.networks(4),
            "addresses6": rule.networks(6),
        }
        for rule in egress_for(endpoints)
    ]


def resolvers(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return the addresses of the DNS resolvers, without networks."""
    return [address for endpoint in endpoints if endpoint.use == "dns" for address in _single(endpoint)]


def _single(endpoint: Endpoint) -> list[str]:
    networks = [ipaddress.ip_network(address) for address in endpoint.addresses]
    return [str(network.network_address) for network in networks if network.prefixlen == network.max_prefixlen]


def host_services(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the configuration of a host's own services; empty values for uses without an endpoint.

    `dns`: addresses of resolvers; `names`: the only names that hosts may resolve; `time`: addresses of time servers, or
    their names if only networks are known; `mirror` and `security`: URLs of the package archives.
    """
    urls = [endpoint.url.rstrip("/") for endpoint in endpoints if endpoint.use == "packages" and endpoint.url]
    mirror = next((url for url in urls if not url.endswith("-security")), "")
    security = next((url for url in urls if url.endswith("-security")), mirror and f"{mirror}-security")
    return {
        "dns": resolvers(endpoints),
        "names": sorted({e.name for e in endpoints if e.use in EGRESS_USES and e.use != "dns"}),
        "time": [source for e in endpoints if e.use == "ntp" for source in _single(e) or [e.name]],
        "mirror": mirror,
        "security": security,
    }

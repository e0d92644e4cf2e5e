"""Ask name servers for the addresses of a name: those of its zone, so that no cache hides a change."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from classroom.common.errors import ClassroomError, UnknownError

SECONDS = 5.0
"""Timeout of one question."""
TRIES = 3
"""How often a question is sent, as packets can be lost."""


@dataclass(frozen=True)
class NameServer:
    """A name server with one of its addresses."""

    name: str
    address: str
    port: int = socket.getservbyname("domain", "udp")


def of_zone(name: str) -> list[NameServer]:
    """Return the name servers of the zone that a name is in, as this machine's resolver finds them, each with all its addresses.

    UnknownError if there is no resolver, or it finds none.
    """
    try:
        resolver = dns.resolver.Resolver()
        resolver.lifetime = SECONDS
        zone = dns.resolver.zone_for_name(dns.name.from_text(name), resolver=resolver)
        names = sorted(str(row.target) for row in resolver.resolve(zone, "NS"))
        found = [NameServer(one.rstrip("."), address) for one in names for address in _addresses_of(resolver, one)]
    except (dns.exception.DNSException, OSError) as error:
        raise UnknownError(
            f"the name servers of {name} are not found ({str(error).splitlines()[0][:150]}); check the domain and this machine's resolver,"
            " or name a server with --server"
        ) from None
    if not found:
        raise UnknownError(f"the name servers of {name} have no addresses; ask whoever runs the zone")
    return found


def _addresses_of(resolver: dns.resolver.Resolver, name: str) -> Iterator[str]:
    for kind in ("A", "AAAA"):
        try:
            yield from (str(row.address) for row in resolver.resolve(name, kind))
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            continue


def reachable(servers: Sequence[NameServer]) -> list[NameServer]:
    """Return the servers of the IP versions that this machine has; UnknownError if there is none."""
    found = [one for one in servers if _has_route(one)]
    if not found:
        raise UnknownError(
            f"no name server can be reached from this machine: {', '.join(one.address for one in servers)}; check its network"
        )
    return found


def _has_route(server: NameServer) -> bool:
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((server.address, server.port))  # sends nothing
    except OSError:
        return False
    return True


def ask(server: NameServer, name: str, kind: str) -> set[str]:
    """Return the addresses that a server answers for a name (`kind`: A or AAAA); ClassroomError if it does not answer."""
    question = dns.message.make_query(name, kind)
    reason = "no answer"
    for _ in range(TRIES):
        try:
            answer, _ = dns.query.udp_with_fallback(question, server.address, SECONDS, port=server.port)
        except (dns.exception.DNSException, OSError) as error:
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            continue
        if answer.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            wanted = dns.rdatatype.from_text(kind)
            return {str(row.address) for found in answer.answer if found.rdtype == wanted for row in found}
        reason = dns.rcode.to_text(answer.rcode())
        break
    raise ClassroomError(
        f"the name server {server.name} ({server.address}) does not answer for {name} {kind} ({reason}); try again, or ask whoever runs"
        " the zone"
    )

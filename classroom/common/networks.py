"""The one spelling of networks and addresses: as Python's `ipaddress`, Neutron and nftables write them."""

import ipaddress
from collections.abc import Iterable

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 addresses written as IPv6 addresses."""
EXAMPLES = {4: "10.20.0.0/24", 6: "2001:db8:30::/64"}
"""Networks of machines, by the version of IP."""


def network(text: str) -> str:
    """Return a network with its prefix length; a single address becomes a network of that address.

    ValueError says what is wrong with `text`, and what to write instead.
    """
    return str(_parsed(text))


def subnet4(text: str) -> str:
    """Return a network of machines as `network` does, where a single address would make no sense; ValueError as in `network`."""
    return str(_parsed(text, EXAMPLES[4]))


def subnet6(text: str) -> str:
    """Return a network as `subnet4` does; ValueError proposes one of IPv6."""
    return str(_parsed(text, EXAMPLES[6]))


def address_or_network(text: str) -> str:
    """Return a network in the form of `network`, but a single address without prefix length; ValueError as in `network`."""
    found = _parsed(text)
    return str(found.network_address) if found.prefixlen == found.max_prefixlen else str(found)


def merged(networks: Iterable[str]) -> list[str]:
    """Return networks with those inside others left out and adjacent ones joined, sorted, IPv4 first."""
    found = [ipaddress.ip_network(one) for one in networks]
    four = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv6Network))
    return [*map(str, four), *map(str, six)]


def _parsed(text: str, subnet: str | None = None) -> IpNetwork:
    """Return a network; `subnet` is the example where a single address makes no sense."""
    bare = text.strip()
    if "%" in bare:
        raise ValueError(f"'{bare}' names an interface; leave out '%' and what follows it")
    try:
        found = ipaddress.ip_network(bare, strict=False)
    except ValueError:
        raise ValueError(
            f"'{bare}' is neither an address nor a network; write an address and a prefix length, such as {subnet}"
            if subnet
            else f"'{bare}' is neither an address nor a network; write one, such as 192.0.2.7 or 192.0.2.0/24"
        ) from None
    if isinstance(found, ipaddress.IPv6Network) and found.subnet_of(MAPPED):
        mapped = found.network_address.ipv4_mapped
        return _parsed(f"{mapped}/{found.prefixlen - 96}", subnet)
    if found.prefixlen == found.max_prefixlen and found.network_address.is_unspecified:
        raise ValueError(f"'{bare}' is no machine's address; write {found.network_address}/0 for all addresses")
    address = ipaddress.ip_address(bare.partition("/")[0])
    if "/" in bare and address != found.network_address:
        raise ValueError(
            f"'{bare}' is neither an address nor a network, as {address} is inside the network {found}; write {found} for the network"
            + ("" if subnet else f", or {address} for the address alone")
        )
    return found

"""The one spelling of networks and addresses: as Python's `ipaddress`, Neutron and nftables write them."""

import ipaddress
from collections.abc import Iterable

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 addresses written as IPv6 addresses."""


def network(text: str) -> str:
    """Return a network with its prefix length; a single address becomes a network of that address.

    ValueError says what is wrong with `text`, and what to write instead.
    """
    return str(_parsed(text))


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


def _parsed(text: str) -> IpNetwork:
    bare = text.strip()
    if "%" in bare:
        raise ValueError(f"'{bare}' names an interface; leave out '%' and what follows it")
    try:
        found = ipaddress.ip_network(bare, strict=False)
    except ValueError:
        raise ValueError(
            f"'{bare}' is neither an address nor a network; write an address, or an address and a prefix length, such as 10.20.0.0/24 or"
            " 2001:db8:30::/64"
        ) from None
    if isinstance(found, ipaddress.IPv6Network) and found.subnet_of(MAPPED):
        mapped = found.network_address.ipv4_mapped
        return _parsed(f"{mapped}/{found.prefixlen - 96}")
    if found.prefixlen == found.max_prefixlen and found.network_address.is_unspecified:
        raise ValueError(f"'{bare}' is no machine's address; write {found.network_address}/0 for all addresses")
    address = ipaddress.ip_address(bare.partition("/")[0])
    if "/" in bare and address != found.network_address:
        raise ValueError(
            f"'{bare}' is neither an address nor a network, as {address} is inside the network {found}; write {found} for the network,"
            f" or {address} for the address alone"
        )
    return found

"""Filters of the roles: checks of addresses and certificates on the operator's machine, before a host is changed."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_in(address: str, networks: Sequence[str]) -> bool:
    """Return whether `address` is in one of `networks` (CIDR, IPv4 and IPv6 mixed)."""
    try:
        one = ipaddress.ip_address(address)
        return any(one in ipaddress.ip_network(network, strict=False) for network in networks)
    except ValueError as error:
        raise AnsibleFilterError(f"not an address or a network: {error}") from error


def all_but(addresses: Sequence[str]) -> list[str]:
    """Return networks (CIDR) that cover every IPv4 and IPv6 address except `addresses`; empty ones are skipped."""
    left: list[Network] = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    for address in filter(None, addresses):
        hole: Network = ipaddress.ip_network(address)
        # address_exclude needs two networks of the same family, which the first condition ensures.
        around = [n for n in left if n.version == hole.version and hole.subnet_of(n)]  # type: ignore[arg-type]
        for network in around:
            left.remove(network)
            left.extend(network.address_exclude(hole))  # type: ignore[arg-type]
    return [str(n) for n in sorted(left, key=lambda n: (n.version, int(n.network_address)))]


def certificate_check(chain: str, key: str, names: Sequence[str]) -> dict[str, Any]:
    """Check a PEM certificate chain (leaf first) and its PEM private key for the host `names`, by the rules of the settings.

    Returns `{"faults": [sentence…], "not_after": "YYYY-MM-DD", "days_left": int}`. If the key is empty, only the chain is
    checked. The result contains no part of the key.
    """
    from classroom.config import certificates  # of the program that runs Ansible

    result: dict[str, Any] = {"not_after": "", "days_left": 0}
    result["faults"] = list(certificates.certificate_faults(chain, key or None, names))
    for leaf in certificates.chain_of(chain)[:1]:
        result["not_after"] = leaf.not_valid_after_utc.date().isoformat()
        result["days_left"] = (leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days
    return result


class FilterModule:
    """Registers the filters with Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"address_in": address_in, "all_but": all_but, "certificate_check": certificate_check}

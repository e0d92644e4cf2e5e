"""Filters of the roles: addresses and certificates, judged on the operator's machine before a host is touched."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_in(address: str, networks: Sequence[str]) -> bool:
    """Tell whether `address` lies in one of `networks` (CIDR, IPv4 and IPv6 mixed)."""
    try:
        one = ipaddress.ip_address(address)
        return any(one in ipaddress.ip_network(network, strict=False) for network in networks)
    except ValueError as error:
        raise AnsibleFilterError(f"not an address or a network: {error}") from error


def all_but(addresses: Sequence[str]) -> list[str]:
    """Return the networks (CIDR) that are every IPv4 and IPv6 address but `addresses`; empty ones are skipped."""
    left: list[Network] = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    for address in filter(None, addresses):
        hole: Network = ipaddress.ip_network(address)
        # address_exclude wants both of one family, which the first condition sees to.
        around = [n for n in left if n.version == hole.version and hole.subnet_of(n)]  # type: ignore[arg-type]
        for network in around:
            left.remove(network)
            left.extend(network.address_exclude(hole))  # type: ignore[arg-type]
    return [str(n) for n in sorted(left, key=lambda n: (n.version, int(n.network_address)))]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    wildcard = "*." + name.partition(".")[2]
    return any(pattern.lower() in (name.lower(), wildcard.lower()) for pattern in patterns)


def certificate_check(chain: str, key: str, names: Sequence[str]) -> dict[str, Any]:
    """Judge a PEM certificate chain (leaf first) and its PEM private key for the host `names`.

    Returns `{"faults": [sentence…], "names": [name…], "not_after": "YYYY-MM-DD", "days_left": int}`. Without a key
    (empty text) the key is not judged. Nothing of the key stands in the result.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    result: dict[str, Any] = {"faults": [], "names": [], "not_after": "", "days_left": 0}
    faults: list[str] = result["faults"]
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
    except ValueError:
        faults.append("it is no PEM certificate chain (leaf first, then the authorities between)")
        return result
    leaf = certificates[0]
    now = datetime.datetime.now(datetime.UTC)
    result["not_after"] = leaf.not_valid_after_utc.date().isoformat()
    result["days_left"] = (leaf.not_valid_after_utc - now).days
    for certificate in certificates:
        subject = certificate.subject.rfc4514_string() or "the leaf"
        if certificate.not_valid_after_utc <= now:
            faults.append(f"{subject} ended on {certificate.not_valid_after_utc.date()}: get a new one")
        if certificate.not_valid_before_utc > now:
            faults.append(f"{subject} begins on {certificate.not_valid_before_utc.date()}: check the clock, or wait")
    for lower, upper in itertools.pairwise(certificates):
        try:
            lower.verify_directly_issued_by(upper)
        except Exception:  # a wrong signature, a wrong name and an unknown algorithm all mean the same here
            faults.append(
                f"{lower.subject.rfc4514_string() or 'the leaf'} was not issued by the next certificate of the chain, "
                f"{upper.subject.rfc4514_string()}: put the leaf first, then each one's issuer"
            )
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        result["names"] = alternative.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        pass
    for name in names:
        if not _matches(name, result["names"]):
            faults.append(f"it does not cover {name} (it covers {', '.join(result['names']) or 'no name'})")
    if key:
        try:
            private = load_pem_private_key(key.encode(), password=None)
            form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
                faults.append("the private key belongs to another certificate")
        except (ValueError, TypeError):
            faults.append("the private key is no unencrypted PEM key")
    return result


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"address_in": address_in, "all_but": all_but, "certificate_check": certificate_check}

"""Control `issuers`: the issuers of the certificates of the page and of TURN over TLS."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from classroom.sovereignty.facts import Record
from classroom.sovereignty.operators import host_of
from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.report.phrases import Sentence, sentence

ID = "issuers"


@dataclass(frozen=True)
class Served:
    """The certificate chain that was served for a name at an address, leaf first."""

    name: str
    address: str
    chain: tuple[x509.Certificate, ...]


class CertificateDates(Record):
    """A served certificate: the names that it was served for, and its first and last moment of validity."""

    names: tuple[str, ...]
    begin: datetime.datetime
    end: datetime.datetime

    def days_left(self, day: datetime.date) -> int:
        """Return the days from `day` to the day of its end; negative if that is past."""
        return (self.end.date() - day).days


def dates(served: Iterable[Served]) -> list[CertificateDates]:
    """Return the dates of each served certificate once, the first to end first."""
    names: dict[x509.Certificate, list[str]] = {}
    for one in served:
        for certificate in one.chain[:1]:
            names.setdefault(certificate, []).append(one.name)
    found = [
        CertificateDates(names=tuple(dict.fromkeys(of)), begin=leaf.not_valid_before_utc, end=leaf.not_valid_after_utc)
        for leaf, of in names.items()
    ]
    return sorted(found, key=lambda one: one.end)


def organisation(certificate: x509.Certificate) -> str:
    """Return a certificate's issuer: its organisation, else its common name, else an empty string."""
    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        found = certificate.issuer.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return ""


def revocation_hosts(certificate: x509.Certificate) -> set[str]:
    """Return the hosts in a certificate's OCSP, CA issuers and CRL URLs."""
    found: set[str] = set()
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        kinds = {AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS}
        found |= {host_of(str(one.access_location.value)) for one in access if one.access_method in kinds}
    except x509.ExtensionNotFound:
        pass
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        found |= {host_of(str(name.value)) for point in points for name in point.full_name or ()}
    except x509.ExtensionNotFound:
        pass
    return found - {""}


def judge(served: list[Served], turn: Mapping[str, str], evaluator: Evaluator) -> Proof:
    """Evaluate the issuer of each served certificate; the keys of `turn` are the TURN names.

    The authority must be a known operator. An endpoint with the use `ca` matches if its name or operator equals the
    issuer in the certificate.
    """
    rows = [one for one in evaluator.declarations.endpoints if one.use == "ca"]
    seen: list[Seen] = []
    authorities: set[str] = set()
    for one in served:
        if not one.chain:
            seen.append(Seen(where=one.name, outcome="unknown", what=sentence("no-certificate", address=one.address)))
        for certificate in one.chain:
            issuer = organisation(certificate)
            authorities.add(issuer)
            key = "turn-issuer" if one.name in turn else "page-issuer"
            what = sentence(key, name=one.name, address=one.address, issuer=issuer or "?")
            declared = next((row for row in rows if issuer.casefold() in {row.name, row.operator.casefold()}), None)
            seen.append(evaluator.party(one.name, what, declared.operator if declared else issuer))
    hosts = {host for one in served for certificate in one.chain for host in revocation_hosts(certificate)}
    absent: list[Sentence] = [] if hosts else [sentence("no-revocation-host")]
    seen += [
        Seen(where="page", outcome="residue", what=sentence("revocation-host", server=host)) for host in sorted(hosts)
    ]
    idle = tuple(
        sentence("ca-unused", server=row.name)
        for row in rows
        if not {row.name, row.operator.casefold()} & {name.casefold() for name in authorities}
    )
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent), not_observed=idle, not_proven=(sentence("ct-logs"),))

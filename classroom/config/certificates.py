"""Check a certificate chain and its private key: used for the settings, and by the role that installs them."""

import contextlib
import datetime
import functools
import itertools
import os
import ssl
from collections.abc import Iterator, Sequence

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from classroom.config import pem

SECURITY_LEVEL = 2
"""OpenSSL's security level on the hosts."""
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""Elliptic curves of certificates that browsers accept."""
UNFIT = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""Errors of the library on certificates that are damaged, or of an unusual kind."""


def chain_of(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text in order; an empty list if it cannot be parsed."""
    try:
        return pem.chain(text)
    except ValueError:
        return []


def needed(names: Sequence[str]) -> str:
    """Return the part of a message that says for which names, the domain and those of the TURN servers, a certificate has to be."""
    return f"it has to be issued for {' and '.join(names[:2])}" + (f" to {names[-1]}" if names[2:] else "")


def issued_for(leaf: x509.Certificate) -> list[str]:
    """Return the host names for which a certificate is issued."""
    try:
        return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except (x509.ExtensionNotFound, *UNFIT):
        return []


def certificate_faults(chain_text: str, key_text: str | None, names: Sequence[str]) -> Iterator[str]:
    """Yield one message for each fault.

    The chain has to be complete, valid today, issued for all `names`, match the key, and be accepted by OpenSSL on the hosts.
    If `key_text` is None, only the chain is checked. No message contains any part of the key.
    """
    chain, key = None, None
    try:
        chain = pem.chain(chain_text)
    except ValueError as error:
        yield f"certificate: {error}; {needed(names)}"
    try:
        key = pem.private_key(key_text) if key_text is not None else None
    except ValueError as error:
        yield f"certificate_key: {error}"
        return
    if chain is None:
        return
    matches = key is None or _public(key) == _public(chain[0])
    if not matches:
        yield "certificate_key: does not match the first certificate in `certificate`; set a matching pair, with the leaf first"
    yield from _out_of_date(chain)
    yield from _lacking_names(chain[0], names)
    yield from _unfit_for_browsers(chain[0])
    broken = list(_broken_links(chain))
    yield from broken or _missing_issuer(chain[-1])
    if matches:
        yield from _refused_by_openssl(chain, key)


def _public(holder: PrivateKeyTypes | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _name(name: x509.Name) -> str:
    try:
        return name.rfc4514_string()
    except UNFIT:
        return ""


def _subject(certificate: x509.Certificate) -> str:
    return _name(certificate.subject) or "the leaf"


def _out_of_date(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    now = datetime.datetime.now(datetime.UTC)
    for number, certificate in enumerate(chain):
        if certificate.not_valid_after_utc <= now:
            ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
            yield f"certificate: '{_subject(certificate)}' expired on {ends}; {_renewal(number, len(chain))}"
        elif certificate.not_valid_before_utc > now:
            begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            yield (
                f"certificate: '{_subject(certificate)}' is not valid before {begins}, and the clock of this machine says"
                f" {now:%Y-%m-%d %H:%M} UTC; check the clock of this machine, or wait"
            )


def _renewal(number: int, count: int) -> str:
    """Return what to do about an expired certificate: the leaf (number 0), its issuer (1) or one further up."""
    if number == 0:
        return "renew it, and set certificate and certificate_key"
    if number == 1:
        return "the leaf stays: replace this block by the current certificate of the same issuer, from your authority"
    return (
        f"the leaf needs no renewal: remove block {number + 1} of {count}, and those after it, from `certificate`, as browsers know"
        " the root that replaced it"
    )


def _lacking_names(leaf: x509.Certificate, names: Sequence[str]) -> Iterator[str]:
    present = issued_for(leaf)
    covered = {name.lower() for name in present}  # DNS names are case-insensitive
    lacking = [name for name in names if not {name.lower(), f"*.{name.lower().partition('.')[2]}"} & covered]
    if lacking:
        yield (
            f"certificate: is issued for {', '.join(present) or 'no name'}, but not for {', '.join(lacking)}; get one for"
            f" {', '.join(names)}"
        )


def _unfit_for_browsers(leaf: x509.Certificate) -> Iterator[str]:
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) and not (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)
    ):
        yield (
            f"certificate: '{_subject(leaf)}' has a key of a kind that browsers do not accept; get one with an RSA key of 2048 bits or"
            " more, or with an elliptic curve P-256 or P-384"
        )
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, *UNFIT):
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage):
        yield f"certificate: '{_subject(leaf)}' is not for web servers; put the certificate of the web server first"


def _broken_links(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    for below, above in itertools.pairwise(chain):
        if not _issued_by(below, above):
            yield (
                f"certificate: '{_subject(below)}' is not issued by '{_name(above.subject)}', which follows it;"
                " paste the chain in order, each certificate followed by its issuer"
            )


def _missing_issuer(last: x509.Certificate) -> Iterator[str]:
    """Yield the message on a chain that ends too early for browsers; the root itself may be left out of a chain."""
    if last.issuer == last.subject or any(_issued_by(last, root) for root in _roots(last.issuer.public_bytes())):
        return
    if _is_authority(last) and not _names_issuer(last):
        return  # of a private authority, whose root is on the participants' devices
    yield (
        f"certificate: ends with '{_subject(last)}', and the certificate of its issuer '{_name(last.issuer)}' is missing; append the"
        " issuer's certificate, which authorities provide as chain, fullchain or CA bundle (a private authority's root too)"
    )


def _issued_by(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except InvalidSignature:
        return False
    except UNFIT:
        return below.issuer == above.subject  # the library does not know the algorithm; OpenSSL judges it
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNFIT):
        return False


def _names_issuer(certificate: x509.Certificate) -> bool:
    """Return whether a certificate says where its issuer's certificate is published, as public authorities' do."""
    try:
        places = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, *UNFIT):
        return False
    return any(place.access_method == AuthorityInformationAccessOID.CA_ISSUERS for place in places)


def _roots(name: bytes) -> Iterator[x509.Certificate]:
    """Yield the root certificates with this name (DER) that browsers, or this machine, trust."""
    for der in _all_roots():
        if name in der:
            with contextlib.suppress(*UNFIT):
                yield x509.load_der_x509_certificate(der)


def _all_roots() -> Iterator[bytes]:
    """Yield the root certificates (DER) of browsers, then those of this machine, which are loaded only if they are needed."""
    yield from _trusted(certifi.where())
    yield from _trusted(None)


@functools.cache
def _trusted(file: str | None) -> list[bytes]:
    """Return the root certificates (DER) in a file, or those that this machine trusts."""
    return ssl.create_default_context(cafile=file).get_ca_certs(binary_form=True)


def _refused_by_openssl(chain: Sequence[x509.Certificate], key: PrivateKeyTypes | None) -> Iterator[str]:
    """Yield the message if OpenSSL, with the security level of the hosts, does not load the chain and its key.

    Without a key, OpenSSL still judges the chain before it misses the key.
    """
    content = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
    descriptor = os.memfd_create("certificate")  # a private key is never written to a disk
    try:
        os.write(descriptor, content + (pem.key_bytes(key) if key else b""))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(f"DEFAULT:@SECLEVEL={SECURITY_LEVEL}")
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as error:
        reason = (error.reason or "").replace("_", " ").lower()
        if key or "small" in reason or "weak" in reason:
            yield (
                f"certificate: the web server does not accept it ({reason or 'no reason given'}); get one with an RSA key of 2048 bits"
                " or more, or with an elliptic curve P-256 or P-384, and signed with SHA-256"
            )
    finally:
        os.close(descriptor)

"""Check a certificate chain and its private key: used for the settings, and by the role that installs them."""

import datetime
import itertools
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def chain_of(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text in order; an empty list if it cannot be parsed."""
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


def certificate_faults(chain_text: str, key_text: str | None, names: Sequence[str]) -> Iterator[str]:
    """Yield one message for each fault: the chain has to be complete, valid today, issued for all `names`, and match the key.

    If `key_text` is None, only the chain is checked. No message contains any part of the key.
    """
    chain = chain_of(chain_text)
    if not chain:
        yield "certificate: contains no readable PEM certificate; paste the whole chain, the leaf first"
    key = _key_of(key_text) if key_text is not None else None
    if key_text is not None and not key:
        yield "certificate_key: contains no readable PEM private key without a passphrase; set the unencrypted key in PEM"
    if not chain or (key_text is not None and not key):
        return
    if key and _public(key) != _public(chain[0]):
        yield "certificate_key: does not match the first certificate in `certificate`; set a matching pair, with the leaf first"
    yield from _out_of_date(chain)
    yield from _lacking_names(chain[0], names)
    yield from _broken_links(chain)


def _key_of(text: str) -> PrivateKeyTypes | None:
    try:
        return serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _public(holder: PrivateKeyTypes | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "the leaf"


def _out_of_date(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    now = datetime.datetime.now(datetime.UTC)
    for certificate in chain:
        if certificate.not_valid_after_utc <= now:
            ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
            yield f"certificate: '{_subject(certificate)}' expired on {ends}; renew it, and set certificate and certificate_key"
        elif certificate.not_valid_before_utc > now:
            begins = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
            yield f"certificate: '{_subject(certificate)}' is not valid before {begins}; check the clock of this machine, or wait"


def _lacking_names(leaf: x509.Certificate, names: Sequence[str]) -> Iterator[str]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        present = extension.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        present = []
    covered = {name.lower() for name in present}  # DNS names are case-insensitive
    lacking = [name for name in names if not {name.lower(), f"*.{name.lower().partition('.')[2]}"} & covered]
    if lacking:
        yield (
            f"certificate: is issued for {', '.join(present) or 'no name'}, but not for {', '.join(lacking)}; get one for"
            f" {', '.join(names)}"
        )


def _broken_links(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    for below, above in itertools.pairwise(chain):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            yield (
                f"certificate: '{_subject(below)}' is not issued by '{above.subject.rfc4514_string()}', which follows it;"
                " paste the chain in order, each certificate followed by its issuer"
            )

"""What a certificate chain and its key have to be: checked in the settings, and again by the role that brings them to a host."""

import datetime
import itertools
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def chain_of(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text in their order; none if it cannot be read."""
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


def certificate_faults(chain_text: str, key_text: str | None, names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong: the chain has to be whole, in date, for all `names`, and of this key.

    Without a key (None) the chain alone is checked. No sentence shows anything of the key.
    """
    chain = chain_of(chain_text)
    if not chain:
        yield "certificate: no PEM certificate can be read from it; paste the whole chain, the leaf first"
    key = _key_of(key_text) if key_text is not None else None
    if key_text is not None and not key:
        yield "certificate_key: no PEM private key without a passphrase can be read from it; set the key in PEM"
    if not chain or (key_text is not None and not key):
        return
    if key and _public(key) != _public(chain[0]):
        yield "certificate_key: it is not the key of certificate, whose leaf has to come first; set the two that belong together"
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


def _whose(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "the leaf"


def _out_of_date(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    now = datetime.datetime.now(datetime.UTC)
    for certificate in chain:
        if certificate.not_valid_after_utc <= now:
            ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
            yield f"certificate: '{_whose(certificate)}' expired on {ends}; get a new one, and set certificate and certificate_key"
        elif certificate.not_valid_before_utc > now:
            begins = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
            yield f"certificate: '{_whose(certificate)}' is valid from {begins} on only; check this machine's clock, or wait"


def _lacking_names(leaf: x509.Certificate, names: Sequence[str]) -> Iterator[str]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        held = extension.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        held = []
    covered = {name.lower() for name in held}  # capitals mean nothing in DNS names
    lacking = [name for name in names if not {name.lower(), f"*.{name.lower().partition('.')[2]}"} & covered]
    if lacking:
        yield (
            f"certificate: it is for {', '.join(held) or 'no name'} and not for {', '.join(lacking)}; get one that names"
            f" {', '.join(names)}"
        )


def _broken_links(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    for below, above in itertools.pairwise(chain):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            yield (
                f"certificate: '{_whose(below)}' is not issued by '{above.subject.rfc4514_string()}', which follows it;"
                " paste the chain in its order, each followed by its issuer"
            )

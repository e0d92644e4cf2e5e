"""The one form of certificates and private keys: PEM with lines of 64 characters, from all forms in which people paste them."""

import base64
import re
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.S)
CERTIFICATES = {"CERTIFICATE", "X509 CERTIFICATE"}
UNREADABLE = "contains no readable PEM certificate"
UNREADABLE_KEY = "contains no readable PEM private key without a passphrase"
SET_KEY = "`pulumi config set --secret certificate_key < key.pem`"
"""The command that sets the private key as a secret of Pulumi."""
OTHERS = {
    "CERTIFICATE REQUEST": "it is the request for a certificate; paste what the authority issued for it",
    "NEW CERTIFICATE REQUEST": "it is the request for a certificate; paste what the authority issued for it",
    "PKCS7": "it is in PKCS #7; convert it with `openssl pkcs7 -print_certs -in FILE`, and paste the result",
    "CMS": "it is in PKCS #7; convert it with `openssl pkcs7 -print_certs -in FILE`, and paste the result",
    "TRUSTED CERTIFICATE": "it is in OpenSSL's own form; convert it with `openssl x509 -in FILE`, and paste the result",
    "PUBLIC KEY": "it is a public key; paste the certificate that the authority issued for it",
}
"""What to do about blocks that people take for a certificate."""
PASTE = "paste the whole chain, the leaf first"


class Block(NamedTuple):
    """A PEM block: its label, and its text between the marks."""

    label: str
    body: str


def chain(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text in order, each once; ValueError says what is wrong, and what to paste instead."""
    if has_private_key(text):
        raise ValueError(
            "contains a private key, which would be stored in clear; use a new key and certificate, paste the certificates alone,"
            f" and set the key with {SET_KEY}"
        )
    found = _blocks(text)
    blocks = [block for block in found if block.label in CERTIFICATES]
    if not blocks:
        raise ValueError(f"{UNREADABLE}; {_instead(text, found)}")
    certificates: list[x509.Certificate] = []
    for number, block in enumerate(blocks, 1):
        try:
            certificate = x509.load_der_x509_certificate(_decoded(block))
            certificate.public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(
                f"{UNREADABLE} in block {number} of {len(blocks)}; copy this block again, with all its lines"
            ) from None
        if certificate not in certificates:
            certificates.append(certificate)
    return certificates


def chain_text(text: str) -> str:
    """Return the certificates of a PEM text in the one form; ValueError as in `chain`."""
    pem = serialization.Encoding.PEM
    return "".join(certificate.public_bytes(pem).decode() for certificate in chain(text)).strip()


def private_key(text: str) -> PrivateKeyTypes:
    """Return the private key of a PEM text; ValueError says what is wrong, without any part of the key."""
    keys = [block for block in _blocks(text) if block.label.endswith("PRIVATE KEY")]
    if len(keys) != 1:
        found = f"there are {len(keys)} keys in it" if keys else "there is no PEM block of a private key in it"
        raise ValueError(f"{UNREADABLE_KEY}; {found}: set the key of the certificate with {SET_KEY}")
    (block,) = keys
    if "ENCRYPTED" in block.label or "ENCRYPTED" in block.body:
        raise ValueError(
            f"{UNREADABLE_KEY}; it is encrypted: remove the passphrase with `openssl pkey -in FILE -out key.pem`, and set it with"
            f" {SET_KEY}"
        )
    if block.label.startswith("OPENSSH"):
        raise ValueError(
            f"{UNREADABLE_KEY}; it is in OpenSSH's form, a key for logins: set the key of the certificate with {SET_KEY}"
        )
    try:
        return serialization.load_pem_private_key(_pem(block.label, _decoded(block)), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{UNREADABLE_KEY}; the block is damaged: set the key again with {SET_KEY}") from None


def private_key_text(text: str) -> str:
    """Return a private key in the one form, PKCS #8; ValueError as in `private_key`."""
    return key_bytes(private_key(text)).decode().strip()


def key_bytes(key: PrivateKeyTypes) -> bytes:
    """Return a private key as PEM, in PKCS #8, without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def has_private_key(text: str) -> bool:
    """Return whether a text contains a private key, or a part of one that is recognisable."""
    return re.search(r"BEGIN[A-Z0-9 _-]*PRIVATE[ _-]KEY", text, re.I) is not None


def _blocks(text: str) -> list[Block]:
    plain = text.replace("\ufeff", "").replace("\\r", "").replace("\\n", "\n")
    return [Block(*found) for found in BLOCK.findall(plain)]


def _decoded(block: Block) -> bytes:
    return base64.b64decode("".join(block.body.split()), validate=True)


def _pem(label: str, der: bytes) -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def _instead(text: str, found: list[Block]) -> str:
    for block in found:
        if block.label in OTHERS:
            return OTHERS[block.label]
    if "-----BEGIN" in text:
        return f"a block has no end, or its marks differ: {PASTE}"
    bare = text.strip()
    if re.fullmatch(r"\S*[/\\]?\S+\.(pem|crt|cer|key|p12|pfx)", bare) or bare.startswith(("/", "~", "./")):
        return f"'{bare[:80]}' is the path of a file: paste what the file contains, the leaf first"
    return PASTE

"""The rehearsal's certificate authority and the class's certificate; only root can read their keys."""

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rehearsal.folders import STACK

DAYS = 60
NAME = "Sovereign Classroom rehearsal"
"""The authority's common name in its certificates."""


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def issue(
    subject: str, names: list[str], issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None, days: int = DAYS
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return a new certificate for `names` and its key; self-signed, as an authority, without `issuer`. `days` may be negative."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    ends = now + datetime.timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer[0].subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends) - datetime.timedelta(days=1))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signing = issuer[1] if issuer else key
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    builder = builder.add_extension(
        x509.KeyUsage(
            digital_signature=issuer is not None,
            key_cert_sign=issuer is None,
            crl_sign=issuer is None,
            encipher_only=False,
            decipher_only=False,
            **usage,
        ),
        critical=True,
    ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    if issuer:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
        builder = builder.add_extension(alternatives, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(signing, hashes.SHA256()), key


def names_of(domain: str) -> list[str]:
    """Return the names that a class's certificate covers: its page and up to nine TURN servers."""
    return [domain, f"turn.{domain}", *(f"turn{n}.{domain}" for n in range(1, 10))]


def ensure(domain: str) -> None:
    """Create the authority and the class's certificate if they are missing or about to expire."""
    ensure_authority(NAME, "root")
    chain_file = STACK / "class.pem"
    if not chain_file.exists() or not _fresh(chain_file):
        chain, key = signed("root", domain, names_of(domain))
        _write(STACK / "class.key", key, 0o600)
        _write(chain_file, chain + (STACK / "root.pem").read_bytes(), 0o644)


def ensure_authority(name: str, stem: str) -> Path:
    """Create an authority with this name if it is missing, as `<stem>.pem` and `<stem>.key`; return its certificate's path."""
    root_file = STACK / f"{stem}.pem"
    if not root_file.exists():
        certificate, key = issue(name, [], None)
        _write(STACK / f"{stem}.key", _pem(key), 0o600)
        _write(root_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return root_file


def signed(stem: str, subject: str, names: list[str]) -> tuple[bytes, bytes]:
    """Return a new certificate for `names` and its key, both PEM, signed by the authority in `<stem>.pem`."""
    root = x509.load_pem_x509_certificate((STACK / f"{stem}.pem").read_bytes())
    root_key = serialization.load_pem_private_key((STACK / f"{stem}.key").read_bytes(), None)
    assert isinstance(root_key, ec.EllipticCurvePrivateKey)
    certificate, key = issue(subject, names, (root, root_key), days=DAYS - 1)
    return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def der(path: Path) -> bytes:
    """Return the certificate of a PEM file as DER."""
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)


def _fresh(path: Path) -> bool:
    chain = x509.load_pem_x509_certificates(path.read_bytes())
    left = chain[0].not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return len(chain) > 1 and left > datetime.timedelta(days=35)

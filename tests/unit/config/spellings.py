"""Values in several spellings, and material to make certificates and keys as people have them."""

import base64
import datetime
import ipaddress
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from hypothesis import strategies as st

PEM = serialization.Encoding.PEM
NAMES = ("class.example", "turn.class.example")
Signer = tuple[x509.Certificate, Any]


def certificate(
    subject: str,
    signer: Signer | None,
    key: Any = None,
    days: int = 60,
    *,
    names: Sequence[str] = NAMES,
    authority: bool = False,
    published: bool = False,
) -> Signer:
    """Return a certificate and its key, signed by `signer` or by itself; `published` says where the issuer's certificate is."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateBuilder(
        signer[0].subject if signer else name, name, key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(now - datetime.timedelta(days=400)).not_valid_after(
        now + datetime.timedelta(days=days)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if not authority:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    if published:
        place = x509.UniformResourceIdentifier("http://authority.example/issuer.der")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    signing = signer[1] if signer else key
    return builder.sign(signing, None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()), key


def pem(*signers: Signer) -> str:
    """Return certificates as one PEM text."""
    return "".join(one.public_bytes(PEM).decode() for one, _ in signers)


def key_pem(key: Any, form: Any = serialization.PrivateFormat.PKCS8) -> str:
    """Return a private key as PEM."""
    return str(key.private_bytes(PEM, form, serialization.NoEncryption()).decode())


def key_line(kind: str) -> str:
    """Return a new public key of a kind, with a comment."""
    made = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "small": lambda: rsa.generate_private_key(65537, 1024),
        "ecdsa": lambda: ec.generate_private_key(ec.SECP384R1()),
        "dss": lambda: dsa.generate_private_key(1024),
    }[kind]()
    line = made.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} ada@school"


def security_key() -> str:
    """Return the public key of a security key."""
    parts = (b"sk-ssh-ed25519@openssh.com", bytes(range(32)), b"ssh:")
    return f"sk-ssh-ed25519@openssh.com {base64.b64encode(b''.join(len(p).to_bytes(4, 'big') + p for p in parts)).decode()} ada"


def rfc4716(line: str, folder: Path) -> str:
    """Return a public key in the form of RFC 4716, as ssh-keygen writes it."""
    file = folder / "key.pub"
    file.write_text(line)
    return subprocess.run(["ssh-keygen", "-e", "-f", str(file)], capture_output=True, text=True, check=True).stdout


TEXTS = {
    "as it is": lambda text: text,
    "BOM": lambda text: "\ufeff" + text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "folded": lambda text: " ".join(text.split("\n")),
    "indented": lambda text: "".join(f"  {line}\n" for line in text.splitlines()),
    "escaped": lambda text: text.replace("\n", "\\n"),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "explained": lambda text: f"subject=CN = class.example\nissuer=CN = authority\n{text}\n",
}
"""Spellings of a PEM text."""


@st.composite
def networks(draw: st.DrawFn) -> tuple[str, str]:
    """Give two spellings of one network."""
    if draw(st.booleans()):
        four = ipaddress.ip_network((draw(st.integers(2**24, 2**32 - 1)), draw(st.integers(8, 32))), strict=False)
        spellings = [
            str(four),
            f" {four}",
            f"{four.network_address}/{four.netmask}",
            f"{four.network_address}/{four.prefixlen:03d}",
        ]
        spellings += [str(four.network_address)] if four.prefixlen == 32 else []
        return draw(st.sampled_from(spellings)), draw(st.sampled_from(spellings))
    six = ipaddress.ip_network((draw(st.integers(2**125, 2**126 - 1)), draw(st.integers(16, 128))), strict=False)
    long = six.network_address.exploded
    spellings = [
        str(six),
        f"{long}/{six.prefixlen}",
        f"{long.upper()}/{six.prefixlen}",
        f"{str(six.network_address).upper()}/{six.prefixlen}",
    ]
    spellings += [long] if six.prefixlen == 128 else []
    return draw(st.sampled_from(spellings)), draw(st.sampled_from(spellings))

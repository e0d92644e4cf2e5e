"""Certificates and keys for settings."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from rehearsal.authority import issue

ENDPOINTS = [
    {"use": "dns", "name": "dns.example", "operator": "Example Cooperative", "addresses": ["192.0.2.53"]},
    {"use": "ntp", "name": "ntp.example", "operator": "Example Cooperative", "addresses": ["192.0.2.123"]},
    {
        "use": "packages",
        "name": "mirror.example",
        "operator": "Example Cooperative",
        "addresses": ["192.0.2.80"],
        "url": "https://mirror.example/debian",
    },
]
"""What every machine needs of the outside."""
PEM = serialization.Encoding.PEM


def issued(*names: str, days: int = 60) -> dict[str, str]:
    """Return the settings `certificate` and `certificate_key` for these names."""
    root = issue("authority", [], None)
    leaf, key = issue(names[0], list(names), root, days=days)
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = leaf.public_bytes(PEM) + root[0].public_bytes(PEM)
    return {"certificate": chain.decode(), "certificate_key": private.decode()}


@pytest.fixture(scope="session")
def certificate() -> dict[str, str]:
    return issued("class.example", "turn.class.example")


@pytest.fixture(scope="session")
def smallest(certificate: dict[str, str], public_key: str) -> dict[str, Any]:
    """The smallest settings of a classroom on no cloud in particular."""
    return {
        "region": "r",
        "image": "debian-13",
        "flavor_front": "small",
        "external_network": "public",
        "endpoints": ENDPOINTS,
        "domain": "class.example",
        "admins": [{"name": "ada", "public_key": public_key}],
        "ssh_from": ["192.0.2.0/24"],
        "classes": [{"name": "CM2", "size": 30}],
        **certificate,
    }


@pytest.fixture(scope="session")
def public_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()

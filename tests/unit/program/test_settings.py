"""Settings: what is taken, and one clear sentence for what is not."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from classroom.errors import WrongUseError
from classroom.settings import load
from rehearsal.authority import issue

PEM = serialization.Encoding.PEM


def certificate(*names: str, days: int = 60) -> dict[str, str]:
    root = issue("authority", [], None)
    leaf, key = issue(names[0], list(names), root, days=days)
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"certificate": leaf.public_bytes(PEM).decode(), "certificate_key": private.decode()}


def public_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


@pytest.fixture
def values() -> dict[str, Any]:
    return {
        "region": "GRA11",
        "image": "Debian 13",
        "flavor_front": "small",
        "external_network": "public",
        "domain": "class.example",
        "admins": [{"name": "ada", "public_key": public_key()}],
        "ssh_from": ["192.0.2.0/24"],
        "classes": [{"name": "CM2", "size": 30}],
        **certificate("class.example", "turn.class.example"),
    }


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(WrongUseError) as caught:
        load(values)
    return str(caught.value)


def test_the_smallest_settings_are_taken(values: dict[str, Any]) -> None:
    settings = load(values)
    assert settings.shape == "single"
    assert settings.turn_names == ["turn.class.example"]
    assert settings.classes[0].room == "cm2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"regoin": "GRA11"}, ["regoin", "there is no such key"]),
        ({"region": None}, ["region", "None"]),
        ({"network_cidr": "10.20.0/24"}, ["network_cidr", "10.20.0/24", "10.20.0.0/24"]),
        (
            {"network_cidr": "203.0.113.0/24", "ssh_from": ["203.0.113.0/25"]},
            ["ssh_from", "203.0.113.0/25", "overlaps"],
        ),
        ({"ssh_from": ["10.20.0.0/16"]}, ["ssh_from", "10.20.0.0/16", "network_cidr"]),
        ({"ipv6": "2001:db8::/48"}, ["ipv6", "2001:db8::/48", "/64"]),
        ({"shape": "both"}, ["shape", "both"]),
        ({"shape": "split"}, ["flavor_media", "split"]),
        ({"media_count": 2}, ["media_count", "2", "split"]),
        ({"domain": "Class.Example"}, ["domain", "Class.Example"]),
        ({"classes": [{"name": "CM2", "size": 30}, {"name": "cm2", "size": 3}]}, ["classes", "CM2", "cm2", "rename"]),
        ({"classes": [{"name": "CM2", "size": "many"}]}, ["classes.0.size", "many"]),
        ({"admins": [{"name": "root", "public_key": "x"}]}, ["admins.0.name", "root"]),
        (
            {"admins": [{"name": "ada", "public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}]},
            ["public_key", "private", ".pub"],
        ),
        ({"certificate": "none"}, ["certificate", "PEM"]),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], changes: dict[str, Any], words: list[str]) -> None:
    message = refused(values | changes)
    assert [word for word in words if word not in message] == [], message


def test_what_is_missing_is_named(values: dict[str, Any]) -> None:
    del values["image"]
    assert "image: it is missing" in refused(values)


def test_an_expired_certificate_is_named_with_its_date(values: dict[str, Any]) -> None:
    message = refused(values | certificate("class.example", "turn.class.example", days=-2))
    assert "expired on 20" in message


def test_a_certificate_of_another_name_is_named(values: dict[str, Any]) -> None:
    message = refused(values | certificate("other.example"))
    assert "other.example" in message and "class.example" in message


def test_a_key_of_another_certificate_is_named_and_not_shown(values: dict[str, Any]) -> None:
    other = certificate("class.example", "turn.class.example")["certificate_key"]
    message = refused(values | {"certificate_key": other})
    assert "certificate_key is not the key of certificate" in message
    assert other.splitlines()[1] not in message

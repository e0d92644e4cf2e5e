"""Settings: accepted values, and the message for each fault."""

import datetime
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.config.endpoints import faults_of
from classroom.config.settings import Settings, load
from tests.unit.conftest import issued

PEM = serialization.Encoding.PEM


@pytest.fixture
def values(smallest: dict[str, Any]) -> dict[str, Any]:
    """The smallest settings without `endpoints`, which is optional."""
    return {key: value for key, value in smallest.items() if key != "endpoints"} | {
        "region": "GRA11",
        "image": "Debian 13",
    }


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(WrongUseError) as caught:
        load(values)
    return str(caught.value)


def test_the_smallest_settings_are_accepted(values: dict[str, Any]) -> None:
    settings = load(values)
    assert settings.shape == "single"
    assert settings.turn_names == ["turn.class.example"]
    assert settings.classes[0].room == "cm2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"regoin": "GRA11"}, ["regoin", "unknown key"]),
        ({"region": None}, ["region", "has no value"]),
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
        ({"domain": "Class Example"}, ["domain", "'Class Example'", "' ' is not allowed", "class.academy.example"]),
        ({"classes": [{"name": "CM2", "size": 30}, {"name": "cm2", "size": 3}]}, ["classes", "CM2", "cm2", "rename"]),
        ({"classes": [{"name": "CM2", "size": "many"}]}, ["classes.0.size", "many"]),
        (
            {"classes": [{"name": "CM2", "size": 30, "code_versions": {"pupil": 0}}]},
            ["classes.0.code_versions.pupil", "0"],
        ),
        (
            {"classes": [{"name": "CM2", "size": 30, "code_versions": {"pupils": 2}}]},
            ["classes.0.code_versions.pupils", "pupil?"],
        ),
        ({"waiting_room": "sometimes"}, ["waiting_room", "sometimes"]),
        ({"admins": [{"name": "root", "public_key": "x"}]}, ["admins.0.name", "root"]),
        (
            {"admins": [{"name": "ada", "public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}]},
            ["public_key", "private", ".pub"],
        ),
        ({"certificate": "none"}, ["certificate", "PEM"]),
    ],
)
def test_faults_are_named(values: dict[str, Any], changes: dict[str, Any], words: list[str]) -> None:
    message = refused(values | changes)
    assert [word for word in words if word not in message] == [], message


def test_a_missing_key_is_named(values: dict[str, Any]) -> None:
    del values["image"]
    assert "image: missing" in refused(values)


def test_an_expired_certificate_is_named_with_its_date(values: dict[str, Any]) -> None:
    message = refused(values | issued("class.example", "turn.class.example", days=-2))
    assert "expired on 20" in message


def test_a_certificate_of_another_name_is_named(values: dict[str, Any]) -> None:
    message = refused(values | issued("other.example"))
    assert "other.example" in message and "class.example" in message


def test_a_key_of_another_certificate_is_named_and_not_shown(values: dict[str, Any]) -> None:
    other = issued("class.example", "turn.class.example")["certificate_key"]
    message = refused(values | {"certificate_key": other})
    assert "certificate_key: does not match" in message
    assert other.splitlines()[1] not in message


def test_the_example_is_accepted_and_explains_every_key(certificate: dict[str, str], public_key: str) -> None:
    text = (REPO / "Pulumi.example.yaml").read_text()
    assert [key for key in Settings.model_fields if key not in text] == []
    found = {key.removeprefix("classroom:"): value for key, value in yaml.safe_load(text)["config"].items()}
    found |= issued(found["domain"], f"turn.{found['domain']}")
    found["admins"][0]["public_key"] = public_key
    settings = load(found)
    assert settings.shape == "single"
    assert faults_of(settings.endpoints) == []


def test_every_key_has_a_description_and_unknown_keys_are_refused() -> None:
    schema = Settings.model_json_schema()
    assert schema["additionalProperties"] is False
    for section in (schema, *schema["$defs"].values()):
        assert [name for name, field in section["properties"].items() if not field.get("description")] == []


def test_all_faults_are_reported_at_once(values: dict[str, Any]) -> None:
    wrong = {"shape": "split", "ipv6": "2001:db8::/48", "network_cidr": "192.0.2.0/29", **issued("other.example")}
    lines = refused(values | wrong).splitlines()
    assert [line.split(":")[0] for line in lines] == ["flavor_media", "network_cidr", "ipv6", "ssh_from", "certificate"]
    for changes, words in (
        ({"flavour_media": "small"}, "did you mean flavor_media?"),
        ({"flavour_front": "small"}, "flavor_front is already set"),
        ({"admins": [{"name": "ada", "pubkey": "y"}]}, "did you mean public_key?"),
        ({"admins": [{"name": "ada", "public_key": "x", "pubkey": "y"}]}, "public_key is already set"),
    ):
        assert words in refused(values | changes)


def test_faults_of_a_chain(values: dict[str, Any], certificate: dict[str, str]) -> None:
    other = issued("class.example")
    chain = certificate["certificate"] + other["certificate"]
    message = refused(values | certificate | {"certificate": chain})
    assert "CN=authority' is not issued by 'CN=class.example', which follows it" in message
    nameless = unnamed()
    message = refused(values | nameless)
    assert "certificate: is issued for no name" in message and "not for class.example" in message
    assert "is not valid before 20" in refused(values | unnamed(begins=10))


def unnamed(begins: int = -1) -> dict[str, str]:
    """Return a certificate without names, valid from `begins` days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "class.example")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now + datetime.timedelta(begins)).not_valid_after(now + datetime.timedelta(90))
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "certificate": made.sign(key, hashes.SHA256()).public_bytes(PEM).decode(),
        "certificate_key": private.decode(),
    }


def test_a_key_with_a_passphrase_is_refused_and_not_shown(values: dict[str, Any]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    ).decode()
    message = refused(values | {"certificate_key": locked})
    assert "certificate_key: contains no readable PEM private key without a passphrase" in message
    assert locked.splitlines()[1] not in message
    assert "certificate_key" in refused(values | {"certificate_key": ["secret-in-a-list"]})
    assert "secret-in-a-list" not in refused(values | {"certificate_key": ["secret-in-a-list"]})

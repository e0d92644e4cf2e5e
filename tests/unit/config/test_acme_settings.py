"""`acme` instead of a certificate: what is accepted, the message for each fault, and what the gate judges."""

import base64
from typing import Any

import pytest

from classroom.common.errors import WrongUseError
from classroom.config.endpoints import egress_for
from classroom.config.ports import port_number
from classroom.config.settings import Settings, load
from classroom.provision.classroom import secret_variables

ROW = {
    "use": "ca",
    "name": "acme.example",
    "operator": "Example Cooperative",
    "addresses": ["192.0.2.14", "2001:db8:e::14"],
    "url": "https://acme.example:9014/dir",
}
ACME = {"directory": "https://acme.example:9014/dir", "email": "operations@academy.example"}
DEFAULT = port_number("https")
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")


@pytest.fixture
def values(smallest: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in smallest.items() if not key.startswith("certificate")}
    return kept | {"acme": ACME, "endpoints": [*smallest["endpoints"], ROW]}


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(WrongUseError) as caught:
        load(values)
    return str(caught.value)


def test_acme_replaces_the_certificate(values: dict[str, Any]) -> None:
    settings = load(values)
    assert settings.acme and settings.acme.host == "acme.example"
    assert settings.certificate is None and settings.certificate_key is None
    assert set(secret_variables(settings, "a", "b")) == {"classroom_secret_livekit", "classroom_secret_codes_key"}


def test_machines_reach_the_authority_alone_and_only_its_own_account_does(values: dict[str, Any]) -> None:
    rules = [rule for rule in egress_for(load(values).endpoints) if rule.use == "ca"]
    assert [(rule.account, rule.protocol, rule.port, rule.addresses) for rule in rules] == [
        ("acme", "tcp", 9014, tuple(ROW["addresses"]))
    ]


@pytest.mark.parametrize(
    "written",
    [KEY, f"  {KEY}\n", f"{KEY[:20]} {KEY[20:]}", f"{KEY[:20]}\n{KEY[20:]}", f"{KEY}=", base64.b64encode(bytes(range(32))).decode()],
)  # fmt: skip
def test_an_eab_key_with_blanks_padding_or_in_ordinary_base64_is_the_same_key(
    values: dict[str, Any], written: str
) -> None:
    settings = load(values | {"acme": ACME | {"eab": "key-1"}, "acme_eab_key": written})
    assert settings.acme_eab_key and settings.acme_eab_key.get_secret_value() == KEY
    assert secret_variables(settings, "a", "b")["classroom_secret_acme_eab_key"] == KEY


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"acme": None}, ["certificate: missing", "or set acme"]),
        ({"acme": {}}, ["acme.directory: missing"]),
        ({"acme": ACME | {"directory": "http://acme.example/dir"}}, ["acme.directory", "not encrypted"]),
        ({"acme": ACME | {"directory": "https://ada:hidden-word-7@acme.example"}}, ["acme.directory", "in clear"]),
        ({"acme": ACME | {"directory": "acme.example"}}, ["acme.directory", "is not a URL"]),
        ({"acme": ACME | {"directory": "https://other.example/dir"}}, ["use: ca", "other.example", "cannot judge"]),
        ({"acme": ACME | {"directory": "https://acme.example/dir"}}, ["is for port 9014", "set its url"]),
        ({"acme": ACME | {"email": "the team"}}, ["acme.email", "the team"]),
        ({"acme": ACME | {"eab": "key 1"}}, ["acme.eab", "blanks"]),
        ({"acme": ACME | {"eab": "key-1"}}, ["acme_eab_key: missing", "pulumi config set --secret acme_eab_key"]),
        ({"acme_eab_key": KEY}, ["acme.eab: missing"]),
        ({"acme": ACME | {"eab": "k"}, "acme_eab_key": "hidden-word-7"}, ["acme_eab_key", "base64url"]),
        ({"acme": ACME | {"eab": "k"}, "acme_eab_key": 7}, ["acme_eab_key", "not a text"]),
        ({"acme": ACME | {"eab": "k"}, "acme_eab_key": ["hidden-word-7"]}, ["acme_eab_key", "not a text"]),
        ({"acme": ACME | {"root": "none"}}, ["acme.root", "PEM"]),
        ({"acme": ACME | {"directry": "x"}}, ["acme.directry", "directory is already set"]),
        ({"acme": {"directry": "x"}}, ["acme.directry", "did you mean directory?"]),
    ],
)
def test_faults_are_named_without_secrets(values: dict[str, Any], changes: dict[str, Any], words: list[str]) -> None:
    message = refused(values | changes)
    assert [word for word in words if word not in message] == [], message
    assert "hidden-word-7" not in message and KEY not in message


def test_certificate_and_acme_exclude_each_other(values: dict[str, Any], certificate: dict[str, str]) -> None:
    assert "certificate: is set beside acme" in refused(values | certificate)
    plain = {key: value for key, value in values.items() if key != "acme"}
    assert "acme_eab_key: is set, but acme is not" in refused(plain | certificate | {"acme_eab_key": KEY})
    assert "certificate_key: missing" in refused(plain | {"certificate": certificate["certificate"]})


def test_the_directory_keeps_its_final_slash(values: dict[str, Any]) -> None:
    row = ROW | {"url": "https://acme.example/"}
    endpoints = [*values["endpoints"][:-1], row]

    def directory(text: str) -> str:
        found: Settings = load(values | {"acme": {"directory": text}, "endpoints": endpoints})
        assert found.acme
        return found.acme.directory

    assert directory("https://ACME.example/acme/directory/") == "https://acme.example/acme/directory/"
    assert directory(f"https://acme.example:{DEFAULT}/acme") == "https://acme.example/acme"

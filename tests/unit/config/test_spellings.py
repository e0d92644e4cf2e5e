"""Two spellings of one value give the same settings and the same plan; names as schools write them."""
# ruff: noqa: RUF001

import copy
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from classroom.common import hosts
from classroom.common.errors import WrongUseError
from classroom.common.networks import network
from classroom.config import keys
from classroom.config.guest import TAKEN_NAMES
from classroom.config.settings import load
from classroom.config.valid_names import class_name, room_name
from tests.unit.config.spellings import (
    NAMES,
    TEXTS,
    certificate,
    key_line,
    key_pem,
    networks,
    pem,
    rfc4716,
    security_key,
)
from tests.unit.conftest import issued

OLD = st.text("ABCabcXYZ0189 ._-", max_size=39).map("C{}".format)
"""Names that earlier versions accepted."""


def refused(values: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(WrongUseError) as caught:
        load(values | changes)
    return str(caught.value)


@trials(deadline=None, max_examples=60)
@given(networks())
def test_two_spellings_of_a_network_are_one(pair: tuple[str, str]) -> None:
    assert network(pair[0]) == network(pair[1])
    assert network(network(pair[0])) == network(pair[0])


@pytest.mark.parametrize(
    ("spelling", "one"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("2001:DB8:0:0::/64", "2001:db8::/64"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_network_has_the_form_of_the_cloud_s_interface(smallest: dict[str, Any], spelling: str, one: str) -> None:
    values = smallest | {"ssh_from": ["198.51.100.0/24", spelling, one]}
    assert sorted(load(values).ssh_from) == sorted({"198.51.100.0/24", one} if one != "0.0.0.0/0" else {one})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("192.0.2.7/24", ["'192.0.2.7/24'", "write 192.0.2.0/24", "or 192.0.2.7 "]),
        ("0.0.0.0", ["'0.0.0.0'", "0.0.0.0/0"]),
        ("fe80::1%eth0", ["'fe80::1%eth0'", "leave out '%'"]),
        ("192.0.2.1-192.0.2.9", ["'192.0.2.1-192.0.2.9'", "192.0.2.0/24"]),
    ],
)
def test_what_is_no_network_is_refused_with_the_fix(smallest: dict[str, Any], text: str, words: list[str]) -> None:
    message = refused(smallest, ssh_from=[text])
    assert message.startswith("ssh_from.0: ")
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize("domain", ["Class.Example", "class.example.", " CLASS.EXAMPLE "])
def test_a_domain_in_another_spelling(smallest: dict[str, Any], domain: str) -> None:
    assert load(smallest | {"domain": domain}) == load(smallest)


def test_an_international_domain_has_its_ascii_form(smallest: dict[str, Any]) -> None:
    ascii_form = "xn--acadmie-eya.example"
    values = smallest | issued(ascii_form, f"turn.{ascii_form}")
    assert load(values | {"domain": "Académie.example"}) == load(values | {"domain": ascii_form})
    assert hosts.host_name(unicodedata.normalize("NFD", "académie.example")) == ascii_form


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("https://class.example/", ["write the host name alone: class.example"]),
        ("192.0.2.1", ["'192.0.2.1'", "IP address"]),
        ("class", ["'class'", "class.academy.example"]),
        ("my_class.example", ["'my_class.example'", "'_'"]),
        ("a..example", ["two dots"]),
        (f"{'a' * 64}.example", ["64 characters", "at most 63"]),
        (".".join(["a" * 62] * 4), ["251 characters", "247 at most", "turn1."]),
        ("xn--zzzzzz99.example", ["'xn--zzzzzz99.example'"]),
        ("ada:word@class.example", ["'@'"]),
    ],
)
def test_what_is_no_domain_is_refused_with_the_fix(smallest: dict[str, Any], domain: str, words: list[str]) -> None:
    message = refused(smallest, domain=domain)
    assert message.startswith("domain: ") and "ada:word" not in message
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("6ème B", "6eme-b"),
        ("Terminale spé", "terminale-spe"),
        ("CE1/CE2", "ce1-ce2"),
        ("L'atelier", "l-atelier"),
        ("L’atelier d’été", "l-atelier-d-ete"),
        ("Français (groupe 1)", "francais-groupe-1"),
        ("3ᵉ A", "3e-a"),
        ("Salle n° 2", "salle-ndeg-2"),
        ("1re & 2de – STMG", "1re-2de-stmg"),
        ("Größe 5b", "grosse-5b"),
        ("Łódź", "lodz"),
        ("Клас 5", "klas-5"),
        ("Τάξη Α΄", "taxi-a"),
        ("CM2", "cm2"),
    ],
)
def test_names_as_schools_write_them(smallest: dict[str, Any], name: str, room: str) -> None:
    (found,) = load(smallest | {"classes": [{"name": name, "size": 30}]}).classes
    assert (found.name, found.room) == (name, room)
    decomposed = {"name": f" {unicodedata.normalize('NFD', name)}  ", "size": 30}
    assert load(smallest | {"classes": [decomposed]}).classes == [found]


@trials(deadline=None, max_examples=60)
@given(OLD)
def test_the_rooms_of_earlier_versions_stay(name: str) -> None:
    assert class_name(name) == " ".join(name.split())
    assert room_name(class_name(name)) == re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["6ème B", "6eme-b"], ["'6ème B'", "'6eme-b'", "rename"]),
        (["!?", "A"], ["'!?'", "no letter and no digit"]),
        (["{{ x }}"], ["{{ x }}", "'{'"]),
        (["a\u202eb"], ["U+202E"]),
        (["é" * 41], ["41 characters", "shorten it to 40"]),
        ([601], ["601", "a number", "in quotes"]),
        ([60.0], ["60.0", "a number", "in quotes"]),
        ([True], ["true or false", "in quotes"]),
        ([None], ["has no value", "write one after the colon"]),
        ([""], ["empty"]),
    ],
)
def test_names_that_are_refused(smallest: dict[str, Any], names: list[Any], words: list[str]) -> None:
    message = refused(smallest, classes=[{"name": name, "size": 30} for name in names])
    assert message.startswith("classes")
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    "name",
    sorted(
        {"backup", "nobody", "sshd", "unbound", "sync", "adm", "sudo", "staff", "games", "verifier", "classroom-admins"}
    ),
)
def test_accounts_that_are_taken(smallest: dict[str, Any], public_key: str, name: str) -> None:
    message = refused(smallest, admins=[{"name": name, "public_key": public_key}])
    assert f"admins.0.name: '{name}' is an account or group of" in message and "choose another" in message


@pytest.mark.parametrize(
    ("name", "near"), [("Ada", "ada"), ("ada.lovelace", "ada-lovelace"), ("Émile", "emile"), ("7up", "up")]
)
def test_accounts_in_another_form_get_a_proposal(
    smallest: dict[str, Any], public_key: str, name: str, near: str
) -> None:
    assert f"such as '{near}'" in refused(smallest, admins=[{"name": name, "public_key": public_key}])
    assert near not in TAKEN_NAMES


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_spellings_of_a_public_key(tmp_path: Path, kind: str) -> None:
    line = key_line(kind)
    one = " ".join(line.split()[:2])
    spki = serialization.load_ssh_public_key(line.encode()).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    converted = rfc4716(line, tmp_path)
    texts = [line, f"\ufeff{line}\r\n", f"# of Ada\n\n{line}\n", converted, " ".join(converted.split("\n")), one]
    texts += [spki.decode()] if kind != "ed25519" else []
    assert {keys.public_key(text) for text in texts} == {one}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            lambda: f'from="192.0.2.0/24,!192.0.2.9",no-pty {key_line("ed25519")}',
            ["'from=", "options are not supported", "ssh_from"],
        ),
        (lambda: key_line("dss"), ["'ssh-dss'", "no longer accept", "ssh-keygen -t ed25519"]),
        (lambda: key_line("small"), ["1024 bits", "2048"]),
        (lambda: f"{key_line('ed25519')}\n{key_line('ed25519')}", ["2 keys", "an entry of `admins` for each"]),
        (lambda: "~/.ssh/id_ed25519.pub", ["path of a file"]),
        (lambda: "SHA256:abcdef", ["fingerprint"]),
        (lambda: "# only a comment", ["'# only a comment'", ".pub"]),
        (lambda: key_line("ed25519")[:50], ["incomplete"]),
        (lambda: key_line("ed25519").replace("ssh-ed25519", "ssh-rsa"), ["contains a key of type 'ssh-ed25519'"]),
        (lambda: key_pem(ed25519.Ed25519PrivateKey.generate()), ["private key", ".pub"]),
    ],
)
def test_public_keys_that_are_refused(smallest: dict[str, Any], text: Callable[[], str], words: list[str]) -> None:
    message = refused(smallest, admins=[{"name": "ada", "public_key": text()}])
    assert message.startswith("admins.0.public_key: ") and "\n" not in message
    assert [word for word in words if word not in message] == [], message


def test_a_security_key_is_accepted_but_not_for_new_machines(smallest: dict[str, Any], public_key: str) -> None:
    touched, plain = {"name": "eve", "public_key": security_key()}, {"name": "ada", "public_key": public_key}
    assert [admin.name for admin in load(smallest | {"admins": [plain, touched]}).admins] == ["ada", "eve"]
    assert "'eve'" in refused(smallest, admins=[touched, plain])


@pytest.mark.parametrize("spelling", TEXTS)
def test_spellings_of_a_certificate(smallest: dict[str, Any], spelling: str) -> None:
    key = rsa.generate_private_key(65537, 2048)
    root = certificate("authority", None, authority=True)
    chain = pem(certificate("class.example", root, key), root)
    change = TEXTS[spelling]
    plain = load(smallest | {"certificate": chain, "certificate_key": key_pem(key)})
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        other = load(smallest | {"certificate": change(chain), "certificate_key": change(key_pem(key, form))})
        assert other == plain
    assert plain.certificate == chain.strip()


@pytest.mark.parametrize("field", ["region", "image", "domain"])
def test_a_private_key_anywhere_is_refused_and_not_shown(smallest: dict[str, Any], field: str) -> None:
    secret = smallest["certificate_key"]
    message = refused(smallest, **{field: secret})
    assert message.startswith(f"{field}: contains a private key") and secret.splitlines()[1][:20] not in message


def test_settings_in_two_spellings_are_equal(smallest: dict[str, Any]) -> None:
    rows = [
        {
            "use": "dns",
            "name": "DNS.example.",
            "operator": "Example Cooperative",
            "addresses": ["192.0.2.53/32", "192.0.2.53"],
        },
        {
            "use": "ntp",
            "name": "ntp.example",
            "operator": "Example Cooperative",
            "addresses": ["192.0.2.123/255.255.255.255"],
        },
        {
            "use": "packages",
            "name": "Mirror.Example",
            "operator": "Example Cooperative",
            "addresses": ["::ffff:192.0.2.80"],
            "url": "HTTPS://MIRROR.example.:443/debian/",
        },
    ]
    assert load(smallest | {"endpoints": [*rows, *copy.deepcopy(rows)]}) == load(smallest)


def test_machines_are_configured_over_ipv4(smallest: dict[str, Any]) -> None:
    message = refused(smallest, ssh_from=["2001:db8::/64"])
    assert "ssh_from: '2001:db8::/64'" in message and "IPv4" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network_cidr", "127.0.0.0/24"),
        ("network_cidr", "169.254.0.0/24"),
        ("ipv6", "fe80::/64"),
        ("ipv6", "ff02::/64"),
    ],
)
def test_networks_in_which_no_machine_can_be(smallest: dict[str, Any], key: str, value: str) -> None:
    assert refused(smallest, **{key: value}).startswith(f"{key}: '{value}'")


def test_names_of_the_certificate_are_compared_without_case(smallest: dict[str, Any]) -> None:
    assert load(smallest | issued(*(name.upper() for name in NAMES))).domain == "class.example"

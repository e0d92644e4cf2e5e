"""Certificate checks: the settings and the filter of the role use the same rules."""

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.config import certificates
from classroom.config.certificates import certificate_faults
from classroom.config.settings import load
from rehearsal.authority import issue
from tests.unit.config.spellings import TEXTS, Signer, certificate, key_pem, pem

PEM = serialization.Encoding.PEM
NAMES = ["class.example", "turn.class.example"]


def _filters() -> ModuleType:
    spec = importlib.util.spec_from_file_location("filters", REPO / "ansible" / "filter_plugins" / "classroom.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def issued(*names: str, days: int = 60, protection: Any = None) -> tuple[str, str]:
    root = issue("authority", [], None)
    leaf, key = issue(names[0], list(names), root, days=days)
    private = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, protection or serialization.NoEncryption()
    ).decode()
    return leaf.public_bytes(PEM).decode() + root[0].public_bytes(PEM).decode(), private


def good() -> tuple[str, str]:
    return issued(*NAMES)


def in_capitals() -> tuple[str, str]:
    return issued("CLASS.example", "*.Class.Example")


def out_of_date() -> tuple[str, str]:
    return issued(*NAMES, days=-2)


def of_other_names() -> tuple[str, str]:
    return issued("other.example")


def with_another_key() -> tuple[str, str]:
    return good()[0], good()[1]


def with_a_passphrase() -> tuple[str, str]:
    return issued(*NAMES, protection=serialization.BestAvailableEncryption(b"x"))


def out_of_order() -> tuple[str, str]:
    chain, key = good()
    leaf, _, _ = chain.partition("-----END CERTIFICATE-----\n")
    return f"{leaf}-----END CERTIFICATE-----\n{good()[0]}", key


def without_text() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return "nothing", key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (good, []),
        (in_capitals, []),
        (out_of_date, ["expired on 20"]),
        (of_other_names, ["issued for other.example", "not for class.example, turn.class.example"]),
        (with_another_key, ["certificate_key: does not match"]),
        (with_a_passphrase, ["certificate_key: contains no readable PEM private key without a passphrase"]),
        (out_of_order, ["is not issued by"]),
        (without_text, ["certificate: contains no readable PEM certificate"]),
    ],
)
def test_settings_and_role_find_the_same_faults(
    smallest: dict[str, Any], made: Callable[[], tuple[str, str]], words: list[str]
) -> None:
    chain, key = made()
    faults = _filters().certificate_check(chain, key, NAMES)["faults"]
    try:
        load(smallest | {"certificate": chain, "certificate_key": key})
        refused: list[str] = []
    except WrongUseError as error:
        refused = str(error).splitlines()
    assert faults == refused
    assert bool(faults) == bool(words)
    assert [word for word in words if not any(word in fault for fault in faults)] == []


def test_a_chain_is_checked_without_a_key() -> None:
    check = _filters().certificate_check
    assert check(good()[0], "", NAMES)["faults"] == []
    assert len(check(of_other_names()[0], "", NAMES)["faults"]) == 1


def found(chain: str, key: Any = None) -> list[str]:
    return list(certificate_faults(chain, key_pem(key) if key else None, NAMES))


def root_and_intermediate(days: int = 60, *, published: bool = False) -> tuple[Signer, Signer]:
    root = certificate("authority", None, authority=True)
    return root, certificate("intermediate", root, days=days, authority=True, published=published)


def test_a_chain_may_end_at_the_intermediate_or_at_the_root() -> None:
    root, intermediate = root_and_intermediate()
    leaf = certificate("class.example", intermediate)
    assert found(pem(leaf, intermediate), leaf[1]) == found(pem(leaf, intermediate, root), leaf[1]) == []
    own = certificate("class.example", None)
    assert found(pem(own), own[1]) == []


@pytest.mark.parametrize("published", [False, True])
def test_a_leaf_without_its_issuer_is_refused(published: bool) -> None:
    _, intermediate = root_and_intermediate()
    leaf = certificate("class.example", intermediate, published=published)
    (fault,) = found(pem(leaf), leaf[1])
    assert fault.startswith("certificate: ends with 'CN=class.example'") and "'CN=intermediate' is missing" in fault


def test_an_intermediate_whose_public_issuer_is_missing_is_refused() -> None:
    _, middle = root_and_intermediate()
    intermediate = certificate("second", middle, authority=True, published=True)
    leaf = certificate("class.example", intermediate)
    (fault,) = found(pem(leaf, intermediate), leaf[1])
    assert "'CN=intermediate' is missing" in fault
    assert found(pem(leaf, intermediate, middle), leaf[1]) == []


def test_a_root_of_browsers_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    root, intermediate = root_and_intermediate(published=True)
    leaf = certificate("class.example", intermediate)
    chain = pem(leaf, intermediate)
    assert len(found(chain, leaf[1])) == 1
    roots = [*certificates._all_roots(), root[0].public_bytes(serialization.Encoding.DER)]
    assert len(roots) > 100
    monkeypatch.setattr(certificates, "_all_roots", lambda: roots)
    assert found(chain, leaf[1]) == []


def test_the_advice_on_what_has_expired_depends_on_its_place() -> None:
    root, intermediate = root_and_intermediate(days=-3)
    leaf = certificate("class.example", intermediate)
    (fault,) = found(pem(leaf, intermediate, root), leaf[1])
    assert "'CN=intermediate' expired on 20" in fault and "the leaf stays" in fault and "current certificate" in fault
    root, intermediate = root_and_intermediate()
    leaf = certificate("class.example", intermediate)
    old = certificate("old authority", None, days=-3, authority=True)
    tail = certificate("authority", old, root[1], days=-3, authority=True)
    (fault,) = found(pem(leaf, intermediate, tail), leaf[1])
    assert "'CN=authority' expired on 20" in fault and "remove block 3 of 3" in fault and "renew it" not in fault
    assert found(pem(leaf, intermediate), leaf[1]) == []
    expired = certificate("class.example", intermediate, days=-3)
    (fault,) = found(pem(expired, intermediate), expired[1])
    assert "renew it" in fault


@pytest.mark.parametrize("weak", ["leaf", "authority"])
def test_keys_that_openssl_on_the_hosts_refuses(weak: str) -> None:
    sizes = {"leaf": 2048, "authority": 2048} | {weak: 1024}
    root = certificate("authority", None, rsa.generate_private_key(65537, sizes["authority"]), authority=True)
    leaf = certificate("class.example", root, rsa.generate_private_key(65537, sizes["leaf"]))
    for key in (leaf[1], None):
        (fault,) = found(pem(leaf, root), key)
        assert "key too small" in fault and "2048 bits" in fault


def test_a_signature_that_openssl_on_the_hosts_refuses(tmp_path: Path) -> None:
    made = subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=authority -days 9 -keyout root.key -out root.pem &&"
        " openssl req -newkey rsa:2048 -nodes -subj /CN=class.example -keyout leaf.key -out leaf.csr &&"
        " printf 'subjectAltName=DNS:class.example,DNS:turn.class.example' > names &&"
        " openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -sha1 -extfile names -out leaf.pem",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    chain = (tmp_path / "leaf.pem").read_text() + (tmp_path / "root.pem").read_text()
    (fault,) = certificate_faults(chain, (tmp_path / "leaf.key").read_text(), NAMES)
    assert "md too weak" in fault and "SHA-256" in fault


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())])
def test_kinds_of_keys_that_browsers_refuse(key: Any) -> None:
    leaf = certificate("class.example", None, key)
    (fault,) = found(pem(leaf), key)
    assert "browsers do not accept" in fault and "P-256" in fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/etc/ssl/class.pem", ["'/etc/ssl/class.pem' is the path of a file"]),
        ("-----BEGIN CERTIFICATE-----\nMIIB", ["a block has no end"]),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", ["block 1 of 1", "copy this block again"]),
        ("-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----", ["request"]),
        ("-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----", ["openssl pkcs7 -print_certs"]),
    ],
)
def test_texts_that_are_no_certificate(text: str, words: list[str]) -> None:
    (fault,) = found(text)
    assert fault.startswith("certificate: contains no readable PEM certificate")
    assert [word for word in words if word not in fault] == [], fault


def test_a_private_key_in_the_certificate_is_refused_and_not_shown(smallest: dict[str, Any]) -> None:
    secret = smallest["certificate_key"]
    for change in TEXTS.values():
        with pytest.raises(WrongUseError) as caught:
            load(smallest | {"certificate": smallest["certificate"] + change(secret)})
        message = str(caught.value)
        assert "certificate: contains a private key" in message and "--secret certificate_key" in message
        assert secret.splitlines()[1][:20] not in message


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda key: key_pem(key) * 2, ["there are 2 keys"]),
        (lambda key: "key.pem", ["there is no PEM block"]),
        (
            lambda key: key.private_bytes(
                PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            ).decode(),
            ["OpenSSH's form"],
        ),
        (
            lambda key: key.private_bytes(
                PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.BestAvailableEncryption(b"x")
            ).decode(),
            ["encrypted", "openssl pkey"],
        ),
        (lambda key: key_pem(key).replace("M", "", 1), ["the block is damaged"]),
    ],
)
def test_texts_that_are_no_private_key(made: Callable[[Any], str], words: list[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = certificate("class.example", None, key)
    text = made(key)
    (fault,) = certificate_faults(pem(leaf), text, NAMES)
    assert fault.startswith("certificate_key: contains no readable PEM private key without a passphrase; ")
    assert [word for word in words if word not in fault] == [], fault
    assert [line for line in text.splitlines()[1:-1] if line and line in fault] == []

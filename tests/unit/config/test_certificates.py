"""Certificate checks: the settings and the filter of the role use the same rules."""

import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.config.settings import load
from rehearsal.authority import issue

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

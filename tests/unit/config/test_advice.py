"""The advice in refusals is right: the value that a message proposes is accepted."""

import re
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from classroom.common.errors import WrongUseError
from classroom.config.settings import load
from tests.unit.config.spellings import Signer, certificate, key_line, key_pem, pem
from tests.unit.conftest import ENDPOINTS

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDvGjzMKzgLTIgJIcUXRc2iNTNRCcYeqZwLzcEMzsSx"
ROOT: Signer = certificate("authority", None, authority=True)


class Case(NamedTuple):
    """What is written at a place in the settings, and what an operator writes there after reading the message.

    `proposed` is the part of the message that says it.
    """

    place: str
    written: Any
    proposed: str
    then: Any


def leaf() -> tuple[str, str, str]:
    """Return a leaf, its issuer, and the key, as PEM."""
    made = certificate("class.example", ROOT, ec.generate_private_key(ec.SECP256R1()))
    return pem(made), pem(ROOT), key_pem(made[1])


LEAF, ISSUER, PRIVATE = leaf()
CASES = [
    Case("domain", "https://class.example/", "write the host name alone: class.example", "class.example"),
    Case("domain", "class", "such as class.academy.example", "class.example"),
    Case("domain", "my_class.example", "'_' is not allowed", "class.example"),
    Case("network_cidr", "10.20.0.5/24", "write 10.20.0.0/24 for the network", "10.20.0.0/24"),
    Case("network_cidr", "10.20.0", "an address and a prefix length, such as 10.20.0.0/24", "10.20.0.0/24"),
    Case("network_cidr", "8.8.8.0/24", "set one such as 10.20.0.0/24", "10.20.0.0/24"),
    Case("ipv6", "2001:db8:30::1/64", "write 2001:db8:30::/64 for the network", "2001:db8:30::/64"),
    Case("ipv6", "2001:db8:30::/48", "such as 2001:db8:30::/64", "2001:db8:30::/64"),
    Case("network_cidr", None, "or remove the line", ...),
    Case("ssh_from.0", "192.0.2.7/24", "or 192.0.2.7 for the address alone", "192.0.2.7"),
    Case("ssh_from.0", "192.0.2.7/24", "write 192.0.2.0/24 for the network", "192.0.2.0/24"),
    Case("ssh_from.0", "0.0.0.0", "write 0.0.0.0/0 for all addresses", "0.0.0.0/0"),
    Case("ssh_from", "192.0.2.7", "one entry in each line, after a hyphen", ["192.0.2.7"]),
    Case("ssh_from", ["2001:db8::/64"], "add the public IPv4 address", ["2001:db8::/64", "192.0.2.7"]),
    Case("classes.0.name", 601, '`name: "601"`', "601"),
    Case("classes.0.name", 60.0, '`name: "6e1"`', "6e1"),
    Case("classes.0.name", "!?", "such as 'A !?'", "A !?"),
    Case("classes.0.name", "é" * 41, f"such as '{'é' * 40}'", "é" * 40),
    Case("classes.0.name", "A {b}", "use letters, digits, spaces and signs other than", "A (b)"),
    Case("classes.0.size", "many", "`size: 2`", 2),
    Case("classes.0.size", 501, "write 500 or less", 500),
    Case("media_count", "two", "not a whole number", ...),
    Case("shape", "double", "write 'single' or 'split'", "single"),
    Case("admins.0.name", "Émile", "such as 'emile'", "emile"),
    Case("admins.0.name", "backup", "such as 'admin-backup'", "admin-backup"),
    Case("admins.0.public_key", f'from="192.0.2.0/24" {KEY}', "write 'ssh-ed25519 AAAAC3NzaC1l…' alone", KEY),
    Case("admins.0.public_key", key_line("small"), "`ssh-keygen -t ed25519`", KEY),
    Case("admins", [], "write at least one entry", [{"name": "ada", "public_key": KEY}]),
    Case("certificate", LEAF, "append the issuer's certificate", LEAF + ISSUER),
    Case("certificate", ISSUER + LEAF, "with the leaf first", LEAF + ISSUER),
    Case(
        "endpoints.2.url",
        "mirror.example/debian",
        "write one such as https://mirror.academy.example/debian",
        "https://mirror.example/debian",
    ),
    Case("endpoints.0.use", "DNS", "write 'dns'", "dns"),
    Case("regoin", "north", "did you mean region?", ...),
    Case("facts_max_age_months", 0, "write 1 or more", 1),
    Case("rehearsal", "perhaps", "neither true nor false", False),
]


def changed(values: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return settings with another value at a place; `...` removes the key."""
    copied = yaml.safe_load(yaml.safe_dump(values))
    inner: Any = copied
    *folders, last = (int(part) if part.isdigit() else part for part in place.split("."))
    for part in folders:
        inner = inner[part]
    if value is ...:
        inner.pop(last, None)
    else:
        inner[last] = value
    return copied  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.place} {case.proposed[:30]}")
def test_who_follows_the_advice_gets_through(smallest: dict[str, Any], case: Case) -> None:
    values = smallest | {"endpoints": ENDPOINTS}
    if case.place == "certificate":
        values = values | {"certificate": LEAF + ISSUER, "certificate_key": PRIVATE}
    with pytest.raises(WrongUseError) as caught:
        load(changed(values, case.place, case.written))
    message = str(caught.value)
    assert case.proposed in message, message
    load(changed(values, case.place, case.then))


@pytest.mark.parametrize("written", [None, 7, "", "key.pem", ...])
def test_a_private_key_is_never_to_be_written_into_the_file(smallest: dict[str, Any], written: Any) -> None:
    with pytest.raises(WrongUseError) as caught:
        load(changed(smallest, "certificate_key", written))
    message = str(caught.value)
    assert "`pulumi config set --secret certificate_key < key.pem`" in message
    assert "after the colon" not in message and "in quotes" not in message


def test_a_required_key_is_not_to_be_removed(smallest: dict[str, Any]) -> None:
    with pytest.raises(WrongUseError) as caught:
        load(smallest | {"region": None, "cloud": 7})
    (missing, other) = sorted(str(caught.value).splitlines(), reverse=True)
    assert missing == "region: has no value; write one after the colon"
    assert re.search('`cloud: "7"`', other)

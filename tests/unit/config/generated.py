"""Generates settings that are accepted, in their whole breadth, and settings of which one value is not."""
# ruff: noqa: RUF001

import datetime
import functools
import ipaddress
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import strategies as st

from classroom.config.guest import TAKEN_NAMES
from classroom.config.settings import RESERVED_ACCOUNTS
from classroom.config.valid_names import class_name, room_name
from tests.unit.config.spellings import TEXTS, certificate, key_line, key_pem, pem, security_key

LETTERS = "abcdefghijklmnopqrstuvwxyz"
OPERATOR = "Example Cooperative"
Values = dict[str, Any]


@functools.cache
def private_keys() -> list[Any]:
    """Return private keys of all kinds that certificates may have."""
    curves = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
    return [*map(ec.generate_private_key, curves), *(rsa.generate_private_key(65537, size) for size in (2048,))]


@functools.cache
def public_keys() -> list[str]:
    """Return public keys of all kinds of administrators; the last is of a security key."""
    return [key_line(kind) for kind in ("ed25519", "ed25519", "ecdsa", "rsa")] + [security_key()]


def issued_for(names: Sequence[str], key: Any, *, days: int = 60) -> str:
    """Return a certificate for the names, signed by its own key, as PEM."""
    return pem(certificate("class", None, key, days, names=names))


@st.composite
def host_names(draw: st.DrawFn, longest: int) -> str:
    """Give a host name of two labels or more, often of a length at which something later has a limit."""
    length = draw(st.sampled_from([8, 15, 42, 43, 64, 65, 120, longest - 1, longest]))
    rest, labels = length - 4, []
    while rest > 0:
        size = min(draw(st.integers(1, 63)), rest)
        size = size if rest - size != 1 else max(size - 1, 1)
        body = draw(st.text(f"{LETTERS}0123456789", min_size=size, max_size=size))
        labels.append(body if size < 5 else f"{body[0]}-{body[2:]}".replace("--", "a-"))
        rest -= size + 1
    return ".".join([*labels, draw(st.text(LETTERS, min_size=3, max_size=3))])


def names_of_classes() -> st.SearchStrategy[str]:
    """Give names as schools write them, in any script."""
    text = st.text(
        st.characters(categories=["Ll", "Lu", "Lo", "Nd", "No"], include_characters=" '’/()°-&+.,:é"), max_size=40
    )
    return st.one_of(st.sampled_from(["6ème B", "CE1/CE2", "L'atelier", "Français (groupe 1)"]), text).filter(_is_name)


def _is_name(text: str) -> bool:
    try:
        return bool(room_name(class_name(text)))
    except ValueError:
        return False


def accounts() -> st.SearchStrategy[str]:
    """Give names of accounts."""
    text = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
    return text.filter(lambda name: name not in TAKEN_NAMES | RESERVED_ACCOUNTS)


def addresses() -> st.SearchStrategy[str]:
    """Give single documentation addresses."""
    four = st.integers(1, 254).map("192.0.2.{}".format)
    six = st.integers(1, 2**64 - 1).map(lambda n: str(ipaddress.IPv6Address("2001:db8:e::") + n))
    return st.one_of(four, six)


def sources() -> st.SearchStrategy[str]:
    """Give networks from which SSH may be allowed."""
    starts = {4: ipaddress.ip_address("198.51.100.0"), 6: ipaddress.ip_address("2001:db8:aa::")}
    four = st.tuples(st.integers(0, 255).map(lambda n: starts[4] + n), st.integers(24, 32))
    six = st.tuples(st.integers(0, 2**96 - 1).map(lambda n: starts[6] + n), st.integers(48, 128))
    return st.one_of(four, six).map(lambda pair: str(ipaddress.ip_network(pair, strict=False)))


@st.composite
def endpoints(draw: st.DrawFn) -> list[Values]:
    """Give what machines need of the outside, and more."""
    single, more = (
        st.lists(addresses(), min_size=1, max_size=4),
        st.sampled_from([[], ["192.0.2.0/28"], ["2001:db8:e::/64"]]),
    )
    rows = [
        {"use": use, "name": draw(host_names(253)), "operator": OPERATOR, "addresses": draw(single) + draw(more)}
        for use in (
            "dns",
            "ntp",
            "packages",
            *draw(st.lists(st.sampled_from(["dns", "ntp", "ca", "stun", "mail"]), max_size=4)),
        )
    ]
    if draw(st.booleans()):
        rows[1]["name"] = draw(addresses())
    port = draw(st.sampled_from(["", ":3142", ":8080"]))
    rows[2]["url"] = (
        f"{draw(st.sampled_from(['http', 'https']))}://{rows[2]['name']}{port}/{draw(st.sampled_from(['debian', 'a/b-c_d', '']))}"
    )
    return rows


@st.composite
def accepted(draw: st.DrawFn) -> Values:
    """Give settings that are accepted."""
    split, media = draw(st.booleans()), draw(st.integers(1, 9))
    domain, key = draw(host_names(247)), draw(st.sampled_from(private_keys()))
    turn = [f"turn{n}.{domain}" for n in range(1, media + 1)] if split and media > 1 else [f"turn.{domain}"]
    change = draw(st.sampled_from(list(TEXTS.values())))
    names = draw(
        st.lists(names_of_classes(), min_size=1, max_size=12, unique_by=lambda text: room_name(class_name(text)))
    )
    first = draw(st.sampled_from(public_keys()[:4]))
    admins = draw(st.lists(accounts(), min_size=1, max_size=6, unique=True))
    four = draw(st.integers(0, 255))
    return {
        "region": draw(st.sampled_from(["r", "GRA11", "eu-de"])),
        "image": "Debian 13",
        "flavor_front": "small",
        "external_network": "public",
        "network_cidr": draw(st.sampled_from(["10.20.0.0/24", f"172.16.{four}.0/24", "192.168.7.0/28", "10.0.0.0/8"])),
        **({"shape": "split", "media_count": media, "flavor_media": "large"} if split else {}),
        **({"ipv6": "2001:db8:30::/64"} if draw(st.booleans()) else {}),
        "domain": domain,
        "certificate": change(issued_for(draw(st.permutations([domain, *turn])), key)),
        "certificate_key": key_pem(key),
        "admins": [
            {"name": name, "public_key": draw(st.sampled_from(public_keys())) if number else first}
            for number, name in enumerate(admins)
        ],
        "ssh_from": [
            "198.51.100.7",
            *draw(st.lists(sources(), max_size=20)),
            *draw(st.sampled_from([[], ["0.0.0.0/0"], ["::/0"]])),
        ],
        "classes": [{"name": name, "size": draw(st.integers(2, 500))} for name in names],
        "endpoints": draw(endpoints()),
    }


REFUSED: dict[str, list[Any]] = {
    "region": [None, 7, "", ["r"], True],
    "image": [None, 13, {"name": "Debian 13"}],
    "flavor_front": [None, 2],
    "external_network": [None, ["public"]],
    "network_cidr": ["10.20.0.5/24", "8.8.8.0/24", "10.20.0.0/30", "10.20.0", "2001:db8::/64", 10.2, None],
    "ipv6": ["2001:db8:30::/48", "2001:db8:30::1/64", "fe80::/64", "10.0.0.0/24", 64],
    "shape": ["double", "Single ", None, 1],
    "media_count": [0, 10, "two", None, 1.5],
    "domain": [
        "class",
        "192.0.2.1",
        "https://class.example/",
        "my_class.example",
        "a..example",
        "",
        None,
        f"{'a' * 64}.example",
    ],
    "certificate": [
        "",
        "/etc/ssl/class.pem",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----",
        None,
        7,
    ],
    "certificate_key": [
        "",
        "hidden-word-7",
        "-----BEGIN PRIVATE KEY-----\nhidden-word-7\n-----END PRIVATE KEY-----",
        None,
        7,
    ],
    "admins": [
        [],
        None,
        "ada",
        [{"name": "backup", "public_key": "ssh-ed25519 AAAA"}],
        [{"name": "Ada", "public_key": 7}],
        [{"name": "ada"}],
        [{"name": "ada", "public_key": "~/.ssh/id_ed25519.pub", "key": 1}],
    ],
    "ssh_from": [
        [],
        None,
        "192.0.2.7",
        ["192.0.2.7/24"],
        ["fe80::1%eth0"],
        ["::/0"],
        [{"a": 1}],
        ["10.20.0.0/16", "10.0.0.0/8"],
    ],
    "classes": [
        [],
        None,
        ["CM2"],
        [{"name": 601, "size": 30}],
        [{"name": 60.0, "size": 30}],
        [{"name": True, "size": 30}],
        [{"name": datetime.date(2026, 9, 1), "size": 30}],
        [{"name": "CM2", "size": 1}],
        [{"name": "CM2", "size": "many"}],
        [{"name": "6ème B", "size": 30}, {"name": "6eme-b", "size": 30}],
        [{"name": "!?", "size": 30}],
        [{"name": "{{ x }}", "size": 30}],
        [{"nmae": "CM2", "size": 30}],
    ],
    "endpoints": [
        None,
        "dns",
        [{"use": "dns"}],
        [{"use": "dsn", "name": "dns.example", "operator": OPERATOR}],
        [{"use": "dns", "name": "dns.example", "operator": OPERATOR, "addresses": ["192.0.2.300"]}],
        [{"use": "dns", "preset": "never-heard-of"}],
        [{"use": "packages", "name": "m.example", "operator": OPERATOR, "url": "ftp://m.example"}],
        [{"use": "packages", "name": "m.example", "operator": OPERATOR, "url": "https://ada:hidden-word-7@m.example"}],
    ],
    "policy": ["eu", {"soil": "fr"}, {"sol": "eu"}],
    "exceptions": [[{"name": "Cleura", "reason": "short", "until": "2027-06-30"}], [{"name": "Cleura"}], "Cleura"],
    "declared_cloud": ["Academy", {"name": "Academy"}, [7]],
    "facts_max_age_months": [0, "old", None],
    "rehearsal": ["perhaps", None, 7],
    "overlay": [[{"prefixes": ["192.0.2.0/24"]}], "x"],
    "regoin": ["r"],
    "7": ["x"],
}
"""Values that no setting accepts, by its key."""


@st.composite
def refused(draw: st.DrawFn) -> Values:
    """Give settings of which one value, or several, are not accepted, or are missing."""
    values = draw(accepted())
    for key in draw(st.lists(st.sampled_from(sorted(REFUSED)), min_size=1, max_size=3, unique=True)):
        values[key] = draw(st.sampled_from(REFUSED[key]))
    if draw(st.integers(0, 4)) == 0:
        del values[
            draw(st.sampled_from(sorted({"region", "image", "domain", "admins", "certificate_key"} & values.keys())))
        ]
    return values

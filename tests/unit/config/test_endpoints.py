"""Endpoints: egress rules of hosts, security groups and the inventory are derived from them."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from classroom.config.endpoints import (
    EGRESS_USES,
    Use,
    egress_for,
    egress_rows,
    endpoints_of,
    faults_of,
    host_services,
    merged,
    resolvers,
    rows_for,
)
from classroom.config.ports import Group, port_number
from classroom.provision.access import Rule, security_groups

OPERATOR = "Example Cooperative"
ROWS: list[dict[str, Any]] = [
    {"use": "dns", "name": "dns.example", "operator": OPERATOR, "addresses": ["192.0.2.53", "2001:db8:e::53"]},
    {"use": "ntp", "name": "ntp.example", "operator": OPERATOR, "addresses": ["192.0.2.123"]},
    {
        "use": "packages",
        "name": "mirror.example",
        "operator": OPERATOR,
        "addresses": ["192.0.2.0/25", "192.0.2.128/25"],
        "url": "http://mirror.example:3142/debian",
    },
    {"use": "mail", "name": "mail.example", "operator": OPERATOR, "addresses": ["192.0.2.25"]},
]


def test_each_egress_rule_has_one_account_and_only_addresses_of_endpoints() -> None:
    found = {(w.use, w.protocol, w.port, w.account, *w.addresses) for w in egress_for(endpoints_of(ROWS))}
    assert found == {
        ("dns", "udp", 53, "unbound", "192.0.2.53", "2001:db8:e::53"),
        ("dns", "tcp", 53, "unbound", "192.0.2.53", "2001:db8:e::53"),
        ("ntp", "udp", 123, "_chrony", "192.0.2.123"),
        ("packages", "tcp", 3142, "_apt", "192.0.2.0/25", "192.0.2.128/25"),
    }


def test_uses_of_other_machines_open_no_egress() -> None:
    for use in get_args(Use):
        row = {
            "use": use,
            "name": "x.example",
            "operator": OPERATOR,
            "addresses": ["192.0.2.1"],
            "url": "http://x.example",
        }
        assert bool(egress_for(endpoints_of([row]))) == (use in EGRESS_USES), use


def out(*, ipv6: bool = True) -> dict[Group, list[Rule]]:
    """Return the egress rules of the security groups."""
    found = security_groups("split", 2, ssh_from=[], egress=egress_for(endpoints_of(ROWS)), ipv6=ipv6)
    return {group: [rule for rule in rules if rule.direction == "egress"] for group, rules in found.items()}


def test_no_egress_rule_is_for_all_addresses() -> None:
    for rules in out().values():
        assert rules and all(rule.protocol and rule.first and (rule.prefix or rule.peer) for rule in rules)
        assert not any((rule.prefix or "").endswith("/0") for rule in rules)


def test_security_groups_allow_egress_to_endpoints_over_ipv4_and_ipv6() -> None:
    assert {(r.ethertype, r.protocol, r.first, r.prefix) for r in out()["all"]} == {
        *(("IPv4", p, 53, "192.0.2.53/32") for p in ("udp", "tcp")),
        *(("IPv6", p, 53, "2001:db8:e::53/128") for p in ("udp", "tcp")),
        ("IPv4", "udp", 123, "192.0.2.123/32"),
        ("IPv4", "tcp", 3142, "192.0.2.0/24"),
        ("IPv4", "tcp", 80, "169.254.169.254/32"),
        ("IPv6", "tcp", 80, "fe80::a9fe:a9fe/128"),
    }
    assert {r.ethertype for rules in out(ipv6=False).values() for r in rules} == {"IPv4"}


def test_front_and_media_can_connect_to_each_other_s_inner_ports() -> None:
    to = {group: {(r.first, r.peer) for r in out()[group]} for group in ("front", "media")}
    signal, turn, valkey = (port_number(name) for name in ("signal", "turn-tls", "valkey"))
    assert to == {"front": {(signal, "media"), (turn, "media")}, "media": {(valkey, "front")}}


def test_rows_of_the_inventory_are_read_back() -> None:
    endpoints = endpoints_of(ROWS)
    assert endpoints_of(rows_for(endpoints)) == endpoints
    assert resolvers(endpoints) == ["192.0.2.53", "2001:db8:e::53"]
    assert next(r for r in egress_rows(endpoints) if r["counter"] == "out_packages")["addresses4"] == ["192.0.2.0/24"]
    assert merged(["192.0.2.4/31", "192.0.2.6/31", "2001:db8::/64"], 4) == ["192.0.2.4/30"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"use": "time"}, "Input should be 'dns', 'registry', 'ntp'"),
        ({"addresses": ["dns.example"]}, "'dns.example' is neither an address nor a network"),
        ({"name": "DNS server"}, "'DNS server' is not a host name"),
    ],
)
def test_an_invalid_row_is_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        endpoints_of([ROWS[0] | change])
    assert sentence in str(refused.value)


def test_missing_endpoints_are_reported() -> None:
    assert faults_of(endpoints_of(ROWS)) == []
    assert [fault.partition(",")[0] for fault in faults_of([])] == [
        f"endpoints: none has use: {use}" for use in ("dns", "ntp", "packages")
    ]
    wrong = [ROWS[0] | {"addresses": []}, ROWS[1], ROWS[2] | {"url": "http://other.example/debian"}]
    first, second = faults_of(endpoints_of(wrong))
    assert first.startswith("endpoints.0.addresses: 'dns.example' has no addresses")
    assert second.startswith("endpoints.2.url: 'http://other.example/debian' is not a URL on mirror.example")


def test_services_of_a_host() -> None:
    assert host_services(endpoints_of(ROWS)) == {
        "dns": ["192.0.2.53", "2001:db8:e::53"],
        "names": ["mirror.example", "ntp.example"],
        "time": ["192.0.2.123"],
        "mirror": "http://mirror.example:3142/debian",
        "security": "http://mirror.example:3142/debian-security",
    }
    other = {**ROWS[2], "name": "safe.example", "url": "https://safe.example/debian-security/"}
    pool = {**ROWS[1], "addresses": ["192.0.2.0/24"]}
    found = host_services(endpoints_of([other, ROWS[2], pool]))
    assert (found["mirror"], found["security"]) == (ROWS[2]["url"], "https://safe.example/debian-security")
    assert found["time"] == ["ntp.example"]
    assert host_services([]) == {"dns": [], "names": [], "time": [], "mirror": "", "security": ""}

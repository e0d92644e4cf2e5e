"""Security group rules of the port table, and the format of class codes."""

from classroom.config.ports import PORTS, RELAY, Group, Shape, port_number, ports_for
from classroom.configure.provider.server import plain, secret
from classroom.provision.access import Rule, security_groups
from classroom.provision.class_codes import grouped

SSH_FROM = ["192.0.2.0/24", "2001:db8::/32"]


def groups_of(shape: Shape, media_count: int = 1, *, ipv6: bool = True) -> dict[Group, list[Rule]]:
    return security_groups(shape, media_count, ssh_from=SSH_FROM, egress=[], ipv6=ipv6)


def test_rules_open_exactly_the_ports_of_the_table() -> None:
    groups = groups_of("single")
    rules = [rule for found in groups.values() for rule in found if rule.direction == "ingress"]
    opened = {(r.ethertype, r.protocol, r.first, r.prefix) for r in rules if r.first}
    assert ("IPv4", "tcp", port_number("ssh"), "192.0.2.0/24") in opened
    assert ("IPv6", "tcp", port_number("ssh"), "2001:db8::/32") in opened
    assert {first for _, _, first, _ in opened} == {p.first for p in PORTS if "single" in p.shapes}
    assert not any(r.peer for r in rules)
    assert {r.protocol for r in rules if not r.first} == {"icmp", "ipv6-icmp"}


def test_each_group_has_only_its_own_ports_and_no_duplicate_rule() -> None:
    groups = groups_of("split", 2)
    assert list(groups) == ["all", "front", "media"]
    for group, rules in groups.items():
        opened = {r.first for r in rules if r.direction == "ingress" and r.first}
        assert opened == {p.first for p in PORTS if p.group == group}
    rules = [rule for found in groups.values() for rule in found]
    assert len({rule.name for rule in rules}) == len(rules)


def test_signalling_is_open_only_to_the_front() -> None:
    rules = groups_of("split")["media"]
    inner = [r for r in rules if r.first in {port_number("signal"), port_number("turn-tls")}]
    assert len(inner) == 2
    assert all(r.peer == "front" and r.prefix is None and r.ethertype == "IPv4" for r in inner)


def test_valkey_is_open_only_with_several_media_machines() -> None:
    assert "valkey" not in {p.name for p in ports_for(["front"], "split")}
    found = [
        (r.peer, r.prefix, r.ethertype) for r in groups_of("split", 2)["front"] if r.first == port_number("valkey")
    ]
    assert found == [("media", None, "IPv4")]


def test_a_port_that_turn_reserves_is_a_relay_port() -> None:
    """EVEN-PORT reserves the port after an even one (RFC 8656, 7.2); the firewall knows relay sockets by their ports."""
    first, last = RELAY
    assert first < last and last % 2 == 1
    # The kernel gives other sockets a port from 32768 on.
    assert first > 1023 and last < 32768
    assert not any(port.first <= last and first <= port.last for port in PORTS)


def test_every_ingress_rule_has_a_source() -> None:
    kinds: list[tuple[Shape, int]] = [("single", 1), ("split", 1), ("split", 3)]
    for shape, count in kinds:
        for rules in groups_of(shape, count).values():
            assert all(r.prefix or r.peer for r in rules if r.direction == "ingress")


def test_without_ipv6_there_is_no_ipv6_rule() -> None:
    found = {rule.ethertype for rules in groups_of("split", ipv6=False).values() for rule in rules}
    assert found == {"IPv4"}


def test_codes_are_formatted_in_groups() -> None:
    assert grouped("ABCDEFGHJKMNP") == "ABCD-EFGH-JKMNP"
    assert grouped("ABCDEFGHJK") == "ABCD-EFGHJK"


def test_numbers_and_secrets_are_decoded() -> None:
    assert plain({"a": 443.0, "b": [1.5, secret("s")]}) == {"a": 443, "b": [1.5, "s"]}
    assert isinstance(plain(443.0), int)

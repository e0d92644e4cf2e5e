"""Security group rules and codes come from one table each."""

from classroom.access import rules_for
from classroom.codes import digest_of, grouped
from classroom.configure import CROCKFORD
from classroom.ports import PORTS, ports_for
from classroom.provider.server import plain, secret


def test_rules_open_exactly_the_table() -> None:
    ports = ports_for(["front", "media"], "single")
    rules = rules_for(ports, ["192.0.2.0/24", "2001:db8::/32"], ipv6=True)
    opened = {(r.ethertype, r.protocol, r.first, r.prefix) for r in rules if r.direction == "ingress" and r.first}
    assert ("IPv4", "tcp", 22, "192.0.2.0/24") in opened
    assert ("IPv6", "tcp", 22, "2001:db8::/32") in opened
    assert {first for _, _, first, _ in opened} == {p.first for p in PORTS if "single" in p.shapes}
    assert not any(r.peer for r in rules)


def test_signalling_is_open_to_the_front_alone() -> None:
    rules = rules_for(ports_for(["media"], "split"), ["192.0.2.0/24"], ipv6=True)
    inner = [r for r in rules if r.first in {7880, 5349}]
    assert len(inner) == 2
    assert all(r.peer == "front" and r.prefix is None and r.ethertype == "IPv4" for r in inner)


def test_only_media_machines_that_are_several_reach_what_they_share() -> None:
    assert "valkey" not in {p.name for p in ports_for(["front"], "split")}
    rules = rules_for(ports_for(["front"], "split", 2), ["192.0.2.0/24"], ipv6=True)
    assert [(r.peer, r.prefix, r.ethertype) for r in rules if r.first == 6379] == [("media", None, "IPv4")]


def test_every_way_in_has_a_source() -> None:
    for shape, count in (("single", 1), ("split", 1), ("split", 3)):
        rules = rules_for(ports_for(["front", "media"], shape, count), ["192.0.2.0/24"], ipv6=True)
        assert all(r.prefix or r.peer for r in rules if r.direction == "ingress")


def test_without_ipv6_no_rule_speaks_it() -> None:
    assert {r.ethertype for r in rules_for(ports_for(["front"], "split"), ["192.0.2.0/24"], ipv6=False)} == {"IPv4"}


def test_codes_are_read_in_groups() -> None:
    assert grouped("ABCDEFGHJKMNP") == "ABCD-EFGH-JKMNP"
    assert grouped("ABCDEFGH") == "ABCD-EFGH"
    assert len(set(CROCKFORD)) == 32
    assert digest_of("X") != digest_of("Y")


def test_numbers_and_secrets_arrive_as_they_were_sent() -> None:
    assert plain({"a": 443.0, "b": [1.5, secret("s")]}) == {"a": 443, "b": [1.5, "s"]}
    assert isinstance(plain(443.0), int)

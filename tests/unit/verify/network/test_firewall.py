"""The firewall as text: expected by the port table, and effective from nft's JSON."""

from dataclasses import replace

import pytest

from classroom.config import ports
from classroom.verify.deployment import Deployment
from classroom.verify.network.firewall import effective, expected
from classroom.verify.text_diff import assert_same_lines


def inventory(shape: str = "split", ssh_from: tuple[str, ...] = ("0.0.0.0/0", "::/0")) -> dict:
    names = ["class"] if shape == "single" else ["front", "media1"]
    hostvars = {
        name: {
            "classroom_public4": f"203.0.113.{n}",
            "classroom_public6": f"2001:db8:30::{n}",
            "classroom_private4": f"10.30.0.{n}",
            "classroom_host_keys": ["ssh-ed25519 AAAA"],
        }
        for n, name in enumerate(names, 10)
    }
    variables = {
        "classroom_stack": "s",
        "classroom_domain": "class.example",
        "classroom_ipv6": True,
        "classroom_shape": shape,
        "classroom_ssh_from": list(ssh_from),
        "classroom_relay_ports": [30000, 30999],
        "classroom_endpoints": [
            {
                "use": "dns",
                "name": "dns.example",
                "operator": "Example Cooperative",
                "addresses": ["192.0.2.54", "2001:db8:e::53", "192.0.2.53"],
            }
        ],
    }
    return {
        "front": {"hosts": names[:1]},
        "media": {"hosts": names[-1:]},
        "all": {"vars": variables},
        "_meta": {"hostvars": hostvars},
    }


def match(protocol: str, field: str, right: object) -> dict:
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": field}}, "right": right}}


def test_egress_rules_follow_the_tables() -> None:
    target = Deployment(inventory())
    front, media = (
        [line.removeprefix("egress: ") for line in expected(target, m) if line.startswith("egress: ")]
        for m in (target.group("front")[0], target.group("media")[0])
    )
    for lines in (front, media):
        assert "ip daddr { 192.0.2.53, 192.0.2.54 } udp dport 53 skuid unbound counter name out_dns accept" in lines
        assert "ip6 daddr 2001:db8:e::53 tcp dport 53 skuid unbound counter name out_dns accept" in lines
        assert lines[-1] == "counter name out_dropped log prefix 'classroom-drop ' group 1"
        assert "accept" not in lines
    assert "ip daddr 10.30.0.11 tcp dport 7880 counter name to_signal accept" in front
    assert not any("livekit" in line for line in front) and not any("counter name to_" in line for line in media)
    assert (
        "ip daddr 203.0.113.11 udp sport 30000-30999 udp dport 7882 skuid livekit counter name media_relay accept"
        in media
    )


@pytest.mark.parametrize(("shape", "last"), [("single", 10), ("split", 11)])
def test_relay_sockets_reach_only_the_media_port_of_their_host(shape: str, last: int) -> None:
    target = Deployment(inventory(shape))
    lines = expected(target, target.group("media")[0])
    of = "30000-30999 skuid livekit counter name media_dropped"
    to = "udp sport 30000-30999 udp dport 7882 skuid livekit counter name media_relay accept"
    assert [line for line in lines if line.startswith("egress: ")][:5] == [
        f"egress: ip daddr 203.0.113.{last} {to}",
        f"egress: ip6 daddr 2001:db8:30::{last} {to}",
        f"egress: udp sport {of} drop",
        f"egress: tcp sport {of} reject with tcp reset",
        "egress: oif lo accept",
    ]
    assert [line for line in lines if line.startswith("ingress: ")][:3] == [
        "ingress: iif lo udp sport 30000-30999 udp dport != 7882 counter name media_dropped drop",
        "ingress: iif lo tcp sport 30000-30999 tcp flags & (fin | syn | rst | ack) syn counter name media_dropped drop",
        "ingress: iif lo accept",
    ]
    assert sum("30000-30999" in line for line in lines) == 6


def test_a_host_without_media_has_no_rules_for_relays() -> None:
    target = Deployment(inventory())
    lines = expected(target, target.group("front")[0])
    assert "egress: oif lo accept" in lines and "ingress: iif lo accept" in lines
    assert not any("30000" in line or "media_" in line for line in lines)


def test_inner_port_range_is_open_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tuple(replace(port, last=7889) if port.name == "signal" else port for port in ports.PORTS)
    monkeypatch.setattr(ports, "PORTS", table)
    target = Deployment(inventory())
    front, media = (expected(target, target.group(group)[0]) for group in ("front", "media"))
    assert "egress: ip daddr 10.30.0.11 tcp dport 7880-7889 counter name to_signal accept" in front
    assert "ingress: ip saddr 10.30.0.10 tcp dport 7880-7889 counter name signal accept" in media


def rule(*expr: dict) -> dict:
    return {"rule": {"family": "inet", "table": "classroom", "chain": "ingress", "handle": 9, "expr": list(expr)}}


def test_inner_ports_are_open_only_to_the_front() -> None:
    target = Deployment(inventory())
    lines = expected(target, target.group("media")[0])
    assert "ingress: ip saddr 10.30.0.10 tcp dport 7880 counter name signal accept" in lines
    assert "ingress: udp dport 3478 counter name turn_udp accept" in lines
    assert not any("dport 443" in line for line in lines)


def test_ssh_is_open_only_to_ssh_from() -> None:
    target = Deployment(inventory(ssh_from=("198.51.100.0/25", "198.51.100.128/25", "2001:db8:c::7/128")))
    lines = [line for line in expected(target, target.group("front")[0]) if "dport 22" in line]
    assert lines == [
        "ingress: ip saddr 198.51.100.0/24 tcp dport 22 counter name ssh accept",
        "ingress: ip6 saddr 2001:db8:c::7 tcp dport 22 counter name ssh accept",
    ]


@pytest.mark.parametrize(
    ("expr", "line"),
    [
        ([match("tcp", "dport", 22), {"counter": "ssh"}, {"accept": None}], "tcp dport 22 counter name ssh accept"),
        ([match("tcp", "dport", {"range": [30000, 30999]}), {"drop": None}], "tcp dport 30000-30999 drop"),
        (
            [match("ip", "saddr", {"prefix": {"addr": "10.0.0.0", "len": 8}}), {"accept": None}],
            "ip saddr 10.0.0.0/8 accept",
        ),
        ([match("icmp", "type", {"set": ["b", "a"]}), {"accept": None}], "icmp type { a, b } accept"),
        ([{"accept": None}], "accept"),
        ([{"counter": {"packets": 5, "bytes": 9}}, {"accept": None}], "counter accept"),
        ([{"match": {"op": "!=", "left": {"meta": {"key": "iif"}}, "right": "lo"}}], "iif != lo"),
        (
            [
                {
                    "match": {
                        "op": "!=",
                        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, {"|": ["fin", "syn"]}]},
                        "right": "syn",
                    }
                }
            ],
            "tcp flags & (fin | syn) != syn",
        ),
        ([match("tcp", "sport", 1), {"reject": {"type": "tcp reset"}}], "tcp sport 1 reject with tcp reset"),
        (
            [{"match": {"op": "!=", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 7882}}],
            "udp dport != 7882",
        ),
        ([{"log": {"prefix": "classroom-drop ", "group": 1}}], "log prefix 'classroom-drop ' group 1"),
    ],
)
def test_rule_is_converted_to_text(expr: list[dict], line: str) -> None:
    assert effective([rule(*expr)]) == [f"ingress: {line}"]


def test_unknown_statements_are_kept() -> None:
    found = effective([{"metainfo": {}}, rule({"tproxy": {"port": 1}}), {"map": {"name": "m"}}])
    assert len(found) == 2
    assert "tproxy" in found[1] and "map" in found[0]


def test_difference_is_shown() -> None:
    lines = ["a", "b"]
    assert_same_lines(lines, list(lines), "it")
    with pytest.raises(AssertionError, match=r"(?s)\+ingress: accept"):
        assert_same_lines(lines, [*lines, "ingress: accept"], "it")
    with pytest.raises(AssertionError, match=r"(?s)-b"):
        assert_same_lines(lines, ["a"], "it")

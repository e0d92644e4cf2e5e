"""Egress of a host from output of nft, ss and the journal; `ruleset.json` is nft's output for the project's rules."""

import copy
import datetime
import json
from pathlib import Path

import pytest

from classroom.common.errors import ClassroomError
from classroom.verify.browsers.background_class import between
from classroom.verify.network.capture import read as read_capture
from classroom.verify.network.nftables import Drop, drops, own_connections, read

RULESET = json.loads((Path(__file__).parent / "ruleset.json").read_text())["nftables"]


def with_rule(*statements: dict, chain: str = "egress") -> list[dict]:
    rule = {"family": "inet", "table": "classroom", "chain": chain, "handle": 999, "expr": list(statements)}
    return [*copy.deepcopy(RULESET), {"rule": rule}]


def daddr(right: object, op: str = "==") -> dict:
    return {"match": {"op": op, "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": right}}


ACCEPT = {"accept": None}


def test_all_rules_of_the_project_are_parsed() -> None:
    found = read(RULESET)
    assert found.closed
    assert {rule.kind for rule in found.allowed} == {"own", "answers", "neighbours", "addresses", "to"}
    dns = [rule for rule in found.allowed if rule.counter == "out_dns"]
    assert {network for rule in dns for network in rule.networks} == {"192.0.2.53", "2001:db8:e::53"}
    assert {(rule.protocol, rule.port) for rule in dns} == {("udp", "53"), ("tcp", "53")}


@pytest.mark.parametrize(
    "statements",
    [
        [ACCEPT],
        [daddr("192.0.2.1", "!="), ACCEPT],
        [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "new"]}}, ACCEPT],
        [daddr("192.0.2.53"), {"jump": {"target": "elsewhere"}}],
        [{"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 53}}, ACCEPT],
        [{"match": {"op": "==", "left": {"meta": {"key": "skuid"}}, "right": 0}}, ACCEPT],
    ],
)
def test_rule_without_destinations_is_open(statements: list[dict]) -> None:
    assert "open" in {rule.kind for rule in read(with_rule(*statements)).allowed}


def test_chain_with_policy_accept_is_not_closed() -> None:
    rules = copy.deepcopy(RULESET)
    for item in rules:
        if item.get("chain", {}).get("name") == "egress":
            item["chain"]["policy"] = "accept"
    assert not read(rules).closed
    assert not read([item for item in RULESET if item.get("chain", {}).get("name") != "egress"]).closed
    # A policy of another table does not count.
    others = [
        {k: {**v, "table": "filter"} if k in {"chain", "rule"} else v for k, v in item.items()} for item in RULESET
    ]
    assert not read(others).closed


def test_drops_are_parsed_from_the_journal() -> None:
    head = "2026-11-24T15:30:00+00:00 class ulogd[412]: classroom-drop  IN= OUT=eth0 MAC= "
    lines = [
        head
        + "SRC=10.30.0.10 DST=192.0.2.77 LEN=60 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=40000 DPT=443 SEQ=1 ACK=0",
        head
        + "SRC=2001:0db8:0030::10 DST=2001:0db8:dead:0000:0000:0000:0000:0213 LEN=60 TC=0 PROTO=UDP SPT=4 DPT=9 LEN=2",
        head + "SRC=10.30.0.10 DST=198.51.100.9 LEN=84 PROTO=ICMP TYPE=8 CODE=0",
        head + "garbage",
        "2026-11-24T15:30:00+00:00 class sshd[1]: something else DST=1.2.3.4",
    ]
    assert drops("\n".join(lines)) == [
        Drop("192.0.2.77", "tcp", 443),
        Drop("2001:db8:dead::213", "udp", 9),
        Drop("198.51.100.9", "icmp", None),
        Drop("", "?", None),
    ]


def test_between_keeps_lines_of_the_period() -> None:
    text = "\n".join(f"2026-11-24T15:30:{n:02}+00:00 host x: {n}" for n in range(5)) + "\n-- Boot --\n"
    first = datetime.datetime(2026, 11, 24, 15, 30, 1, tzinfo=datetime.UTC)
    kept = between(text, first, first + datetime.timedelta(seconds=2))
    assert [line[-1] for line in kept.splitlines()] == ["1", "2", "3"]


SOCKETS = """
udp UNCONN 0 0 127.0.0.1:53 0.0.0.0:* users:(("unbound",pid=1,fd=3))
udp UNCONN 0 0 10.30.0.10:7882 0.0.0.0:* users:(("livekit-server",pid=2,fd=3))
tcp LISTEN 0 4096 *:443 *:* users:(("nginx",pid=3,fd=3))
tcp LISTEN 0 4096 127.0.0.1:7880 0.0.0.0:* users:(("livekit-server",pid=2,fd=4))
tcp ESTAB 0 0 [::ffff:10.30.0.10]:443 [::ffff:198.51.100.2]:51000 users:(("nginx",pid=3,fd=9))
tcp ESTAB 0 0 127.0.0.1:40100 127.0.0.1:7880 users:(("nginx",pid=3,fd=10))
udp ESTAB 0 0 10.30.0.10:41000 192.0.2.53:53 users:(("unbound",pid=1,fd=9))
tcp SYN-SENT 0 1 10.30.0.10:41002 192.0.2.200:443 users:(("curl",pid=9,fd=5))
tcp ESTAB 0 0 [2001:db8:30::10]:41004 [2001:db8:e::20]:3142
"""


def test_outgoing_connections_are_distinguished_from_incoming() -> None:
    assert own_connections(SOCKETS) == {
        ("udp", "192.0.2.53", 53, "unbound"),
        ("tcp", "192.0.2.200", 443, "curl"),
        ("tcp", "2001:db8:e::20", 3142, "?"),
    }


def test_capture_with_lost_packets_is_refused() -> None:
    whole = {
        "names": ["a.example"],
        "places": [["udp", "192.0.2.1", 53], ["58", "ff02::16", 0]],
        "broken": 0,
        "lost": 0,
    }
    found = read_capture(json.dumps(whole))
    assert found.names == {"a.example"}
    assert found.places == {("udp", "192.0.2.1", 53)}
    with pytest.raises(ClassroomError, match="lost 3 packets"):
        read_capture(json.dumps(whole | {"lost": 3}))

"""The whole firewall ruleset of a host as lines of text: expected (by the tables of ports and endpoints) and effective."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from classroom.config.endpoints import METADATA4, METADATA6, egress_for, endpoints_of, merged
from classroom.config.ports import GROUPS, Port, named
from classroom.verify.deployment import Deployment, Machine

CONTROL_MESSAGES = ("destination-unreachable", "echo-request", "parameter-problem", "time-exceeded")
NEIGHBOURS_OUT = (
    "mld-listener-done",
    "mld-listener-report",
    "mld2-listener-report",
    "nd-neighbor-advert",
    "nd-neighbor-solicit",
    "nd-router-solicit",
)
ERRORS = ("destination-unreachable", "echo-reply", "parameter-problem", "time-exceeded")
MEDIA_COUNTERS = ("media_dropped", "media_relay", "media_tcp", "media_udp")
NEIGHBOURS = ("mld-listener-query", "nd-neighbor-advert", "nd-neighbor-solicit", "nd-router-advert")


def _set(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else "{ " + ", ".join(sorted(values)) + " }"


def _networks(values: Sequence[str]) -> dict[int, list[str]]:
    """Return merged networks by IP version; single addresses have no prefix length."""
    return {version: found for version in (4, 6) if (found := merged(values, version))}


def _port(port: Port, sources: Mapping[str, Sequence[str]]) -> list[str]:
    rest = f"{_dport(port)} counter name {_name(port)} accept"
    networks = _networks(sources.get(port.source, ()))
    if port.source == "world" or (networks.get(4) == ["0.0.0.0/0"] and networks.get(6) == ["::/0"]):
        return [rest]
    return [f"{'ip' if version == 4 else 'ip6'} saddr {_set(found)} {rest}" for version, found in networks.items()]


def _dport(port: Port) -> str:
    ports = str(port.first) if port.first == port.last else f"{port.first}-{port.last}"
    return f"{port.protocol} dport {ports}"


def _name(port: Port) -> str:
    return port.name.replace("-", "_")


def expected(target: Deployment, machine: Machine) -> list[str]:
    """Return the expected lines of a host's ruleset, from the tables of ports and endpoints and the rules of every host."""
    ports = target.ports(machine)
    sources: dict[str, list[str]] = {
        "ssh_from": target.vars["classroom_ssh_from"],
        **{group: [m.private4 for m in target.machines if group in m.groups] for group in GROUPS},
    }
    rules = [
        *(_relay_in(target) if "media" in machine.groups else []),
        "iif lo accept",
        "ct state { established, related } accept",
        "ct state invalid counter name invalid drop",
        f"icmp type {_set(CONTROL_MESSAGES)} accept",
        f"icmpv6 type {_set((*CONTROL_MESSAGES, 'packet-too-big'))} accept",
        f"icmpv6 type {_set(NEIGHBOURS)} ip6 hoplimit {_set(('1', '255'))} accept",
        "udp sport 67 udp dport 68 accept",
        "ip6 saddr fe80::/10 udp dport 546 accept",
        *(line for port in ports for line in _port(port, sources)),
        "counter name dropped",
    ]
    egress_rules = egress_for(endpoints_of(target.vars["classroom_endpoints"]))
    inner = target.inner_ports(machine)
    counters = {*map(_name, ports), "invalid", "dropped", "out_metadata", "out_late", "out_icmp", "out_dropped"}
    counters |= {egress.counter for egress in egress_rules} | {f"to_{_name(port)}" for port in inner}
    if "media" in machine.groups:
        counters |= set(MEDIA_COUNTERS)
    return [
        "table inet classroom",
        "chain ingress: type filter hook input priority 0; policy drop",
        "chain egress: type filter hook output priority 0; policy drop",
        *sorted(f"counter {name}" for name in counters),
        *(f"ingress: {rule}" for rule in rules),
        *(f"egress: {rule}" for rule in _out(target, machine)),
    ]


def _relay_in(target: Deployment) -> list[str]:
    """Return the ingress rules that drop packets of TURN relay sockets over loopback to other ports than the media port."""
    relays, to = _relay_ports(target), named("ice-udp").first
    return [
        f"iif lo udp sport {relays} udp dport != {to} counter name media_dropped drop",
        f"iif lo tcp sport {relays} tcp flags & (fin | syn | rst | ack) syn counter name media_dropped drop",
    ]


def _relay_out(target: Deployment, machine: Machine) -> list[str]:
    """Return the egress rules that limit TURN relay sockets to the media port of their own host."""
    relays, to = _relay_ports(target), named("ice-udp").first
    return [
        *(
            f"{'ip6' if ':' in address else 'ip'} daddr {address} udp sport {relays} udp dport {to}"
            " skuid livekit counter name media_relay accept"
            for address in target.addresses(machine)
        ),
        f"udp sport {relays} skuid livekit counter name media_dropped drop",
        f"tcp sport {relays} skuid livekit counter name media_dropped reject with tcp reset",
    ]


def _relay_ports(target: Deployment) -> str:
    return "-".join(map(str, target.vars["classroom_relay_ports"]))


def _out(target: Deployment, machine: Machine) -> list[str]:
    """Return the egress rules in order."""
    media = "media" in machine.groups
    own_udp = _set([str(named(name).first) for name in ("turn-udp", "ice-udp")])
    dhcp = "skuid { root, systemd-network } accept"
    rules = [*(_relay_out(target, machine) if media else []), "oif lo accept"]
    if media:
        rules += [
            f"udp sport {own_udp} skuid livekit ct state established counter name media_udp accept",
            f"tcp sport {named('ice-tcp').first} ct state established counter name media_tcp accept",
        ]
    rules += [
        "ct state { established, related } accept",
        f"icmpv6 type {_set(NEIGHBOURS_OUT)} accept",
        f"udp sport 68 udp dport 67 {dhcp}",
        f"ip6 daddr {'{ fe80::/10, ff02::1:2 }'} udp sport 546 udp dport 547 {dhcp}",
        f"ip daddr {METADATA4} tcp dport 80 skuid root counter name out_metadata accept",
        f"ip6 daddr {METADATA6} tcp dport 80 skuid root counter name out_metadata accept",
    ]
    for egress in egress_for(endpoints_of(target.vars["classroom_endpoints"])):
        for family, name in ((4, "ip"), (6, "ip6")):
            if found := egress.networks(family):
                port = f"{egress.protocol} dport {egress.port} skuid {egress.account}"
                rules.append(f"{name} daddr {_set(found)} {port} counter name {egress.counter} accept")
    for inner in target.inner_ports(machine):
        there = [m.private4 for m in target.machines if inner.group in m.groups]
        rules.append(f"ip daddr {_set(there)} {_dport(inner)} counter name to_{_name(inner)} accept")
    if media:
        rules.append(f"udp sport {own_udp} skuid livekit counter name media_dropped drop")
    served = _set([str(port.first) for port in target.ports(machine) if port.protocol == "tcp"])
    return [
        *rules,
        f"tcp sport {served} tcp flags & (fin | syn | rst | ack) != syn counter name out_late accept",
        f"icmp type {_set(ERRORS)} counter name out_icmp drop",
        f"icmpv6 type {_set((*ERRORS, 'packet-too-big'))} counter name out_icmp drop",
        "counter name out_dropped log prefix 'classroom-drop ' group 1",
    ]


def effective(ruleset: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a ruleset (output of `nft -j list ruleset`) in the form of `expected`.

    Rules keep their order; handles and packet counts are omitted. Unknown statements are kept as JSON, never omitted.
    """
    tables, chains, others, rules = [], [], [], []
    for item in ruleset:
        (kind, body), *_ = item.items()
        if kind == "metainfo":
            continue
        if kind == "table":
            tables.append(f"table {body['family']} {body['name']}")
        elif kind == "counter":
            others.append(f"counter {body['name']}")
        elif kind == "chain":
            hook = f": type {body['type']} hook {body['hook']} priority {body['prio']}" if "hook" in body else ""
            chains.append(f"chain {body['name']}{hook}" + (f"; policy {body['policy']}" if "policy" in body else ""))
        elif kind == "rule":
            rules.append(f"{body['chain']}: {' '.join(_statement(statement) for statement in body['expr'])}")
        else:
            others.append(json.dumps(item, sort_keys=True))
    return [*tables, *chains, *sorted(others), *rules]


def _statement(statement: Mapping[str, Any]) -> str:
    (kind, body), *_ = statement.items()
    if kind == "match":
        operator = "" if body["op"] in {"==", "in"} else f"{body['op']} "
        return f"{left_text(body['left'])} {operator}{right_text(body['right'])}"
    if kind == "counter":
        return f"counter name {body}" if isinstance(body, str) else "counter"
    if kind == "log" and set(body) == {"prefix", "group"}:
        return f"log prefix '{body['prefix']}' group {body['group']}"
    if kind == "reject" and body == {"type": "tcp reset"}:
        return "reject with tcp reset"
    return kind if body is None else json.dumps(statement, sort_keys=True)


def left_text(left: Mapping[str, Any]) -> str:
    """Return the left side of a match in nft syntax, or its JSON if its type is unknown."""
    (kind, body), *_ = left.items()
    if kind == "payload" and "field" in body:
        return f"{body['protocol']} {body['field']}"
    if kind == "&" and isinstance(body[1], dict) and set(body[1]) == {"|"}:
        return f"{left_text(body[0])} & ({' | '.join(body[1]['|'])})"
    if kind in {"meta", "ct"} and set(body) == {"key"}:
        return str(body["key"]) if kind == "meta" else f"ct {body['key']}"
    return json.dumps(left, sort_keys=True)


def right_text(right: Any) -> str:
    """Return the right side of a match in nft syntax, or its JSON if its type is unknown."""
    if isinstance(right, list):
        return _set([right_text(part) for part in right])
    if isinstance(right, dict):
        (kind, body), *_ = right.items()
        if kind == "set":
            return _set([right_text(part) for part in body])
        if kind == "prefix":
            return merged([f"{body['addr']}/{body['len']}"], 6 if ":" in body["addr"] else 4)[0]
        if kind == "range":
            return f"{body[0]}-{body[1]}"
        return json.dumps(right, sort_keys=True)
    return str(right)

"""Parses the egress rules, log lines and sockets of a host; a rule of an unknown form counts as open."""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from classroom.verify.network.firewall import left_text, right_text

PREFIX = "classroom-drop "
"""Log prefix of dropped egress packets."""
NEIGHBOURS = frozenset(
    {
        "nd-router-solicit",
        "nd-neighbor-solicit",
        "nd-neighbor-advert",
        "mld-listener-report",
        "mld-listener-done",
        "mld-listener-reduction",
        "mld2-listener-report",
    }
)
RuleKind = Literal["own", "answers", "neighbours", "addresses", "to", "open"]
"""What an accepting egress rule allows: loopback, replies, neighbour discovery, DHCP, listed destinations, or more."""


@dataclass(frozen=True)
class AcceptRule:
    """One egress rule that accepts: its kind, destinations, and the name of its counter, if any."""

    kind: RuleKind
    text: str
    networks: tuple[str, ...] = ()
    protocol: str = ""
    port: str = ""
    counter: str = ""


@dataclass(frozen=True)
class EgressRuleset:
    """All accepting egress rules; `closed` means that other packets are dropped, over IPv4 and IPv6."""

    closed: bool
    allowed: tuple[AcceptRule, ...]


@dataclass(frozen=True)
class Drop:
    """The destination of an egress packet that a host's firewall dropped."""

    address: str
    protocol: str
    port: int | None


def read(ruleset: Sequence[Mapping[str, Any]]) -> EgressRuleset:
    """Return the egress rules of table `inet classroom` in a ruleset (output of `nft -j list ruleset`).

    Other tables are ignored: they cannot accept a packet that this table drops.
    """
    chains = {
        item["chain"]["name"]: item["chain"]
        for item in ruleset
        if "chain" in item and (item["chain"]["family"], item["chain"]["table"]) == ("inet", "classroom")
    }
    names = {name for name, chain in chains.items() if chain.get("hook") == "output"}
    closed = any(chains[name].get("policy") == "drop" for name in names)
    allowed = []
    for item in ruleset:
        rule = item.get("rule")
        if rule and rule["table"] == "classroom" and rule["family"] == "inet" and rule["chain"] in names:
            verdicts = {kind for statement in rule["expr"] for kind in statement}
            if not verdicts & {"drop", "reject"} and verdicts & {"accept", "jump", "goto", "vmap", "queue", "return"}:
                allowed.append(_out(rule["expr"]))
    return EgressRuleset(closed, tuple(allowed))


def _out(statements: Iterable[Mapping[str, Any]]) -> AcceptRule:
    matches: dict[str, str] = {}
    counter, others = "", set()
    for statement in statements:
        (kind, body), *_ = statement.items()
        if kind == "match":
            operator = "" if body["op"] in {"==", "in"} else f"{body['op']} "
            matches[left_text(body["left"])] = f"{operator}{right_text(body['right'])}"
        elif kind == "counter":
            counter = body if isinstance(body, str) else ""
        else:
            others.add(kind)
    text = " ".join(f"{left} {right}" for left, right in matches.items())
    networks = tuple(word for left in ("ip daddr", "ip6 daddr") for word in _words(matches.get(left, "")))
    protocol = next((p for p in ("tcp", "udp") if f"{p} dport" in matches or f"{p} sport" in matches), "")
    port = matches.get(f"{protocol} dport", "")
    return AcceptRule(_kind(matches, others), text, networks, protocol, port, counter)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[{},\s]+", text) if word]


def _kind(matches: Mapping[str, str], others: set[str]) -> RuleKind:
    if others != {"accept"}:
        return "open"
    if matches in ({"oif": "lo"}, {"oifname": "lo"}):
        return "own"
    states = set(_words(matches.get("ct state", "")))
    if states and states <= {"established", "related"}:
        return "answers"
    flags = [right for left, right in matches.items() if '"flags"' in left or left.startswith("tcp flags")]
    if flags == ["!= syn"] and "tcp sport" in matches:
        return "answers"
    types = set(_words(matches.get("icmpv6 type", "")))
    if types and types <= NEIGHBOURS:
        return "neighbours"
    ports = (matches.get("udp sport"), matches.get("udp dport"))
    if ports in {("68", "67"), ("546", "547")}:
        return "addresses"
    places = _words(matches.get("ip daddr", "")) + _words(matches.get("ip6 daddr", ""))
    # A negated match ("!=") is not a list of destinations.
    return "to" if places and all(map(_network, places)) else "open"


def _network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        first, _, last = text.partition("-")
        try:
            return bool(last) and ipaddress.ip_address(first).version == ipaddress.ip_address(last).version
        except ValueError:
            return False
    return True


LINE = re.compile(
    rf"{re.escape(PREFIX)}.*?\bDST=(?P<address>\S+)(?:.*?\bPROTO=(?P<protocol>\w+))?(?:.*?\bDPT=(?P<port>\d+))?"
)


def drops(journal: str) -> list[Drop]:
    """Return the dropped packets from the lines of a journal; one whose line cannot be parsed has an empty address."""
    found = []
    for line in journal.splitlines():
        if PREFIX not in line:
            continue
        match = LINE.search(line)
        try:
            address = str(ipaddress.ip_address(match["address"])) if match else ""
        except ValueError:
            address = ""
        port = int(match["port"]) if match and match["port"] else None
        found.append(Drop(address, (match["protocol"] or "?").lower() if match else "?", port))
    return found


def own_connections(text: str) -> set[tuple[str, str, int, str]]:
    """Return the connections that a host opened: (protocol, peer's address, peer's port, program).

    `text` is the output of `ss -H -n -t -u -a -p`. A connection whose local port is a listening one is incoming and is
    omitted, as is loopback.
    """
    rows = [(line, line.split()) for line in text.splitlines() if len(line.split()) >= 6]
    listening = {(row[0], row[4].rpartition(":")[2]) for _, row in rows if row[1] in {"LISTEN", "UNCONN"}}
    found = set()
    for line, row in rows:
        if row[1] in {"LISTEN", "UNCONN"} or (row[0], row[4].rpartition(":")[2]) in listening:
            continue
        address, _, port = row[5].rpartition(":")
        peer = ipaddress.ip_address(address.strip("[]").partition("%")[0])
        peer = getattr(peer, "ipv4_mapped", None) or peer
        if peer.is_loopback or not port.isdigit():
            continue
        program = re.findall(r'\("([^"]+)"', line)
        found.add((row[0], str(peer), int(port), program[0] if program else "?"))
    return found


def as_text(found: EgressRuleset) -> str:
    """Return the rules as text, to compare two states."""
    return json.dumps([found.closed, [rule.text for rule in found.allowed]])

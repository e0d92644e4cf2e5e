"""Control `host-connections`: every destination that a host contacted or tried to contact during the class."""

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from classroom.config.endpoints import METADATA4, METADATA6
from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.network.nftables import AcceptRule, Drop, EgressRuleset
from classroom.verify.report.phrases import Sentence, sentence

ID = "host-connections"
Connection = tuple[str, str, int, str]
"""Protocol, peer's address, its port, program."""
ON_LINK = tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "224.0.0.0/24", "fe80::/10", "ff02::/16")))
"""Link-local and multicast networks, to which no router forwards; such packets are dropped as well."""
UNJUDGED = ("media_udp", "media_tcp", "media_relay", "media_dropped", "out_late", "out_metadata")
"""Counters of media to participants and of replies, which are counted but not evaluated."""


@dataclass(frozen=True)
class Window:
    """Observations of a host during the class: rules, increase of counters (packets), drops, connections.

    `steady` is true if the rules were the same at start and end; `seconds` is the duration.
    """

    rules: EgressRuleset
    steady: bool
    grown: Mapping[str, int]
    dropped: tuple[Drop, ...]
    connections: frozenset[Connection]
    seconds: float


def judge(
    hosts: Mapping[str, Window], own: Collection[str], participants: Collection[str], evaluator: Evaluator
) -> Proof:
    """Evaluate every destination of every host.

    Each packet that a host initiates is either counted by a rule that lists its destinations, or dropped, counted and
    logged: rules, counters and drops together are a complete record. `participants` are addresses that must not appear in
    the evidence; they are only counted.
    """
    seen: list[Seen] = []
    absent: list[Sentence] = []
    used: set[str] = set()
    for host, found in hosts.items():
        if not found.rules.closed or any(_uncounted(entry) for entry in found.rules.allowed):
            seen.append(Seen(where=host, outcome="unknown", what=sentence("no-record")))
        elif not found.steady:
            seen.append(Seen(where=host, outcome="unknown", what=sentence("rules-changed")))
        else:
            what = sentence("whole-record", seconds=round(found.seconds))
            seen.append(Seen(where=host, outcome="good", what=what))
        for entry in found.rules.allowed:
            packets = found.grown.get(entry.counter, 0)
            if entry.kind != "to" or not packets or entry.counter in UNJUDGED:
                continue
            for network in entry.networks:
                address = network.partition("/")[0].partition("-")[0]
                if address in own:
                    continue
                used.add(entry.counter)
                what = sentence("rule-used", place=network, counter=entry.counter, packets=packets)
                seen.append(evaluator.evaluate(host, what, address, listed=evaluator.endpoint(address) is not None))
        seen += _dropped(host, found, participants, evaluator)
        if not found.dropped and not found.grown.get("out_dropped", 0):
            absent.append(sentence("nothing-dropped", host=host))
        for protocol, address, port, program in sorted(found.connections):
            what = sentence("connection", protocol=protocol, port=port, program=program)
            if address in own or address in {METADATA4, METADATA6}:
                seen.append(
                    Seen(where=host, outcome="good", what=sentence("connection-inside", port=port, program=program))
                )
            elif address in participants:
                seen.append(Seen(where=host, outcome="wrong", what=sentence("connection-participant", program=program)))
            else:
                seen.append(evaluator.evaluate(host, what, address, listed=evaluator.endpoint(address) is not None))
        media = {name: number for name, number in found.grown.items() if name.startswith("media_") and number}
        for name, number in sorted(media.items()):
            seen.append(
                Seen(where=host, outcome="residue", what=sentence("media-counted", counter=name, packets=number))
            )
    open_uses = {"dns": "out_dns", "ntp": "out_ntp", "packages": "out_packages", "ca": "out_ca"}
    idle = tuple(
        sentence("endpoint-unused", use=one.use, name=one.name)
        for one in evaluator.declarations.endpoints
        if open_uses.get(one.use) not in used
    )
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent), not_observed=idle)


def _uncounted(entry: AcceptRule) -> bool:
    """Return whether a rule allows packets to any destination, or without a counter."""
    return entry.kind == "open" or (entry.kind == "to" and not entry.counter)


def _dropped(host: str, found: Window, participants: Collection[str], evaluator: Evaluator) -> list[Seen]:
    seen: list[Seen] = []
    for drop in sorted(set(found.dropped), key=lambda one: (one.address, one.protocol, one.port or 0)):
        times = found.dropped.count(drop)
        port = drop.port or "-"
        if not drop.address:
            seen.append(Seen(where=host, outcome="unknown", what=sentence("drop-unreadable")))
        elif drop.address in participants:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("drop-participant", times=times)))
        elif any(ipaddress.ip_address(drop.address) in net for net in ON_LINK):
            what = sentence("drop-neighbours", protocol=drop.protocol, port=port, times=times)
            seen.append(Seen(where=host, outcome="residue", what=what))
        else:
            what = sentence("drop", protocol=drop.protocol, port=port, times=times)
            seen.append(evaluator.evaluate(host, what, drop.address, listed=False))
    missing = found.grown.get("out_dropped", 0) - len(found.dropped)
    if missing > 0:
        seen.append(Seen(where=host, outcome="unknown", what=sentence("drops-not-logged", number=missing)))
    return seen

"""Control `egress-drop`: hosts and security groups drop egress to destinations that are not in the tables (IPv4, IPv6)."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classroom.config.endpoints import METADATA4, METADATA6
from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.network.nftables import EgressRuleset
from classroom.verify.report.phrases import Sentence, sentence

ID = "egress-drop"


@dataclass(frozen=True)
class EgressAttempt:
    """Attempts of a host to reach an address that no table lists, with the drops that its firewall counted and logged."""

    address: str
    counted: int
    logged: int


@dataclass(frozen=True)
class Barrier:
    """A host's egress rules, and the results of its attempts, one for each IP version."""

    rules: EgressRuleset
    tried: tuple[EgressAttempt, ...]


def judge(
    hosts: Mapping[str, Barrier],
    groups: Mapping[str, Sequence[Mapping[str, Any]]] | None,
    own: Sequence[str],
    evaluator: Evaluator,
) -> Proof:
    """Evaluate the host's firewall and the cloud's security groups.

    `own` are the machines' addresses; `groups` maps each machine to the rules of its security groups in the format of
    Neutron's API, or is None if the cloud was not queried.
    """
    listed = [*own, METADATA4, METADATA6, *(a for one in evaluator.declarations.endpoints for a in one.addresses)]
    allowed = [ipaddress.ip_network(text) for text in listed]
    seen: list[Seen] = []
    absent: list[Sentence] = []
    for host, found in hosts.items():
        if found.rules.closed:
            seen.append(Seen(where=host, outcome="good", what=sentence("host-closed", number=len(found.rules.allowed))))
        else:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("host-open")))
        for entry in found.rules.allowed:
            unlisted = [text for text in entry.networks if not _within(text, allowed)]
            if entry.kind == "open" or (entry.kind == "to" and unlisted):
                seen.append(Seen(where=host, outcome="wrong", what=sentence("rule-too-wide", rule=entry.text[:160])))
        for one in found.tried:
            good = one.counted > 0 and one.logged > 0
            what = sentence(
                "tried-and-dropped" if good else "tried-and-lost",
                counted=one.counted,
                logged=one.logged,
                family=_family(one.address),
            )
            seen.append(Seen(where=host, outcome="good" if good else "wrong", what=what))
        if not found.tried:
            seen.append(Seen(where=host, outcome="unknown", what=sentence("nothing-tried")))
    for machine, rules in (groups or {}).items():
        out = [rule for rule in rules if rule["direction"] == "egress"]
        wide = [rule for rule in out if not _rule_within(rule, allowed)]
        seen += [
            Seen(where=machine, outcome="wrong", what=sentence("group-too-wide", rule=_rule(rule))) for rule in wide
        ]
        if not wide:
            seen.append(Seen(where=machine, outcome="good", what=sentence("group-closed", number=len(out))))
    not_proven = () if groups is not None else (sentence("groups-not-queried"),)
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent), not_proven=not_proven)


def _family(address: str) -> str:
    return f"IPv{ipaddress.ip_address(address).version}"


def _within(text: str, allowed: Sequence[Any]) -> bool:
    first, _, last = text.partition("-")
    nets = [ipaddress.ip_network(first)] if not last else [ipaddress.ip_network(first), ipaddress.ip_network(last)]
    return all(any(net.version == one.version and net.subnet_of(one) for one in allowed) for net in nets)


def _rule_within(rule: Mapping[str, Any], allowed: Sequence[Any]) -> bool:
    if rule.get("remote_group_id"):
        return True  # a group of the same project: machines of the stack
    prefix = rule.get("remote_ip_prefix")
    return _within(str(prefix), allowed) if prefix else False


def _rule(rule: Mapping[str, Any]) -> str:
    low, high = rule.get("port_range_min"), rule.get("port_range_max")
    ports = "" if low is None else f" {low}" if low == high else f" {low}-{high}"
    where = rule.get("remote_ip_prefix") or "*"
    return f"{rule.get('ethertype')} {rule.get('protocol') or '*'}{ports} -> {where}"

"""Control `resolver`: hosts query only the resolvers in the table of endpoints, and only names in the table."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.report.phrases import Sentence, sentence

ID = "resolver"
OWN = {"127.0.0.1", "::1"}


@dataclass(frozen=True)
class Resolver:
    """Resolver settings of a host, in the format of its files and programs.

    `resolved` is systemd-resolved's whole configuration, `unbound` that of the local resolver with included files.
    `answered` are names outside the table that were resolved; `asked` is the number of DNS queries that left the host
    meanwhile, or None if the host does not count them.
    """

    resolv_conf: str
    resolved: str
    resolved_runs: bool
    unbound: str
    unbound_runs: bool
    listening: frozenset[str]
    answered: tuple[str, ...] = ()
    asked: int | None = None


def settings(text: str, key: str) -> list[str]:
    """Return the values of a key in a systemd configuration; an empty assignment resets the list."""
    found: list[str] = []
    for value in re.findall(rf"^\s*{key}\s*=(.*)$", text, re.M):
        words = value.split()
        found = [*found, *words] if words else []
    return found


def servers(text: str) -> list[str]:
    """Return the name servers of a resolv.conf."""
    return [address.partition("%")[0] for address in re.findall(r"^\s*nameserver\s+(\S+)", text, re.M)]


def forwarders(text: str) -> list[str]:
    """Return the forwarders in unbound's configuration, without ports and TLS names."""
    return [
        re.split(r"[@#]", word)[0] for word in re.findall(r"^\s*(?:forward|stub)-addr:\s*\"?([^\s\"]+)", text, re.M)
    ]


def address_of(word: str) -> str | None:
    """Return the address in a word of a resolver's configuration, without port and names, or None if there is none."""
    text = word.partition("#")[0].partition("%")[0]
    text = text[1:].partition("]")[0] if text.startswith("[") else text
    if text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def judge(hosts: Mapping[str, Resolver], evaluator: Evaluator) -> Proof:
    """Evaluate every resolver in a host's configuration, and the test queries."""
    table = {address for one in evaluator.declarations.endpoints if one.use == "dns" for address in one.addresses}
    seen: list[Seen] = []
    used: set[str] = set()
    absent: list[Sentence] = []
    for host, found in hosts.items():
        for key in ("DNS", "FallbackDNS"):
            for word in settings(found.resolved, key):
                address = address_of(word)
                what = sentence("resolved-names", key=key, server=word)
                if address in OWN and key == "DNS":
                    continue
                if address is None:
                    seen.append(Seen(where=host, outcome="wrong", what=what))
                else:
                    seen.append(evaluator.evaluate(host, what, address, listed=False))
        if not settings(found.resolved, "FallbackDNS"):
            absent.append(sentence("no-fallback-dns", host=host))
        if found.resolved_runs:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("resolved-runs")))
        else:
            absent.append(sentence("resolved-rests", host=host))
        for address in servers(found.resolv_conf):
            if address in OWN:
                seen.append(Seen(where=host, outcome="good", what=sentence("asks-itself", server=address)))
            else:
                seen.append(evaluator.evaluate(host, sentence("asks-directly", server=address), address, listed=False))
        if not servers(found.resolv_conf):
            seen.append(Seen(where=host, outcome="unknown", what=sentence("no-name-server")))
        upstream = forwarders(found.unbound)
        if not (found.unbound_runs and upstream):
            seen.append(Seen(where=host, outcome="wrong", what=sentence("no-own-resolver")))
        for address in upstream:
            used.add(address)
            seen.append(
                evaluator.evaluate(host, sentence("forwards", server=address), address, listed=_row(evaluator, address))
            )
        for program in sorted(found.listening - {"unbound"}):
            seen.append(Seen(where=host, outcome="wrong", what=sentence("other-resolver", program=program)))
        for name in found.answered:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("strange-name-answered", name=name)))
        if found.asked is None:
            seen.append(Seen(where=host, outcome="unknown", what=sentence("names-uncounted")))
        elif found.asked:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("strange-name-left", number=found.asked)))
        else:
            absent.append(sentence("strange-name-kept", host=host))
    idle = sorted(table - used)
    return Proof(
        id=ID,
        seen=tuple(seen),
        absent=tuple(absent),
        not_observed=tuple(sentence("dns-unused", server=a) for a in idle),
    )


def _row(evaluator: Evaluator, address: str) -> bool:
    row = evaluator.endpoint(address)
    return row is not None and row.use == "dns"

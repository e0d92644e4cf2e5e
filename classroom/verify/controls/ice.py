"""Control `ice`: browsers use only the deployment's STUN, TURN and media hosts; TURN does not relay to outside hosts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.controls.resolver import address_of
from classroom.verify.report.phrases import Sentence, sentence

ID = "ice"


@dataclass(frozen=True)
class Relay:
    """Result of relaying to an outside host: packets `arrived`, TURN's error if `refused`, packets `dropped` by the host."""

    server: str
    arrived: int
    refused: str = ""
    dropped: int = 0


def host_of_ice(url: str) -> str:
    """Return the host of a `stun:` or `turn:` URL, without port."""
    rest = url.partition(":")[2].partition("?")[0]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0]


def judge(
    people: Mapping[str, Mapping[str, Any]],
    own_names: Collection[str],
    own_addresses: Collection[str],
    relays: Collection[Relay] | None,
    evaluator: Evaluator,
) -> Proof:
    """Evaluate each participant's ICE servers and selected candidate pairs.

    `people` maps each to `servers` (URLs) and `pairs` (dicts with remote, port, kind, protocol, relay, url); `relays` is
    None if relaying was not tested.
    """
    seen: list[Seen] = []
    absent: list[Sentence] = []
    servers = sorted({url for found in people.values() for url in found["servers"]})
    for url in servers:
        host = host_of_ice(url)
        address = address_of(host)
        what = sentence("ice-server", url=url)
        if address:
            seen.append(evaluator.evaluate("page", what, address, listed=address in own_addresses))
        else:
            seen.append(Seen(where="page", outcome="good" if host in own_names else "wrong", what=what))
    if not servers:
        seen.append(Seen(where="page", outcome="unknown", what=sentence("no-ice-server")))
    for name, found in people.items():
        if not found["pairs"]:
            seen.append(Seen(where=name, outcome="unknown", what=sentence("no-pair")))
    ends = sorted(
        {
            (
                str(pair["remote"] or ""),
                int(pair["port"] or 0),
                str(pair["kind"]),
                str(pair["relay"] or pair["protocol"]),
            )
            for found in people.values()
            for pair in found["pairs"]
        }
    )
    for remote, port, kind, transport in ends:
        what = sentence("pair", kind=kind, transport=transport, port=port)
        if not remote:
            seen.append(Seen(where="page", outcome="unknown", what=what))
        elif remote not in own_addresses:
            # It may be another participant, whose address must not appear in a report.
            seen.append(
                Seen(where="page", outcome="wrong", what=sentence("pair-elsewhere", kind=kind, transport=transport))
            )
        else:
            seen.append(Seen(where="page", outcome="good", what=what))
    for one in relays or ():
        if one.arrived:
            what = sentence("relayed", server=one.server, number=one.arrived)
            seen.append(Seen(where=one.server, outcome="wrong", what=what))
        elif one.refused or one.dropped:
            absent.append(sentence("relay-refused", server=one.server))
        else:
            seen.append(Seen(where=one.server, outcome="unknown", what=sentence("relay-unclear", server=one.server)))
    not_proven = () if relays is not None else (sentence("relay-untried"),)
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent), not_proven=not_proven)

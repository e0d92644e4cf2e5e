"""Control `page-requests`: the page sends requests only to the class; the browser's own traffic is reported as residue."""

from collections.abc import Collection
from dataclasses import dataclass

from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.report.phrases import Sentence, sentence

ID = "page-requests"


@dataclass(frozen=True)
class Request:
    """One request of the page, from the Chrome DevTools Protocol: host, kind, result, and the address that answered.

    `result` is answered, unanswered, failed or blocked. Path and content are not stored.
    """

    host: str
    kind: str
    result: str
    address: str = ""


@dataclass(frozen=True)
class Traffic:
    """Traffic of a network: names in DNS queries, and destinations (protocol, address, port)."""

    names: frozenset[str]
    places: frozenset[tuple[str, str, int]]


def judge(
    requests: Collection[Request],
    domain: str,
    own_names: Collection[str],
    own_addresses: Collection[str],
    captured: Traffic | None,
    baseline: Traffic | None,
    evaluator: Evaluator,
) -> Proof:
    """Evaluate the page's requests, of which only those to `domain` are good, and report the browser's own traffic as residue.

    `captured` is the browsers' traffic in the class, whose names are `own_names`; `baseline` is that of a browser outside
    any class; both are None if traffic was not captured. A name that is in neither the baseline nor a request was queried
    by the browser itself.
    """
    seen: list[Seen] = []
    hosts = sorted({request.host for request in requests})
    for host in hosts:
        these = [request for request in requests if request.host == host]
        kinds = ", ".join(sorted({request.kind for request in these}))
        result = ", ".join(sorted({request.result for request in these}))
        what = sentence("requests", host=host, number=len(these), kinds=kinds, result=result)
        addresses = sorted({request.address for request in these if request.address})
        listed = host == domain
        if addresses:
            seen += [evaluator.evaluate("page", what, a, listed=listed and a in own_addresses) for a in addresses]
        else:
            seen.append(Seen(where="page", outcome="good" if listed else "wrong", what=what))
    if not hosts:
        seen.append(Seen(where="page", outcome="unknown", what=sentence("no-request")))
    absent: list[Sentence] = []
    if captured is None or baseline is None:
        return Proof(id=ID, seen=tuple(seen), not_proven=(sentence("not-captured"),))
    own = set(own_addresses)
    names = captured.names - set(own_names)
    places = {place for place in captured.places if place[1] not in own}
    for name in sorted(names - baseline.names - set(hosts)):
        seen.append(Seen(where="browser", outcome="residue", what=sentence("browser-asked-more", name=name)))
    for protocol, address, port in sorted(places - baseline.places):
        what = sentence("browser-spoke-more", protocol=protocol, address=address, port=port)
        seen.append(Seen(where="browser", outcome="residue", what=what))
    for name in sorted(baseline.names):
        seen.append(Seen(where="browser", outcome="residue", what=sentence("browser-asks", name=name)))
    for protocol, address, port in sorted(baseline.places - {place for place in baseline.places if place[1] in own}):
        what = sentence("browser-speaks", protocol=protocol, address=address, port=port)
        seen.append(Seen(where="browser", outcome="residue", what=what))
    if not names - baseline.names and not places - baseline.places:
        absent.append(sentence("browser-silent"))
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent))

"""Control `time`: hosts use only the time servers in the table of endpoints."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.controls.resolver import address_of
from classroom.verify.report.phrases import Sentence, sentence

ID = "time"
WORDS = re.compile(r"^\s*(server|pool|peer|refclock|sourcedir|include|confdir)\s+(\S+)", re.M)


@dataclass(frozen=True)
class Clock:
    """Time settings of a host: chrony's configuration, output of `chronyc -n -c sources`, and other running time services."""

    chrony: str
    chrony_runs: bool
    sources: str
    others: tuple[str, ...] = ()


def sources(text: str) -> list[str]:
    """Return the addresses of chrony's time sources, reachable or not."""
    return [parts[2] for line in text.splitlines() if len(parts := line.split(",")) > 2 and parts[0] in {"^", "="}]


def judge(hosts: Mapping[str, Clock], evaluator: Evaluator) -> Proof:
    """Evaluate every time source in a host's configuration and in chrony's list of sources."""
    rows = [one for one in evaluator.declarations.endpoints if one.use == "ntp"]
    names = {row.name for row in rows}
    seen: list[Seen] = []
    absent: list[Sentence] = []
    used: set[str] = set()
    for host, found in hosts.items():
        if not found.chrony_runs:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("no-clock")))
        for word, value in WORDS.findall(found.chrony):
            what = sentence("time-named", word=word, server=value)
            address = address_of(value)
            if word != "server":
                seen.append(Seen(where=host, outcome="wrong", what=what))
            elif address:
                seen.append(evaluator.evaluate(host, what, address, listed=_row(evaluator, address)))
            else:
                seen.append(Seen(where=host, outcome="good" if value in names else "wrong", what=what))
        for address in sources(found.sources):
            if row := evaluator.endpoint(address):
                used.add(row.name)
            seen.append(
                evaluator.evaluate(
                    host, sentence("time-used", server=address), address, listed=_row(evaluator, address)
                )
            )
        if found.chrony_runs and not sources(found.sources):
            seen.append(Seen(where=host, outcome="unknown", what=sentence("time-unused")))
        for name in found.others:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("other-clock", name=name)))
        if not found.others:
            absent.append(sentence("no-other-clock", host=host))
    idle = tuple(sentence("ntp-unused", server=row.name) for row in rows if row.name not in used)
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent), not_observed=idle)


def _row(evaluator: Evaluator, address: str) -> bool:
    row = evaluator.endpoint(address)
    return row is not None and row.use == "ntp"

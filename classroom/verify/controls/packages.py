"""Control `packages`: packages and security updates come only from the archives in the table of endpoints."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from classroom.sovereignty.operators import host_of
from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.report.phrases import Sentence, sentence

ID = "packages"
PROXY = re.compile(r'^Acquire::(?:https?|ftp)::Proxy(?:-Auto-Detect)?(?:::\S+)? "(.+)";$', re.M | re.I)


@dataclass(frozen=True)
class Archives:
    """Package sources of a host.

    `targets` is the output of `apt-get update --print-uris` (it fetches nothing), `settings` that of `apt-config dump`;
    `others` are other installed package managers.
    """

    targets: str
    settings: str
    others: tuple[str, ...] = ()


def archives(text: str) -> dict[str, set[str]]:
    """Return the hosts of the archives with their suites."""
    found: dict[str, set[str]] = {}
    for uri in re.findall(r"^'([^']+)'", text, re.M):
        suite = re.search(r"/dists/([^/]+)/", uri)
        found.setdefault(host_of(uri), set()).add(suite[1] if suite else "-")
    return found


def judge(hosts: Mapping[str, Archives], evaluator: Evaluator) -> Proof:
    """Evaluate every archive and proxy that apt on a host uses."""
    rows = {one.name: one for one in evaluator.declarations.endpoints if one.use == "packages"}
    seen: list[Seen] = []
    absent: list[Sentence] = []
    used: set[str] = set()
    for host, found in hosts.items():
        there = archives(found.targets)
        if not there:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("no-archive")))
        if not any(suite.endswith("-security") for suites in there.values() for suite in suites):
            seen.append(Seen(where=host, outcome="wrong", what=sentence("no-security-archive")))
        proxies = [host_of(value) or value for value in PROXY.findall(found.settings)]
        sources = {
            name: sentence("archive", server=name, suites=", ".join(sorted(suites))) for name, suites in there.items()
        }
        sources |= {name: sentence("apt-proxy", server=name) for name in proxies}
        for name, what in sorted(sources.items()):
            used.add(name)
            row = rows.get(name)
            if row is None:
                seen.append(Seen(where=host, outcome="wrong", what=what))
            else:
                seen += [evaluator.evaluate(host, what, address.partition("/")[0]) for address in row.addresses]
        if not proxies:
            absent.append(sentence("no-apt-proxy", host=host))
        for name in found.others:
            seen.append(Seen(where=host, outcome="wrong", what=sentence("other-packages", name=name)))
        if not found.others:
            absent.append(sentence("no-other-packages", host=host))
    idle = tuple(sentence("packages-unused", server=name) for name in sorted(rows.keys() - used))
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent), not_observed=idle)

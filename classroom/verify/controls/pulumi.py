"""Control `pulumi`: storage of the state and the secrets' key, plugins, and destinations contacted during `pulumi up`."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass

from classroom.clients.pulumi_backend import refuse_backend, refuse_secrets_provider
from classroom.sovereignty.policy import NEVER_ALLOWED
from classroom.sovereignty.service_policy import ServicePolicy
from classroom.verify.controls.evidence import Evaluator, Outcome, Proof, Seen
from classroom.verify.report.phrases import Sentence, sentence

ID = "pulumi"


@dataclass(frozen=True)
class Captured:
    """Captured traffic of `pulumi up`: start, exit status, destinations (protocol, address, port) and names in DNS queries."""

    began: datetime.datetime
    status: int
    places: frozenset[tuple[str, str, int]]
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Engine:
    """Local settings of Pulumi: backend, secrets provider, downloaded plugins, and whether it may download."""

    backend: str
    provider: str
    plugins: tuple[str, ...]
    asks_for_updates: bool
    fetches_plugins: bool


def judge(
    engine: Engine,
    captured: Captured | None,
    own: Collection[str],
    cloud: Collection[str],
    resolvers: Collection[str],
    evaluator: Evaluator,
) -> Proof:
    """Evaluate Pulumi's settings and each contacted destination.

    `own` are the stack's addresses, `cloud` those of the cloud's services, `resolvers` those of the operator's machine.
    """
    outside = ServicePolicy.of(evaluator.declarations, evaluator.operators, evaluator.as_of)
    seen: list[Seen] = []
    absent: list[Sentence] = []
    fault = refuse_backend(engine.backend, outside)
    seen.append(_seen(fault, sentence("backend", kind=engine.backend.partition("://")[0])))
    fault = refuse_secrets_provider(engine.provider, engine.backend, outside)
    seen.append(_seen(fault, sentence("secrets-provider", kind=engine.provider.partition("://")[0])))
    evaluator.used += [one for one in outside.used if one not in evaluator.used]
    for name in engine.plugins:
        seen.append(Seen(where="operator", outcome="wrong", what=sentence("plugin-fetched", name=name)))
    if not engine.plugins:
        absent.append(sentence("no-plugin-fetched"))
    if engine.asks_for_updates:
        seen.append(Seen(where="operator", outcome="wrong", what=sentence("asks-for-updates")))
    else:
        absent.append(sentence("no-update-check"))
    if engine.fetches_plugins:
        seen.append(Seen(where="operator", outcome="wrong", what=sentence("fetches-plugins")))
    seen.append(Seen(where="operator", outcome="residue", what=sentence("build-registries", kinds="Go, npm, Python")))
    if captured is None:
        return Proof(id=ID, seen=tuple(seen), absent=tuple(absent), not_proven=(sentence("up-not-captured"),))
    day = captured.began.date().isoformat()
    if captured.status:
        seen.append(
            Seen(where="operator", outcome="unknown", what=sentence("up-failed", day=day, status=captured.status))
        )
    for protocol, address, port in sorted(captured.places):
        if address in resolvers and port == 53:
            what = sentence("up-resolver", protocol=protocol)
            seen.append(Seen(where="operator", outcome="residue", what=what))
            continue
        listed = address in own or address in cloud or evaluator.endpoint(address) is not None
        what = sentence("up-asked", protocol=protocol, port=port, day=day)
        seen.append(evaluator.evaluate("operator", what, address, listed=listed))
    if not captured.places:
        seen.append(Seen(where="operator", outcome="unknown", what=sentence("up-empty", day=day)))
    return Proof(id=ID, seen=tuple(seen), absent=tuple(absent))


def _seen(fault: str | None, what: Sentence) -> Seen:
    outcome: Outcome = "good" if fault is None else "unknown" if NEVER_ALLOWED in fault else "wrong"
    return Seen(where="operator", outcome=outcome, what=what)

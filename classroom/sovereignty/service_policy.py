"""Judgement of the outside services that a stack file names. No name is resolved."""

import datetime
import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from classroom.common.hosts import is_address
from classroom.common.networks import IpNetwork
from classroom.sovereignty.catalogue import ASPECTS, About, Cloud
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import AGES, Ages, outdated
from classroom.sovereignty.operators import Operators, host_of, region_in
from classroom.sovereignty.policy import (
    NEVER_ALLOWED,
    DeclaredCloud,
    Level,
    Policy,
    PolicyDecision,
    PolicyException,
    Reason,
    admitting_line,
    excepted,
    judge_operator,
    judge_region,
)
from classroom.sovereignty.presets import behind
from classroom.sovereignty.verdict import MOST_RANGES, Declared, Judge, Judged, Overlay, Verdict

SHOWN = 8
"""Maximum number of reasons, and of ranges of one network, that a refusal lists."""


class Rules(Protocol):
    """The settings that a judgement needs, from a stack's settings or a deployment's inventory."""

    @property
    def region(self) -> str:
        """The cloud's region."""

    @property
    def policy(self) -> Policy:
        """The required levels."""

    @property
    def exceptions(self) -> Sequence[PolicyException]:
        """Parties that are allowed although the policy refuses them."""

    @property
    def declared_cloud(self) -> Sequence[DeclaredCloud]:
        """Clouds that are not in the catalogue."""

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Outside services that the class uses."""

    @property
    def ages(self) -> Ages:
        """The ages above which facts count as unknown."""

    @property
    def rehearsal(self) -> bool:
        """Whether the stack is a rehearsal's."""

    @property
    def overlay(self) -> Sequence[Overlay]:
        """Fictitious owners of a rehearsal's documentation addresses."""


@dataclass
class ServicePolicy:
    """Judges outside services on one day under one policy. `used` and `notes` collect the exceptions."""

    operators: Operators
    policy: Policy
    as_of: datetime.date
    declared: Declared = field(default_factory=Declared)
    exceptions: Sequence[PolicyException] = ()
    endpoints: Sequence[Endpoint] = ()
    ages: Ages = AGES
    used: list[PolicyException] = field(default_factory=list)

    @classmethod
    def of(cls, rules: Rules, operators: Operators, as_of: datetime.date) -> Self:
        """Return the judge for the settings of a stack or a deployment."""
        return cls(
            operators=operators,
            policy=rules.policy,
            as_of=as_of,
            declared=Declared(
                clouds=tuple(rules.declared_cloud), overlays=tuple(rules.overlay), rehearsal=rules.rehearsal
            ),
            exceptions=rules.exceptions,
            endpoints=rules.endpoints,
            ages=rules.ages,
        )

    def endpoint(self, one: Endpoint) -> str | None:
        """Return the faults of an endpoint, or None: its operator and owner, and soil and network of each address."""
        subject = f"endpoints: {one.use} '{one.name}'"
        if one.url and host_of(one.url) != one.name:
            return f"{subject}: the host of its url '{one.url}' is '{host_of(one.url)}': correct name or url"
        preset = behind(one.use, one.name, one.addresses)
        if preset and (old := outdated(preset.all_sources, self.as_of, self.ages)):
            return f"{subject}: its preset '{preset.id}' is too old: {old}"
        operator = self.operators.named(one.operator)
        if operator is None:
            return (
                f"{subject}: its operator '{one.operator}' is neither in the catalogue nor declared, and {NEVER_ALLOWED}\n"
                f"{self.allowed()}\nto use another operator, describe it under classroom:declared_operators in the stack file"
            )
        reasons = self._operator(operator)
        faults: list[str | None] = []
        for text in one.addresses:
            network = ipaddress.ip_network(text)
            widest = self._judge.widest(network)
            if widest != network:
                faults.append(
                    f"{subject}, network '{network}': it has more than {MOST_RANGES} announced ranges, too many to judge each, and"
                    f" {NEVER_ALLOWED}; name narrower networks: from its first address on, '{widest}' is the widest that can be judged"
                )
                continue
            parties: list[str | None] = []
            for seen in self._different(network):
                soil, *owners = self._verdicts(seen)
                reasons.append(soil)
                # The network's owner is judged apart from the named operator, also for exceptions. Only where no table and no
                # other declaration decides who runs the address, the named operator is judged alone.
                if not self._judge.undecided(ipaddress.ip_address(seen.address)):
                    parties.append(self.refusal(f"{subject}, address '{seen.address}'", self._known(seen), owners))
            refused = [fault for fault in parties if fault]
            faults += refused[:SHOWN]
            if len(refused) > SHOWN:
                faults.append(f"{subject}, network '{network}': {len(refused) - SHOWN} further ranges are refused")
        faults.insert(0, self.refusal(f"{subject} of '{one.operator}'", _names(operator), reasons))
        return "\n".join(fault for fault in faults if fault) or None

    def host(self, subject: str, host: str) -> str | None:
        """Return the faults of a host by its name, or None; it may be an endpoint, belong to a known cloud, or be unknown."""
        if named := next((one for one in self.endpoints if one.name == host), None):
            fault = self.endpoint(named)
            return f"{subject}: it is a refused endpoint:\n{fault}" if fault else None
        cloud = self.operators.of_host(host)
        if cloud is None and is_address(host):
            seen = self._judge.judge(host)
            return self.refusal(subject, self._known(seen), self._verdicts(seen))
        if cloud is None:
            return (
                f"{subject}: the operator and the location of '{host}' are not known, and {NEVER_ALLOWED}\n"
                "if you know its operator, add the host to classroom:endpoints in the stack file"
            )
        region = region_in(cloud, host)
        places = [region] if region else list(cloud.regions)  # no region in the name: any of them is possible
        soil = [judge_region(cloud, one.name, self.policy, self.as_of, self.ages) for one in places]
        worst = sorted(soil, key=lambda reason: _ORDER.index(reason.verdict))
        return self.refusal(subject, _names(cloud), [*worst[:1], *self._operator(cloud)])

    def operator(self, subject: str, name: str) -> str | None:
        """Return the faults of a service by its operator's name, or None."""
        one = self.operators.named(name)
        return self.refusal(subject, _names(one), self._operator(one)) if one else f"{subject}: '{name}' is not known"

    def refusal(self, subject: str, names: Sequence[str], reasons: Sequence[Reason]) -> str | None:
        """Return the lines on what the policy does not allow, or None; an exception for any of `names` applies."""
        judged, used, notes = excepted(reasons, self.exceptions, names, self.as_of)
        self.used += used
        bad = [reason for reason in judged if reason.verdict != "allowed"]
        if not bad:
            return None
        lines = []
        for reason in bad[:SHOWN]:
            level: Level = getattr(self.policy, reason.about)
            wanted = "is not allowed" if reason.verdict == "refused" else f"is not known, and {NEVER_ALLOWED},"
            lines.append(f"{subject}: its {reason.about} {wanted} under policy {reason.about}: {level}: {reason.fact}")
            if reason.source:
                lines.append(f"  source: {reason.source}, {reason.days}")
        if len(bad) > SHOWN:
            lines.append(f"{subject}: {len(bad) - SHOWN} further reasons")
        lines.append(self.allowed())
        if any(reason.verdict == "refused" for reason in bad):
            lines.append(admitting_line(judged, self.policy, names[0]))
        return "\n".join([*lines, *(f"note: {note}" for note in notes)])

    def allowed(self) -> str:
        """Return the line that lists all operators that the policy allows."""
        names = {
            one.name for one in self.operators.all if all(reason.verdict == "allowed" for reason in self._operator(one))
        }
        return f"allowed operators under this policy: {', '.join(sorted(names, key=str.casefold)) or 'none'}"

    def _operator(self, one: Cloud) -> list[Reason]:
        return judge_operator(one, self.policy, self.as_of, self.ages)

    @functools.cached_property
    def _judge(self) -> Judge:
        return Judge(self.as_of, self.declared, ages=self.ages)

    def _different(self, network: IpNetwork) -> list[Judged]:
        """Return the verdicts on a network's ranges, each different result once, with the first address that has it."""
        found: dict[tuple[Verdict, ...], Judged] = {}
        for address in self._judge.ranges(network):
            seen = self._judge.judge(str(address), address)
            found.setdefault((seen.soil, seen.operator, seen.parent), seen)
        return list(found.values())

    def _known(self, seen: Judged) -> list[str]:
        """Return the names of the operator in whose network an address is."""
        name = seen.operator.name or "unknown operator"
        owner = self.operators.named(name)
        return [name, *(_names(owner) if owner else [])]

    def _verdicts(self, seen: Judged) -> list[Reason]:
        """Return the three verdicts on an address under the policy, soil first."""
        return [self._verdict(seen.address, about, getattr(seen, about)) for about in ASPECTS]

    def _verdict(self, address: str, about: About, verdict: Verdict) -> Reason:
        admitted: PolicyDecision = "allowed" if self.policy.admits(about, verdict.verdict) else "refused"
        who = ", ".join(word for word in (verdict.name, verdict.country) if word) or "not known"
        return Reason(
            about=about,
            verdict="unknown" if verdict.verdict == "unknown" else admitted,
            country_class=verdict.verdict,
            fact=f"{address} ({who}): {verdict.reason or 'no reason given'}",
            source=verdict.source,
            date=verdict.date,
            mark="M" if verdict.source else None,
        )


def _names(one: Cloud) -> list[str]:
    """Return the names by which an exception can name an operator."""
    return [one.name, one.id, *([one.operator.name] if one.operator else [])]


_ORDER = ("refused", "unknown", "allowed")

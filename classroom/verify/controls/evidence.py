"""What a control found: each thing seen with its judgement, and what was declared, not seen, or not proven."""

import datetime
import functools
import ipaddress
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from classroom.config.declarations import Declarations
from classroom.sovereignty.catalogue import ASPECTS, About
from classroom.sovereignty.countries import CountryClass
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import Record
from classroom.sovereignty.operators import Operators
from classroom.sovereignty.policy import PolicyException, judge_operator
from classroom.sovereignty.verdict import Judge, Verdict
from classroom.verify.report.phrases import Said

Outcome = Literal["good", "wrong", "unknown", "residue"]
"""`residue` is told and judged by nobody: what no classroom can keep from happening."""
State = Literal["passed", "failed", "not proven"]


class DestinationVerdict(Record):
    """One of the three verdicts on a destination, in short: class of country, who, where, and why it is unknown."""

    verdict: CountryClass
    name: str | None = None
    country: str | None = None
    dpf: str | None = None
    basis: Literal["observed", "declared"] = "observed"
    reason: str | None = None


class Seen(Record):
    """One thing that was observed. `where` is a machine's name, or page, cloud, operator's machine."""

    where: str
    outcome: Outcome
    what: Said
    address: str | None = None
    sides: dict[About, DestinationVerdict] = Field(
        default={}, description="The verdicts on it, where it is a destination."
    )
    exception: str | None = Field(default=None, description="Name of the exception that admitted it.")


class Proof(Record):
    """What one control found in one verification."""

    id: str
    seen: tuple[Seen, ...] = ()
    absent: tuple[Said, ...] = Field(default=(), description="Ways not in use, each proven absent.")
    not_observed: tuple[Said, ...] = Field(default=(), description="Declared, and not observed.")
    not_proven: tuple[Said, ...] = Field(default=(), description="What could not be proven here.")

    @property
    def state(self) -> State:
        """`failed` if one thing is wrong or unknown, `passed` if something was seen or proven absent, else `not proven`."""
        if any(one.outcome in {"wrong", "unknown"} for one in self.seen):
            return "failed"
        return "passed" if self.absent or any(one.outcome == "good" for one in self.seen) else "not proven"

    def faults(self) -> list[str]:
        """Return one line for each thing that is wrong or unknown."""
        return [f"{one.where}: {_line(one)}" for one in self.seen if one.outcome in {"wrong", "unknown"}]


def _line(one: Seen) -> str:
    sides = [
        f"{about} {side.verdict}" + (f" ({side.reason})" if side.reason and side.verdict == "unknown" else "")
        for about, side in one.sides.items()
    ]
    return f"{one.outcome}: {one.what.text()}" + (f" [{', '.join(sides)}]" if sides else "")


class Eye:
    """Judges destinations on one day by the deployment's declarations. `used` collects the exceptions that were needed."""

    def __init__(self, declarations: Declarations, as_of: datetime.date | None = None) -> None:
        """Prepare to judge; ClassroomError if the address data cannot be read, WrongUseError if a declared name is taken."""
        self.declarations = declarations
        self.as_of = as_of or datetime.date.today()
        self.months = declarations.facts_max_age_months
        self.operators = Operators(declarations.declared_cloud, declarations.declared_operators)
        self.used: list[PolicyException] = []
        self._judge = Judge(self.as_of, declarations.declared, max_age_months=self.months)
        self._sides = functools.cache(self._judged)

    def endpoint(self, address: str) -> Endpoint | None:
        """Return the row of the table of endpoints that an address belongs to, or None."""
        parsed = ipaddress.ip_address(address)
        for one in self.declarations.endpoints:
            if any(parsed in ipaddress.ip_network(text) for text in one.addresses):
                return one
        return None

    def see(self, where: str, what: Said, address: str, *, listed: bool = True) -> Seen:
        """Return an observed destination with its three verdicts; one that is not `listed` is wrong whoever runs it."""
        sides, names = self._sides(address)
        exception = self._exception(sides, names)
        outcome: Outcome = "good"
        if not listed:
            outcome = "wrong"
        elif any(side.verdict == "unknown" for side in sides.values()):
            outcome = "unknown"
        elif not exception and not all(self._admits(about, side) for about, side in sides.items()):
            outcome = "wrong"
        name = exception.name if exception and outcome == "good" else None
        return Seen(where=where, outcome=outcome, what=what, address=address, exception=name, sides=sides)

    def party(self, where: str, what: Said, name: str) -> Seen:
        """Return an observed party that is known by its name alone, such as a certificate authority; soil is not judged."""
        one = self.operators.named(name)
        if one is None:
            unknown = DestinationVerdict(verdict="unknown", name=name, reason="nobody has read who runs and owns it")
            return Seen(where=where, outcome="unknown", what=what, sides={"operator": unknown, "parent": unknown})
        sides = self._party(name)
        exception = self._exception(sides, (one.name, one.id, name))
        good = exception or all(self._admits(about, side) for about, side in sides.items())
        known = all(side.verdict != "unknown" for side in sides.values())
        outcome: Outcome = "unknown" if not known else "good" if good else "wrong"
        return Seen(
            where=where, outcome=outcome, what=what, exception=exception.name if exception else None, sides=sides
        )

    def _admits(self, about: About, side: DestinationVerdict) -> bool:
        return self.declarations.policy.admits(about, side.verdict)

    def _exception(self, sides: dict[About, DestinationVerdict], names: Iterable[str]) -> PolicyException | None:
        """Return the exception that is needed and holds, or None; what is unknown no exception admits."""
        if all(self._admits(about, side) for about, side in sides.items()):
            return None
        if any(side.verdict == "unknown" for side in sides.values()):
            return None
        for one in self.declarations.exceptions:
            if one.covers(*names) and self.as_of <= one.until:
                if one not in self.used:
                    self.used.append(one)
                return one
        return None

    def _party(self, name: str) -> dict[About, DestinationVerdict]:
        one = self.operators.named(name)
        assert one is not None
        found: dict[About, DestinationVerdict] = {}
        for reason in judge_operator(one, self.declarations.policy, self.as_of, self.months):
            party = getattr(one, reason.about)
            unknown = reason.verdict == "unknown"
            found[reason.about] = DestinationVerdict(
                verdict="unknown" if unknown else class_of(reason.country_class),
                name=party.name if party else name,
                country=party.country if party else None,
                dpf=party.dpf if party else None,
                basis="declared" if one.basis == "declared" else "observed",
                reason=reason.fact if unknown else None,
            )
        return found

    def _judged(self, address: str) -> tuple[dict[About, DestinationVerdict], tuple[str, ...]]:
        judged = self._judge.judge(address)
        sides = {about: _side(getattr(judged, about)) for about in ASPECTS}
        # Where no table knows who runs a network, the endpoint's own row does; the gate judges by the same rule.
        row = self.endpoint(address)
        if row and self.operators.named(row.operator):
            for about, side in self._party(row.operator).items():
                if sides[about].verdict == "unknown":
                    sides[about] = side
        names = [side.name for side in (sides["operator"], sides["parent"]) if side.name]
        names += [row.operator] if row else []
        known = [one for name in names if (one := self.operators.named(name))]
        return sides, (*names, *(word for one in known for word in (one.name, one.id)))


def class_of(text: str) -> CountryClass:
    """Return a word for a class of countries as such; what is none is unknown."""
    found: dict[str, CountryClass] = {"eu": "eu", "eea": "eea", "adequate": "adequate", "third": "third"}
    return found.get(text, "unknown")


def _side(found: Verdict) -> DestinationVerdict:
    reason = found.reason if found.verdict == "unknown" else None
    return DestinationVerdict(
        verdict=found.verdict, name=found.name, country=found.country, dpf=found.dpf, basis=found.basis, reason=reason
    )

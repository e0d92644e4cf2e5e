"""Evidence of a control: each observation with its outcome, and what was absent, not observed or not proven."""

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
from classroom.verify.report.phrases import Sentence

Outcome = Literal["good", "wrong", "unknown", "residue"]
"""`residue` is reported without an evaluation: traffic that a classroom cannot prevent."""
State = Literal["passed", "failed", "not proven"]


class DestinationVerdict(Record):
    """One of the three verdicts on a destination: class of country, company, country, and the reason if unknown."""

    verdict: CountryClass
    name: str | None = None
    country: str | None = None
    dpf: str | None = None
    basis: Literal["observed", "declared"] = "observed"
    reason: str | None = None


class Seen(Record):
    """One observation. `where` is a machine's name, `page`, `browser`, `cloud` or `operator`."""

    where: str
    outcome: Outcome
    what: Sentence
    address: str | None = None
    sides: dict[About, DestinationVerdict] = Field(default={}, description="The verdicts, if it is a destination.")
    exception: str | None = Field(default=None, description="Name of the exception that allows it.")


class Proof(Record):
    """The evidence of one control in one verification."""

    id: str
    seen: tuple[Seen, ...] = ()
    absent: tuple[Sentence, ...] = Field(default=(), description="Undesired behaviour that was proven absent.")
    not_observed: tuple[Sentence, ...] = Field(default=(), description="Declared but not observed.")
    not_proven: tuple[Sentence, ...] = Field(default=(), description="What could not be proven here.")

    @property
    def state(self) -> State:
        """`failed` if anything is wrong or unknown, `passed` if anything is good or proven absent, else `not proven`."""
        if any(one.outcome in {"wrong", "unknown"} for one in self.seen):
            return "failed"
        return "passed" if self.absent or any(one.outcome == "good" for one in self.seen) else "not proven"

    def faults(self) -> list[str]:
        """Return one line for each observation that is wrong or unknown."""
        return [f"{one.where}: {_line(one)}" for one in self.seen if one.outcome in {"wrong", "unknown"}]


def _line(one: Seen) -> str:
    sides = [
        f"{about} {side.verdict}" + (f" ({side.reason})" if side.reason and side.verdict == "unknown" else "")
        for about, side in one.sides.items()
    ]
    return f"{one.outcome}: {one.what.text()}" + (f" [{', '.join(sides)}]" if sides else "")


class Evaluator:
    """Evaluates destinations as of one day by the deployment's declarations; `used` collects the exceptions it applied."""

    def __init__(self, declarations: Declarations, as_of: datetime.date | None = None) -> None:
        """Initialise; ClassroomError if the address data cannot be read, WrongUseError if a declared name is already in use."""
        self.declarations = declarations
        self.as_of = as_of or datetime.date.today()
        self.ages = declarations.ages
        self.operators = Operators(declarations.declared_cloud, declarations.declared_operators)
        self.used: list[PolicyException] = []
        self._judge = Judge(self.as_of, declarations.declared, ages=self.ages)
        self._sides = functools.cache(self._judged)

    def endpoint(self, address: str) -> Endpoint | None:
        """Return the endpoint to which an address belongs, or None."""
        parsed = ipaddress.ip_address(address)
        for one in self.declarations.endpoints:
            if any(parsed in ipaddress.ip_network(text) for text in one.addresses):
                return one
        return None

    def evaluate(self, where: str, what: Sentence, address: str, *, listed: bool = True) -> Seen:
        """Return an observed destination with its three verdicts; one that is not `listed` is always wrong."""
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

    def party(self, where: str, what: Sentence, name: str) -> Seen:
        """Return an observed party of which only the name is known, such as a certificate authority, without a location verdict."""
        one = self.operators.named(name)
        if one is None:
            unknown = DestinationVerdict(
                verdict="unknown",
                name=name,
                reason="it is in no table: add it to declared_operators",
            )
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
        """Return a valid exception if one is needed, or None; no exception allows an unknown verdict."""
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
        for reason in judge_operator(one, self.declarations.policy, self.as_of, self.ages):
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
        # The operator in the endpoint's row replaces an unknown operator of the network; `pulumi up` uses the same rule.
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
    """Return a text as a class of countries; any other text is `unknown`."""
    found: dict[str, CountryClass] = {"eu": "eu", "eea": "eea", "adequate": "adequate", "third": "third"}
    return found.get(text, "unknown")


def _side(found: Verdict) -> DestinationVerdict:
    reason = found.reason if found.verdict == "unknown" else None
    return DestinationVerdict(
        verdict=found.verdict, name=found.name, country=found.country, dpf=found.dpf, basis=found.basis, reason=reason
    )

"""The policy for clouds: its levels, named exceptions, declared clouds, and the judgement.

The judgement depends only on settings and data: it uses no network and resolves no name.
"""

import datetime
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from classroom.common.errors import WrongUseError
from classroom.common.networks import network
from classroom.sovereignty.catalogue import (
    ASPECTS,
    About,
    Catalogue,
    Cloud,
    Dpf,
    Fact,
    Keystone,
    Party,
    Region,
    load_catalogue,
    split_url,
)
from classroom.sovereignty.countries import classify
from classroom.sovereignty.facts import AGES, UNDATED, Ages, Kind, Mark, Record, Source, outdated

Level = Literal["eu", "eea", "adequate"]
LEVELS: tuple[Level, ...] = ("eu", "eea", "adequate")
PolicyDecision = Literal["allowed", "refused", "unknown"]
NEVER_ALLOWED = "unknown is never allowed"
"""Part of every refusal for an unknown operator or location; by it, callers distinguish unknown from refused."""


class Policy(Record):
    """The required level of soil, operator and parent: `eu`, `eea` or `adequate`, each including the former."""

    soil: Level = Field(default="eu", description="Where machines and outside services may be located.")
    operator: Level = Field(
        default="eu", description="Where their operators may have their seat and whose law may apply to them."
    )
    parent: Level = Field(
        default="eu", description="Where the operators' owners may have their seat and whose law may apply to them."
    )

    @classmethod
    def of(cls, level: Level) -> Self:
        """Return the policy with the same level for soil, operator and parent."""
        return cls(soil=level, operator=level, parent=level)

    def admits(self, about: About, verdict: str) -> bool:
        """Return whether the policy allows a country of this class for soil, operator or parent; unknown and third never."""
        return verdict in LEVELS[: LEVELS.index(getattr(self, about)) + 1]


class PolicyException(Record):
    """A cloud or another party that is allowed by its name although the policy refuses it, with a reason and an end date."""

    name: str = Field(min_length=2, description="Name or id as in the catalogue, or as declared.")
    reason: str = Field(min_length=10, description="Why, for the data protection officer; at least ten letters.")
    until: datetime.date = Field(description="Last day of the exception.")

    def covers(self, *names: str) -> bool:
        """Return whether the exception is for one of `names`; case is ignored."""
        return self.name.casefold() in {name.casefold() for name in names}


class DeclaredParty(Record):
    """Operator or owner of a declared cloud."""

    name: str = Field(min_length=2, description="Its name.")
    country: str = Field(description="Seat, ISO 3166-1 alpha-2, in quotes.")
    jurisdiction: str = Field(default="", description="Country whose law applies to it; if left out, that of its seat.")
    dpf: Dpf | None = Field(default=None, description="Data Privacy Framework: yes, no or unknown; for the US only.")


class DeclaredRegion(Record):
    """Region of a declared cloud."""

    name: str = Field(min_length=1, description="Name, as in the cloud's Keystone.")
    city: str = Field(min_length=2, description="Town in which it is located.")
    country: str = Field(description="Country in which it is located, ISO 3166-1 alpha-2, in quotes.")


class DeclaredCloud(Record):
    """A private cloud, such as a school district's or a university's, that the stack file describes."""

    name: str = Field(min_length=2, description="Its name.")
    operator: DeclaredParty = Field(description="Operator of the cloud.")
    parent: DeclaredParty = Field(
        description="Owner of the operator: the holder of more than half of the votes, or the listed company itself."
    )
    keystone: tuple[str, ...] = Field(min_length=1, description="Addresses of its Keystone.")
    regions: tuple[DeclaredRegion, ...] = Field(min_length=1, description="Its regions.")
    prefixes: tuple[Annotated[str, AfterValidator(network)], ...] = Field(
        min_length=1, description="Networks of its public addresses; none may be in the public address tables."
    )
    source: str = Field(min_length=4, description="Source of the declaration: a contract, a page, a register.")
    date: datetime.date = Field(description="The day on which the source was read.")
    mark: Mark = Field(default="M", description="H: a primary source, M: a secondary one.")

    @field_validator("keystone")
    @classmethod
    def _urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            try:
                split_url(url)
            except WrongUseError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self.as_cloud()
        return self

    @property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The declared prefixes."""
        return tuple(ipaddress.ip_network(prefix) for prefix in self.prefixes)

    def as_cloud(self) -> Cloud:
        """Return the declaration as a cloud of the catalogue; its facts say that they are declared."""
        source = _declaration(self, "declared_cloud")

        def party(of: DeclaredParty, what: str) -> Party:
            return Party(fact=f"declared as the {what} of {self.name}", source=source, **of.model_dump())

        return Cloud(
            id=self.name.casefold().replace(" ", "-"),
            name=self.name,
            basis="declared",
            operator=party(self.operator, "operator"),
            parent=party(self.parent, "owner"),
            keystone=tuple(Keystone(fact="declared address", source=source, url=url) for url in self.keystone),
            regions=tuple(
                Region(
                    fact="declared place", source=source, names=(region.name,), city=region.city, country=region.country
                )
                for region in self.regions
            ),
        )

    def check(self, public: Callable[[str], str | None], catalogue: Catalogue | None = None) -> None:
        """Raise WrongUseError if the declaration claims a Keystone of the catalogue or addresses in the public tables.

        `public` returns the owner that the public address tables name for any address of a prefix, or None.
        """
        _own_keystone(self, catalogue or load_catalogue())
        for prefix in self.prefixes:
            if owner := public(prefix):
                raise WrongUseError(
                    f"declared_cloud.prefixes: '{prefix}' is in the public address tables, as {owner}; "
                    "declare only networks that no table contains"
                )


class DeclaredOperator(Record):
    """An operator of outside services that the stack file describes; its name must not be in the data files."""

    name: str = Field(min_length=2, description="Its name, as in `endpoints`.")
    country: str = Field(description="Seat, ISO 3166-1 alpha-2, in quotes.")
    jurisdiction: str = Field(default="", description="Country whose law applies to it; if left out, that of its seat.")
    dpf: Dpf | None = Field(default=None, description="Data Privacy Framework: yes, no or unknown; for the US only.")
    parent: DeclaredParty = Field(
        description="Its owner: the holder of more than half of the votes, or the listed company itself."
    )
    source: str = Field(min_length=4, description="Source of the declaration: a contract, a page, a register.")
    date: datetime.date = Field(description="The day on which the source was read.")
    mark: Mark = Field(default="M", description="H: a primary source, M: a secondary one.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self.as_cloud()
        return self

    def as_cloud(self) -> Cloud:
        """Return the declaration as a cloud of the catalogue with operator and parent only."""
        source = _declaration(self, "declared_operators")
        party = self.model_dump(include={"name", "country", "jurisdiction", "dpf"})
        return Cloud(
            id=self.name.casefold().replace(" ", "-"),
            name=self.name,
            basis="declared",
            operator=Party(fact=f"declared as operator: {self.name}", source=source, **party),
            parent=Party(fact=f"declared as the owner of {self.name}", source=source, **self.parent.model_dump()),
            missing=("keystone and regions: it is an operator of services, not a cloud",),
        )


KIND_OF_DECLARATION: dict[Mark, Kind] = {"H": "contract", "M": "declared"}


def _declaration(of: DeclaredCloud | DeclaredOperator, key: str) -> Source:
    title = f"declared in the stack file: {of.source}"
    kind = KIND_OF_DECLARATION[of.mark]
    return Source(title=title, address=key, kind=kind, read=of.date, says_of=of.date)


def _own_keystone(declared: DeclaredCloud, catalogue: Catalogue) -> None:
    for url in declared.keystone:
        if taken := catalogue.find(url):
            raise WrongUseError(
                f"declared_cloud.keystone: '{url}' belongs to {taken.name} in the catalogue; "
                "remove declared_cloud to use that cloud"
            )


class Reason(Record):
    """One of the three verdicts with its fact; without a source, the fact says what is not known."""

    about: About
    verdict: PolicyDecision
    country_class: str
    fact: str
    source: str | None = None
    date: datetime.date | None = None
    says_of: datetime.date | None = None
    mark: Mark | None = None

    @property
    def days(self) -> str:
        """The day of reading, the day that the oldest source describes, and the mark, as text."""
        spoken = f", of {self.says_of}" if self.says_of else ""
        return f"read {self.date}{spoken}, {self.mark or 'M'}"


class CheckResult(Record):
    """The judgement on a cloud and region: `allowed` only if all three verdicts are, `refused` if any is."""

    verdict: PolicyDecision
    auth_url: str
    cloud: str | None
    region: str
    country: str | None
    reasons: tuple[Reason, ...]
    policy: Policy
    as_of: datetime.date
    basis: Literal["catalogue", "declared"] = "catalogue"
    exceptions: tuple[PolicyException, ...] = Field(default=(), description="Exceptions that were needed.")
    notes: tuple[str, ...] = ()
    message: str = Field(
        description="Text for the operations team: verdicts, facts, sources, allowed values, and the line that would allow it."
    )

    def as_json(self) -> dict[str, object]:
        """Return the judgement in the form of `classroom cloud check --json`."""
        return {
            "verdict": self.verdict,
            "cloud": self.cloud,
            "region": self.region,
            "country": self.country,
            "reasons": [
                {
                    "about": reason.about,
                    "fact": reason.fact,
                    "source": reason.source,
                    "date": reason.date.isoformat() if reason.date else None,
                    "says_of": reason.says_of.isoformat() if reason.says_of else None,
                    "mark": reason.mark,
                }
                for reason in self.reasons
            ],
        }


def _fact(about: About, cloud: Cloud, region: Region | None, name: str) -> tuple[str | None, str, Fact | None, str]:
    """Return (country code, sentence, fact, remark on the Data Privacy Framework) for one of the three verdicts."""
    if about == "soil":
        if region is None:
            return None, f"{cloud.name} has no region '{name}' in the catalogue", None, ""
        return region.country, f"{name} is in {region.place}: {region.fact}", region, ""
    party: Party | None = getattr(cloud, about)
    if party is None:
        reason = next((sentence for sentence in cloud.missing if about in sentence.lower()), "no source was read")
        return None, f"the {about} of {cloud.name} is not known: {reason}", None, ""
    role = f"{cloud.name} is run by" if about == "operator" else f"{cloud.name} belongs to"
    law = "" if party.jurisdiction == party.country else f", under the law of {classify(party.jurisdiction).name}"
    code = party.country if law == "" else _worse(party.country, party.jurisdiction)
    remark = f", Data Privacy Framework: {party.dpf}" if party.dpf else ""
    return code, f"{role} {party.name}, {classify(party.country).name}{law}: {party.fact}", party, remark


def _worse(*codes: str) -> str:
    order = (*LEVELS, "third", "unknown")
    return max(codes, key=lambda code: order.index(classify(code).verdict))


def _reason(
    about: About, cloud: Cloud, region: Region | None, name: str, policy: Policy, day: datetime.date, ages: Ages
) -> Reason:
    code, fact, ground, remark = _fact(about, cloud, region, name)
    seen = classify(code, day)
    if ground is None or seen.verdict == "unknown":
        return Reason(about=about, verdict="unknown", country_class="unknown", fact=fact)
    sources = (ground.source, *ground.also)
    mark: Mark = "M" if any(source.mark == "M" for source in sources) else "H"
    word = "third country" if seen.verdict == "third" else seen.verdict
    fact = f"{fact} ({word}{remark})"
    verdict: PolicyDecision = "allowed" if policy.admits(about, seen.verdict) else "refused"
    if old := outdated(
        (*sources, *((seen.ground,) if seen.ground else ())), day, ages
    ):  # the fact on the country's class can be too old, too
        fact = f"{fact}; {old}"
        verdict = "unknown" if verdict == "allowed" else verdict
    return Reason(
        about=about,
        verdict=verdict,
        country_class=seen.verdict,
        fact=fact,
        source=ground.sources,
        date=min(source.read for source in sources),
        says_of=min((source.says_of for source in sources if source.says_of != UNDATED), default=None),
        mark=mark,
    )


def excepted(
    reasons: Iterable[Reason], exceptions: Iterable[PolicyException], names: Sequence[str], as_of: datetime.date
) -> tuple[list[Reason], tuple[PolicyException, ...], list[str]]:
    """Return (reasons, exceptions that were needed, notes): an exception for one of `names` changes refused to allowed.

    Unknown remains unknown, and an expired exception only adds a note.
    """
    reasons = list(reasons)
    named = [exception for exception in exceptions if exception.covers(*names)]
    valid = tuple(exception for exception in named if as_of <= exception.until)
    notes = [
        f"the exception for {one.name} {'is valid until' if one in valid else 'ended on'} {one.until}: {one.reason}"
        for one in named
    ]
    if not valid or not any(reason.verdict == "refused" for reason in reasons):
        return reasons, (), notes
    admitted = f"; allowed by the exception for {names[0]}"
    return (
        [
            reason.model_copy(update={"verdict": "allowed", "fact": reason.fact + admitted})
            if reason.verdict == "refused"
            else reason
            for reason in reasons
        ],
        valid,
        notes,
    )


def judge_operator(cloud: Cloud, policy: Policy, as_of: datetime.date, ages: Ages = AGES) -> list[Reason]:
    """Return the verdicts on the operator of a cloud or another service, and on the operator's owner."""
    return [_reason(about, cloud, None, "", policy, as_of, ages) for about in ASPECTS if about != "soil"]


def judge_region(cloud: Cloud, region: str, policy: Policy, as_of: datetime.date, ages: Ages = AGES) -> Reason:
    """Return the verdict on the soil of one region of a cloud."""
    return _reason("soil", cloud, cloud.region(region), region, policy, as_of, ages)


def judge(
    cloud: Cloud,
    region: str,
    policy: Policy,
    as_of: datetime.date,
    *,
    auth_url: str = "",
    exceptions: Iterable[PolicyException] = (),
    ages: Ages = AGES,
) -> CheckResult:
    """Judge a region of a cloud under a policy on the day `as_of`.

    A valid exception changes what the policy refuses to allowed, but not what is unknown. Facts older than `ages` count
    as unknown.
    """
    found = cloud.region(region)
    in_url = cloud.answers_at(auth_url) if auth_url else ""
    astray = bool(in_url) and (cloud.region(in_url or "") != found or found is None)
    reasons = [
        _reason(about, cloud, None if about == "soil" and astray else found, region, policy, as_of, ages)
        for about in ASPECTS
    ]
    if astray and found is not None:
        fact = f"the address {auth_url} belongs to region {in_url}, not to {region}"
        reasons[0] = Reason(about="soil", verdict="unknown", country_class="unknown", fact=fact)
    reasons, used, notes = excepted(reasons, exceptions, (cloud.name, cloud.id), as_of)
    notes += [f"{note.fact} (source: {note.source}, {note.source.days})" for note in cloud.notes]
    verdicts = {reason.verdict for reason in reasons}
    verdict: PolicyDecision = "refused" if "refused" in verdicts else "unknown" if "unknown" in verdicts else "allowed"
    known = found is not None and not astray
    result = CheckResult(
        verdict=verdict,
        auth_url=auth_url,
        cloud=cloud.name,
        region=region,
        country=found.country if found and known else None,
        reasons=tuple(reasons),
        policy=policy,
        as_of=as_of,
        basis=cloud.basis,
        exceptions=used,
        notes=tuple(notes),
        message="-",
    )
    return result.model_copy(update={"message": _message(result, cloud)})


def unknown_cloud(
    auth_url: str, region: str, policy: Policy, as_of: datetime.date, catalogue: Catalogue
) -> CheckResult:
    """Return the judgement on a Keystone that is neither in the catalogue nor in the stack file: unknown."""
    fact = f"no cloud of the catalogue has its Keystone at {auth_url}"
    result = CheckResult(
        verdict="unknown",
        auth_url=auth_url,
        cloud=None,
        region=region,
        country=None,
        reasons=tuple(Reason(about=about, verdict="unknown", country_class="unknown", fact=fact) for about in ASPECTS),
        policy=policy,
        as_of=as_of,
        message="-",
    )
    allowed = ", ".join(
        cloud.name
        for cloud in catalogue.clouds
        if any(judge(cloud, where.name, policy, as_of).verdict == "allowed" for where in cloud.regions)
    )
    message = (
        f"auth-url: '{auth_url}' is not a Keystone in the catalogue: its location, its operator and the operator's owner are "
        f"not known, and {NEVER_ALLOWED}\nallowed under this policy: {allowed or 'none'}\n"
        "to use your own cloud, describe it under classroom:declared_cloud in the stack file"
    )
    return result.model_copy(update={"message": message})


def widened(reasons: Iterable[Reason], policy: Policy) -> Policy | None:
    """Return the strictest policy that would allow what is refused, or None if no policy does."""
    levels: dict[str, Level] = policy.model_dump()
    for reason in reasons:
        if reason.country_class not in LEVELS:
            return None
        levels[reason.about] = max(levels[reason.about], reason.country_class, key=LEVELS.index)
    return Policy(**levels)


def _message(result: CheckResult, cloud: Cloud) -> str:
    lines = [f"{cloud.name}, region {result.region}: {result.verdict}"]
    for reason in result.reasons:
        lines.append(f"  {reason.about:<9} {reason.verdict:<8} {reason.fact}")
        if reason.source and reason.date:
            lines.append(f"  {'':<9} {'':<8} source: {reason.source}, {reason.days}")
    if result.verdict != "allowed":
        lines += _why(result, cloud)
    lines += [f"note: {note}" for note in result.notes]
    return "\n".join(lines)


def _why(result: CheckResult, cloud: Cloud) -> list[str]:
    """Return the lines on a refusal: key and value, allowed values, and the line that would allow it."""
    lines = []
    for reason in result.reasons:
        if reason.verdict == "allowed":
            continue
        level: Level = getattr(result.policy, reason.about)
        wanted = "is not allowed" if reason.verdict == "refused" else f"is not known, and {NEVER_ALLOWED}"
        key, value = (
            ("region", result.region) if reason.about == "soil" else ("auth-url", result.auth_url or cloud.name)
        )
        lines.append(f"{key}: '{value}': its {reason.about} {wanted} under policy {reason.about}: {level}")
    fitting = [
        f"{where.name} ({where.place})"
        for where in cloud.regions
        if result.policy.admits("soil", classify(where.country, result.as_of).verdict)
    ]
    if result.reasons[0].verdict != "allowed":
        lines.append(
            f"allowed regions of {cloud.name} under policy soil: {result.policy.soil}: {', '.join(fitting) or 'none'}"
        )
    if result.verdict == "refused":
        lines.append(admitting_line(result.reasons, result.policy, cloud.name))
    return lines


def admitting_line(reasons: Iterable[Reason], policy: Policy, name: str) -> str:
    """Return the sentence with the line of the stack file that would allow what is refused."""
    reasons = list(reasons)
    if any(reason.verdict == "unknown" for reason in reasons):
        return "no policy and no exception can allow it while a part of it is not known: add the missing fact with its source first"
    wider = widened(reasons, policy)
    if wider is not None:
        return (
            "to allow it, write in the stack file: "
            f"classroom:policy: {{soil: {wider.soil}, operator: {wider.operator}, parent: {wider.parent}}}"
        )
    return (
        "no policy allows it; to make an exception with a reason and an end date, write in the stack file: "
        f"classroom:exceptions: [{{name: {name}, reason: …, until: YYYY-MM-DD}}]"
    )


def check(
    auth_url: str,
    region: str,
    policy: Policy | None = None,
    *,
    exceptions: Iterable[PolicyException] = (),
    declared_cloud: DeclaredCloud | None = None,
    as_of: datetime.date | None = None,
    ages: Ages = AGES,
    catalogue: Catalogue | None = None,
) -> CheckResult:
    """Judge the cloud whose Keystone answers at `auth_url`; WrongUseError if that is not a URL."""
    day, policy, catalogue = as_of or datetime.date.today(), policy or Policy(), catalogue or load_catalogue()
    split_url(auth_url)
    if not region.strip():
        raise WrongUseError("region: it is empty; write the region's name, as in the cloud's own service catalogue")
    if declared_cloud is not None:
        _own_keystone(declared_cloud, catalogue)
    own = declared_cloud.as_cloud() if declared_cloud else None
    cloud = own if own and own.answers_at(auth_url) is not None else catalogue.find(auth_url)
    if cloud is None:
        return unknown_cloud(auth_url, region, policy, day, catalogue)
    return judge(cloud, region, policy, day, auth_url=auth_url, exceptions=exceptions, ages=ages)

"""The three verdicts on an address: its location (soil), its operator, and the operator's owner (parent).

Verdicts are made offline, from the address data (`addresses`), the file of owners (`owners`) and the declarations of the stack
file. Data that is missing, contradictory or too old gives `unknown`, which is never allowed.
"""

import bisect
import datetime
import functools
import hashlib
import ipaddress
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator

from classroom.common.errors import WrongUseError
from classroom.common.networks import IpNetwork, network
from classroom.common.paths import REPO
from classroom.sovereignty import owners as owner_file
from classroom.sovereignty.addresses import ASN, DBIP, REGISTRY, Announced, IpAddress, Tables, tables
from classroom.sovereignty.catalogue import About, Dpf, Party
from classroom.sovereignty.countries import CountryClass, classify, country_name
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import AGES, Ages, Record, first_error, outdated, parse_yaml, too_old
from classroom.sovereignty.operators import Operators
from classroom.sovereignty.owners import Owner, Owners
from classroom.sovereignty.policy import DeclaredCloud, DeclaredOperator

Basis = Literal["observed", "declared"]
ORDER: tuple[CountryClass, ...] = ("eu", "eea", "adequate", "third", "unknown")


def _nets(*rows: tuple[str, str]) -> tuple[tuple[IpNetwork, str], ...]:
    return tuple((ipaddress.ip_network(prefix), what) for prefix, what in rows)


DECLARABLE = _nets(
    ("10.0.0.0/8", "a private address (RFC 1918)"),
    ("172.16.0.0/12", "a private address (RFC 1918)"),
    ("192.168.0.0/16", "a private address (RFC 1918)"),
    ("100.64.0.0/10", "an address of shared space behind a provider (RFC 6598)"),
    ("192.0.2.0/24", "a documentation address (RFC 5737)"),
    ("198.51.100.0/24", "a documentation address (RFC 5737)"),
    ("203.0.113.0/24", "a documentation address (RFC 5737)"),
    ("fc00::/7", "a private address (RFC 4193)"),
    ("2001:db8::/32", "a documentation address (RFC 3849)"),
    ("3fff::/20", "a documentation address (RFC 9637)"),
)
"""Address space without a public owner; a stack file may declare who uses it."""
DOCUMENTATION = tuple(net for net, what in DECLARABLE if "documentation" in what)
TRANSLATED = _nets(
    ("::ffff:0:0/96", "an IPv4 address written as IPv6 (RFC 4291)"),
    ("::ffff:0:0:0/96", "a translated IPv4 address (RFC 2765)"),
    ("64:ff9b::/96", "a translated IPv4 address (RFC 6052)"),
    ("64:ff9b:1::/48", "a translated IPv4 address (RFC 8215)"),
    ("2002::/16", "an IPv4 address tunnelled by 6to4 (RFC 3056)"),
    ("2001::/32", "an address tunnelled by Teredo (RFC 4380)"),
    ("192.88.99.0/24", "a relay of 6to4 (RFC 7526)"),
)
RESERVED = _nets(
    ("0.0.0.0/8", "an address of this network (RFC 791)"),
    ("127.0.0.0/8", "a loopback address (RFC 1122)"),
    ("169.254.0.0/16", "a link-local address (RFC 3927)"),
    ("192.0.0.0/24", "an address for protocols (RFC 6890)"),
    ("192.31.196.0/24", "an address of AS112, which has no single location (RFC 7535)"),
    ("192.52.193.0/24", "an address for multicast tunnels (RFC 7450)"),
    ("192.175.48.0/24", "an address of AS112, which has no single location (RFC 7534)"),
    ("198.18.0.0/15", "an address for benchmarks (RFC 2544)"),
    ("224.0.0.0/4", "a multicast address (RFC 1112)"),
    ("240.0.0.0/4", "a reserved address (RFC 1112)"),
    ("2001:0::/23", "an address for protocols (RFC 2928)"),
    ("2001:4:112::/48", "an address of AS112, which has no single location (RFC 7535)"),
    ("2620:4f:8000::/48", "an address of AS112, which has no single location (RFC 7534)"),
    ("5f00::/16", "a segment of a route (RFC 9602)"),
    ("fe80::/10", "a link-local address (RFC 4291)"),
    ("fec0::/10", "a site-local address (RFC 3879)"),
    ("ff00::/8", "a multicast address (RFC 4291)"),
)
GLOBAL6 = ipaddress.ip_network("2000::/3")
LINK_LOCAL = ipaddress.ip_network("fe80::/10")
TRANSLATORS = {0x64, 0x6464}
"""Numbers by which local prefixes of NAT64 are marked, after that of RFC 6052 (64:ff9b::/96)."""
MOST_RANGES = 2048
"""Number of ranges with verdicts of their own up to which a network is judged."""


class Verdict(Record):
    """One of the three verdicts. A field is None if it is not known or does not apply; `hash` is that of the data used."""

    verdict: CountryClass
    basis: Basis = "observed"
    name: str | None = None
    country: str | None = None
    dpf: Dpf | None = None
    source: str | None = None
    date: datetime.date | None = None
    hash: str | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """Return the verdict in the form of `classroom verdict --json`."""
        return {
            "verdict": self.verdict,
            "basis": self.basis,
            "name": self.name,
            "country": self.country,
            "dpf": self.dpf,
            "source": self.source,
            "date": self.date.isoformat() if self.date else None,
            "hash": self.hash,
            "reason": self.reason,
        }


class Judged(Record):
    """The three verdicts on one address; `address` is the text as it was given."""

    address: str
    soil: Verdict
    operator: Verdict
    parent: Verdict

    def as_json(self) -> dict[str, Any]:
        """Return the verdicts in the form of `classroom verdict --json`."""
        return {
            "address": self.address,
            "soil": self.soil.as_json(),
            "operator": self.operator.as_json(),
            "parent": self.parent.as_json(),
        }


class OverlayParty(Record):
    """Operator or owner that an overlay assigns to documentation addresses."""

    name: str = Field(min_length=2, description="Its name.")
    country: str = Field(description="Seat, ISO 3166-1 alpha-2, in quotes.")
    dpf: Dpf | None = Field(default=None, description="Data Privacy Framework: yes, no or unknown; for the US only.")


class Overlay(Record):
    """Fictitious country, operator and owner of a rehearsal's outside hosts; only for documentation addresses."""

    prefixes: tuple[Annotated[str, AfterValidator(network)], ...] = Field(
        min_length=1, description="Networks of documentation addresses."
    )
    country: str = Field(description="Assigned location.")
    operator: OverlayParty = Field(description="Assigned operator.")
    parent: OverlayParty = Field(description="Assigned owner of the operator.")

    @field_validator("prefixes")
    @classmethod
    def _documentation(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in value:
            net = ipaddress.ip_network(prefix)
            if not any(_within(net, allowed) for allowed in DOCUMENTATION):
                raise ValueError(
                    f"'{prefix}' is not a documentation network; an overlay may only label "
                    f"{', '.join(map(str, DOCUMENTATION))}"
                )
        return value

    @property
    def networks(self) -> tuple[IpNetwork, ...]:
        """The labelled networks."""
        return tuple(ipaddress.ip_network(prefix) for prefix in self.prefixes)


class Declared(Record):
    """Declarations of a stack file about addresses: its own clouds, its operators, and, only in a rehearsal, an overlay.

    The addresses of an endpoint that names a declared operator get that operator if no table names another. Callers that
    judge the endpoints themselves may leave out both.
    """

    clouds: tuple[DeclaredCloud, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    rehearsal: bool = False
    operators: tuple[DeclaredOperator, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()

    def networks(self) -> list[IpNetwork]:
        """Return the networks of clouds and overlays."""
        return [net for overlay in self.overlays for net in overlay.networks] + [
            net for cloud in self.clouds for net in cloud.networks
        ]

    def operator_rows(self) -> tuple[tuple[IpNetwork, DeclaredOperator], ...]:
        """Return the networks of endpoints that name a declared operator, each with that operator."""
        names = {name: one for one in self.operators for name in (one.name.casefold(), one.as_cloud().id)}
        rows = [(text, names.get(row.operator.strip().casefold())) for row in self.endpoints for text in row.addresses]
        return tuple((ipaddress.ip_network(text), one) for text, one in rows if one)


def _within(inner: IpNetwork, outer: IpNetwork) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _ranges(rows: Iterable[tuple[IpNetwork, str]]) -> dict[int, list[tuple[int, int, str]]]:
    """Return the networks by IP version, as first and last address, for fast lookups."""
    found: dict[int, list[tuple[int, int, str]]] = {4: [], 6: []}
    for net, what in rows:
        found[net.version].append((int(net[0]), int(net[-1]), what))
    return found


_TRANSLATED, _RESERVED, _DECLARABLE = _ranges(TRANSLATED), _ranges(RESERVED), _ranges(DECLARABLE)


def _kind(address: IpAddress, ranges: dict[int, list[tuple[int, int, str]]]) -> str | None:
    value = int(address)
    for first, last, what in ranges[address.version]:
        if first <= value <= last:
            return what
    return None


def _translated(address: IpAddress) -> str | None:
    """Return what an address is that leads to another one by a translator or tunnel, or None.

    A local NAT64 can use any prefix (RFC 6052); those that are marked as usual, by a group `64` or `6464`, are recognised.
    """
    if what := _kind(address, _TRANSLATED):
        return what
    if address.version == 4:
        return None
    *prefix, fifth, sixth = (int(address) >> shift & 0xFFFF for shift in (96, 80, 64, 48, 32))
    inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    marked = TRANSLATORS & {fifth, sixth} or (fifth == sixth == 0 and TRANSLATORS & set(prefix))
    return f"an address of a local NAT64 for {inner} (RFC 6052)" if marked and inner.is_global else None


def _zoned(address: IpAddress) -> bool:
    """Return whether an address names an interface although it is not link-local."""
    return isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None and address not in LINK_LOCAL


def public(prefix: str) -> str | None:
    """Return the owner that the public address tables name for any address of a prefix, or None.

    Private and documentation space has no public owner, whatever a table says; for translated and other special space, which
    must not be declared, its description is returned. ClassroomError if the tables cannot be read.
    """
    net = ipaddress.ip_network(prefix)
    if any(_within(net, outer) for outer, _ in DECLARABLE):
        return None
    for outer, what in (*TRANSLATED, *RESERVED, *DECLARABLE):
        if net.overlaps(outer) if net.version == outer.version else False:
            return what
    if net.version == 6 and not _within(net, GLOBAL6):
        return "reserved space"
    return tables().public(prefix)


def parse(text: str) -> IpAddress:
    """Return `text` as an IP address; WrongUseError naming it if it is not one."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise WrongUseError(
            f"address: '{text}' is not an IP address; write one such as 203.0.113.7 or 2001:db8::7, without port or name"
        ) from None


class Judge:
    """Gives the three verdicts on addresses, on one day, for one stack or none."""

    def __init__(
        self,
        as_of: datetime.date | None = None,
        declared: Declared | None = None,
        *,
        ages: Ages = AGES,
        data: Tables | None = None,
        owners: Owners | None = None,
    ) -> None:
        """Prepare to judge on `as_of` (today if None); data and facts older than `ages` count as unknown.

        ClassroomError if the address data or the file of owners is missing or unreadable.
        """
        self.as_of = as_of or datetime.date.today()
        self.declared = declared or Declared()
        self.ages = ages
        self.data = data or tables()
        self.owners = owners or owner_file.load()
        self._party = functools.cache(self._judge_network)
        self._place = functools.cache(self._judge_place)
        self._rows = self.declared.operator_rows()

    def judge(self, text: str, parsed: IpAddress | None = None) -> Judged:
        """Return the verdicts on one address; WrongUseError naming it if it is not an IP address.

        Operator and parent are both observed or both declared.
        """
        address = parsed or parse(text)
        judged = self._judge(text, address)
        for net, one in self._rows:
            if address in net and self.undecided(address):
                operator, parent = self._parties(one)
                return judged.model_copy(update={"operator": operator, "parent": parent})
        return judged

    def undecided(self, address: IpAddress) -> bool:
        """Return whether neither a table nor another declaration decides who runs an address: its operator may be declared.

        A network that the file of owners lists is decided, also if a fact about it is missing, too old or contradictory.
        """
        if any(address in net for net in self.declared.networks()):
            return False
        if _translated(address) or _zoned(address):
            return False
        if _kind(address, _RESERVED) or (
            address.version == 6 and not (address in GLOBAL6 or _kind(address, _DECLARABLE))
        ):
            return False
        if _kind(address, _DECLARABLE):
            return True
        about = self.data.about[ASN]
        network = self.data.network(address)
        return not self._old((about.title, about.date)) and (
            network is None or network.number not in self.owners.by_number
        )

    def ranges(self, network: IpNetwork) -> Iterator[IpAddress]:
        """Yield the first address of each range of a network within which all verdicts are the same, in order."""
        kind = type(network[0])
        value, last, edges = int(network[0]), int(network[-1]), self._edges[network.version]
        while value <= last:
            address = kind(value)
            yield address
            following = bisect.bisect_right(edges, value)
            end = self.data.alike(address)
            value = min(end + 1, edges[following]) if following < len(edges) else end + 1

    def widest(self, network: IpNetwork, most: int = MOST_RANGES) -> IpNetwork:
        """Return the network, or the widest one with the same first address, that has at most `most` ranges."""
        starts = [int(address) for address in itertools.islice(self.ranges(network), most + 1)]
        if len(starts) <= most:
            return network
        length = network.max_prefixlen - (starts[most] - starts[0]).bit_length() + 1
        return ipaddress.ip_network((network.network_address, length))

    @functools.cached_property
    def _edges(self) -> dict[int, list[int]]:
        """Addresses, by IP version, at which something other than the tables begins or ends to apply."""
        found: dict[int, set[int]] = {4: set(), 6: set()}
        for net in (
            *(net for net, _ in (*TRANSLATED, *RESERVED, *DECLARABLE)),
            GLOBAL6,
            *self.declared.networks(),
            *(net for net, _ in self._rows),
            *self.owners.unplaced_prefixes(),
        ):
            found[net.version] |= {int(net[0]), int(net[-1]) + 1}
        return {version: sorted(edges) for version, edges in found.items()}

    def _judge(self, text: str, address: IpAddress) -> Judged:
        if _zoned(address):
            return self._nowhere(text, "it names an interface, which only link-local addresses have (RFC 4007)")
        for overlay in self.declared.overlays:
            if any(address in net for net in overlay.networks):
                return self._overlaid(text, overlay)
        if what := _translated(address):
            return self._nowhere(text, f"{what}: it has no location of its own; judge the address behind it")
        for cloud in self.declared.clouds:
            if any(address in net for net in cloud.networks):
                return self._declared(text, cloud)
        what = _kind(address, _RESERVED) or _kind(address, _DECLARABLE)
        if what is None and address.version == 6 and address not in GLOBAL6:
            what = "a reserved address"
        if what:
            return self._nowhere(text, f"{what}: it has no public owner")
        network = self.data.network(address)
        operator, parent = self._abroad(address, network) or self._party(network)
        return Judged.model_construct(address=text, soil=self._soil(address, network), operator=operator, parent=parent)

    def _nowhere(self, text: str, reason: str) -> Judged:
        verdict = Verdict(verdict="unknown", reason=reason)
        return Judged(address=text, soil=verdict, operator=verdict, parent=verdict)

    # Soil.

    def _soil(self, address: IpAddress, network: Announced | None) -> Verdict:
        owner = self.owners.by_number.get(network.number) if network else None
        if found := self.owners.unplaced(address, network.number if network else None):
            kind, group = found
            return Verdict(
                verdict="unknown", source=group.sources, date=group.source.read, reason=f"{kind}: {group.fact}"
            )
        if owner and owner.anycast and network:
            return Verdict(
                verdict="unknown",
                reason=f"anycast: AS{network.number} ({owner.id}) answers from several places at once; judge it by its operator",
            )
        if network is None:
            about = self.data.about[ASN]
            return Verdict(
                verdict="unknown",
                source=about.title,
                date=about.date,
                hash=f"sha256:{about.sha256}",
                reason="no network announces it, so its location is not known",
            )
        return self._place(self.data.country(DBIP, address), self.data.country(REGISTRY, address))

    def _judge_place(self, first: str | None, second: str | None) -> Verdict:
        """Return the verdict on two tables' country codes."""
        one, two = self.data.about[DBIP], self.data.about[REGISTRY]
        common: dict[str, Any] = {
            "source": f"{one.title} and {two.title}",
            "date": min(one.date, two.date),
            "hash": f"sha256:{one.sha256} sha256:{two.sha256}",
        }
        if old := self._old((one.title, one.date), (two.title, two.date)):
            return Verdict(verdict="unknown", reason=old, **common)
        if first is None or second is None:
            found = first or second
            reason = f"only one table locates it, in {country_name(found)}" if found else "no table locates it"
            return Verdict(verdict="unknown", reason=reason, **common)
        here, there = classify(first, self.as_of), classify(second, self.as_of)
        if here.verdict != there.verdict:
            reason = f"the tables disagree: {here.name} ({here.verdict}) and {there.name} ({there.verdict})"
            return Verdict(verdict="unknown", reason=reason, **common)
        if old := outdated([one.ground for one in (here, there) if one.ground], self.as_of, self.ages):
            return Verdict(verdict="unknown", reason=old, **common)
        reason = here.fact
        if here.code != there.code:
            reason = f"the tables name {here.name} and {there.name}, which are of the same class: {here.fact}"
        return Verdict(verdict=here.verdict, name=here.name, country=here.code, reason=reason, **common)

    # Operator and parent.

    def _abroad(self, address: IpAddress, network: Announced | None) -> tuple[Verdict, Verdict] | None:
        """Return that operator and parent are unknown if a table places an address where another company runs the places."""
        owner = self.owners.by_number.get(network.number) if network else None
        if not owner or not owner.abroad:
            return None
        places = {self.data.country(table, address) for table in (DBIP, REGISTRY)}
        for fact in owner.abroad:
            if places & set(fact.countries):
                verdict = Verdict(
                    verdict="unknown",
                    source=fact.sources,
                    date=fact.source.read,
                    reason=f"{owner.id}, {' or '.join(fact.countries)}: {fact.fact}",
                )
                return verdict, verdict
        return None

    def _judge_network(self, network: Announced | None) -> tuple[Verdict, Verdict]:
        about = self.data.about[ASN]
        common: dict[str, Any] = {"date": about.date, "hash": f"sha256:{about.sha256}", "source": about.title}

        def both(reason: str) -> tuple[Verdict, Verdict]:
            verdict = Verdict(verdict="unknown", reason=reason, **common)
            return verdict, verdict

        if old := self._old((about.title, about.date)):
            return both(old)
        if network is None:
            return both("no network announces it")
        label = f"AS{network.number} {network.name}".strip()
        owner = self.owners.by_number.get(network.number)
        if owner is None:
            return both(f"{label}: its operator and owner are not in the file of owners")
        if not owner.named(network.number, network.name):
            return both(
                f"{label}: the file of owners has it as {owner.networks[network.number]}; its owner may have changed"
            )
        operator = self._judge_party(owner, "operator", label, common)
        return operator, self._judge_party(owner, "parent", label, common)

    def _judge_party(self, owner: Owner, about: About, label: str, common: dict[str, Any]) -> Verdict:
        party: Party | None = getattr(owner, about)
        if party is None:
            gap = next((sentence for sentence in owner.missing if about in sentence.lower()), "no source was read")
            return Verdict(verdict="unknown", reason=f"{label}: the {about} is not known ({gap})", **common)
        seat, law = classify(party.country, self.as_of), classify(party.jurisdiction, self.as_of)
        judged = max(seat, law, key=lambda country: ORDER.index(country.verdict))
        read = (party.source, *party.also)
        found = {
            **common,
            "source": f"{party.sources} (read {min(source.read for source in read)}); {label} in {common['source']}",
        }
        if old := outdated([*read, *([judged.ground] if judged.ground else [])], self.as_of, self.ages):
            return Verdict(verdict="unknown", name=party.name, country=judged.code, dpf=party.dpf, reason=old, **found)
        return Verdict(
            verdict=judged.verdict,
            name=party.name,
            country=judged.code,
            dpf=party.dpf,
            reason=f"{label}: {party.fact}; {judged.name}: {judged.fact}",
            **found,
        )

    def _old(self, *facts: tuple[str, datetime.date | None]) -> str | None:
        """Return a message on the first fact that is too old on the day of judgement, or None."""
        for what, day in facts:
            if day and too_old(day, self.as_of, self.ages.read):
                return f"{what} is of {day}, more than {self.ages.read} months before {self.as_of}: update it"
        return None

    # Declarations of the stack file.

    def _declared(self, text: str, declared: DeclaredCloud) -> Judged:
        regions = declared.as_cloud().regions
        common, old = self._basis(declared)
        # A declaration does not assign prefixes to regions, so the region with the worst class counts.
        places = [classify(region.country, self.as_of) for region in regions]
        place = max(places, key=lambda country: ORDER.index(country.verdict))
        reason = old or f"declared to be in {', '.join(region.place for region in regions)}"
        soil = Verdict(
            verdict="unknown" if old else place.verdict, name=place.name, country=place.code, reason=reason, **common
        )
        operator, parent = self._parties(declared)
        return Judged(address=text, soil=soil, operator=operator, parent=parent)

    def _parties(self, declared: DeclaredCloud | DeclaredOperator) -> tuple[Verdict, Verdict]:
        """Return the verdicts on operator and parent by their declaration."""
        common, old = self._basis(declared)

        def party(of: Party | None) -> Verdict:
            assert of is not None  # a declaration names both
            seat, law = classify(of.country, self.as_of), classify(of.jurisdiction, self.as_of)
            judged = max(seat, law, key=lambda country: ORDER.index(country.verdict))
            return Verdict(
                verdict="unknown" if old else judged.verdict,
                name=of.name,
                country=judged.code,
                dpf=of.dpf,
                reason=old or of.fact,
                **common,
            )

        cloud = declared.as_cloud()
        return party(cloud.operator), party(cloud.parent)

    def _basis(self, declared: DeclaredCloud | DeclaredOperator) -> tuple[dict[str, Any], str | None]:
        """Return the common fields of verdicts by a declaration, and a message if the declaration is too old."""
        digest = hashlib.sha256(declared.model_dump_json().encode()).hexdigest()
        common = {
            "basis": "declared",
            "source": f"declared in the stack file: {declared.source}",
            "date": declared.date,
            "hash": f"sha256:{digest}",
        }
        return common, self._old((f"the declaration of {declared.name}", declared.date))

    def _overlaid(self, text: str, overlay: Overlay) -> Judged:
        digest = hashlib.sha256(overlay.model_dump_json().encode()).hexdigest()
        common: dict[str, Any] = {
            "basis": "declared",
            "source": "overlay of the rehearsal, only for documentation addresses",
            "hash": f"sha256:{digest}",
        }

        def of(name: str, code: str, dpf: Dpf | None) -> Verdict:
            judged = classify(code, self.as_of)
            reason = "fictitious, for a rehearsal only"
            return Verdict(verdict=judged.verdict, name=name, country=judged.code, dpf=dpf, reason=reason, **common)

        operator, parent = overlay.operator, overlay.parent
        return Judged(
            address=text,
            soil=of(country_name(overlay.country), overlay.country, None),
            operator=of(operator.name, operator.country, operator.dpf),
            parent=of(parent.name, parent.country, parent.dpf),
        )


def judge(
    addresses: Sequence[str], as_of: datetime.date | None = None, declared: Declared | None = None
) -> list[Judged]:
    """Return the verdicts on addresses, in their order; WrongUseError naming the first that is not an IP address.

    ClassroomError if the address data is missing or unreadable.
    """
    parsed = [parse(text) for text in addresses]  # parse all before judging any, so that a wrong one is reported first
    judge_on = Judge(as_of, declared)
    return [judge_on.judge(text, address) for text, address in zip(addresses, parsed, strict=True)]


def credit_lines() -> list[str]:
    """Return the attributions of the address data that their licences require in a report."""
    return [f"{table.title}, {table.date}: {table.credit}" for table in tables().about.values()]


def _listed(value: Any, key: str) -> list[Any]:
    """Return the value of a stack file's key as a list; Pulumi stores objects as YAML or as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise WrongUseError(f"{key}: it is not an object; write it as in Pulumi.example.yaml") from None
    return value if isinstance(value, list) else [value] if value else []


def stack_config(stack: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the path of a stack file and its `config`; WrongUseError if it cannot be read."""
    path = folder / f"Pulumi.{stack}.yaml"
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
        config = content.get("config") if isinstance(content, dict) else None
        if not isinstance(config, dict):
            raise ValueError("it has no key config")
    except (OSError, ValueError, yaml.YAMLError) as error:
        fault = f"{path.name} cannot be read ({str(error).splitlines()[0]})"
        raise WrongUseError(f"stack: '{stack}': {fault}; name a stack whose file is in {folder}") from None
    return path, config


def declared_by(stack: str, folder: Path = REPO) -> Declared:
    """Return the declarations of a stack file about addresses.

    Reads `classroom:declared_cloud` (one or a list), `classroom:declared_operators`, `classroom:endpoints`,
    `classroom:rehearsal` and `classroom:overlay` of Pulumi.<stack>.yaml. WrongUseError naming key and value if the stack does
    not exist, a declaration is invalid or claims public addresses or a known name, or a stack has an overlay but is not
    marked as rehearsal.
    """
    path, config = stack_config(stack, folder)
    key = "classroom:declared_cloud"
    try:
        clouds = tuple(DeclaredCloud.model_validate(one) for one in _listed(config.get(key), key))
        for cloud in clouds:
            cloud.check(public)
        key = "classroom:declared_operators"
        operators = tuple(DeclaredOperator.model_validate(one) for one in _listed(config.get(key), key))
        Operators(clouds, operators)  # raises an error if a declared name is in the data files
        key = "classroom:endpoints"
        endpoints = tuple(Endpoint.model_validate(one) for one in _listed(config.get(key), key))
        key = "classroom:overlay"
        overlays = tuple(Overlay.model_validate(one) for one in _listed(config.get(key), key))
    except ValidationError as error:
        raise WrongUseError(first_error(f"{path.name}: {key}", error)) from None
    rehearsal = str(config.get("classroom:rehearsal", "")).lower() == "true"
    if overlays and not rehearsal:
        raise WrongUseError(
            f"{path.name}: classroom:overlay: only a rehearsal may have one; remove it, "
            "or set classroom:rehearsal: true if the stack is a rehearsal"
        )
    return Declared(clouds=clouds, overlays=overlays, rehearsal=rehearsal, operators=operators, endpoints=endpoints)

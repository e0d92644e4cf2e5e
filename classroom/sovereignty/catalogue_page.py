"""The page docs/catalogue.md: all facts of the data files with verdicts, sources and dates, so that anyone can check them."""

import datetime
from collections.abc import Iterable, Iterator

from classroom.sovereignty import countries, owners, presets
from classroom.sovereignty.catalogue import EVERY, Cloud, Fact, Party, load_candidates, load_catalogue
from classroom.sovereignty.facts import KINDS, MAX_AGE_MONTHS, MAX_STATEMENT_MONTHS, Source, outdated
from classroom.sovereignty.operators import Operators, load_services
from classroom.sovereignty.policy import Policy, judge
from classroom.sovereignty.preset_verdicts import verdicts
from classroom.sovereignty.verdict import Judge

HEAD = """# Catalogue

Who operates the clouds, networks and services that this project knows, who owns them, and where they are located. `classroom data docs`
writes this page from `classroom/sovereignty/data/`; a correction goes there, with its source. Verdicts are of {day}, under the default
policy (`eu`) and the default limits of age.

Every fact names a source: `read` is the day on which it was read, `of` the day that it describes. A fact that was read more than {read}
months ago, or whose source describes a day more than {described} months ago, counts as unknown (`facts_max_age_months`,
`statements_max_age_months`). The mark, H (primary source) or M (secondary source), depends only on the kind of source:

| kind | mark | what it is | may be undated |
|---|---|---|---|
{kinds}

An undated page describes the day on which it was read; a file of a repository, the day of the commit at which it was read.
"""


def latest() -> datetime.date:
    """Return the newest day on which a fact was read; verdicts are of that day, so that the page does not change daily."""
    return max(source.read for source in _all_sources())


def _all_sources() -> Iterator[Source]:
    for cloud in load_catalogue().clouds:
        for _, fact in cloud.facts():
            yield from (fact.source, *fact.also)
    for preset in presets.load().presets:
        yield from preset.all_sources


def page() -> str:
    """Return the page, in Markdown."""
    day = latest()
    kinds = "\n".join(
        f"| {kind} | {rule.mark} | {rule.what} | {'yes' if rule.undated else 'no'} |" for kind, rule in KINDS.items()
    )
    clouds = load_catalogue().clouds
    allowed = [cloud for cloud in clouds if any(_verdict(cloud, one.name, day) == "allowed" for one in cloud.regions)]
    lines = [
        HEAD.format(day=day, read=MAX_AGE_MONTHS, described=MAX_STATEMENT_MONTHS, kinds=kinds),
        f"## Clouds\n\n{len(clouds)} clouds; {len(allowed)} have a region that the default policy allows: "
        f"{', '.join(cloud.name for cloud in allowed)}.",
    ]
    for cloud in sorted(clouds, key=lambda one: one.name.casefold()):
        lines += ["", f"### {cloud.name}", "", *_cloud(cloud, day)]
    lines += ["", *_not_established(clouds, day), "", "## Owners of networks", ""]
    for owner in owners.load().owners:
        numbers = ", ".join(f"AS{number}" for number in owner.networks)
        what = f"as the cloud {owner.cloud}" if owner.cloud else ""
        lines += [f"- **{owner.id}** ({numbers}){f': {what}' if what else ''}"]
        if not owner.cloud:
            lines += [*_parties(owner.operator, owner.parent, day, "  "), *_missing(owner.missing, "  ")]
        for one in owner.abroad:
            lines += _fact(f"unknown in {' and '.join(one.countries)}", one, day, "  ")
    lines += ["", "## Services outside", ""]
    for service in load_services():
        lines += [
            f"- **{service.id}**",
            *_parties(service.operator, service.parent, day, "  "),
            *_missing(service.missing, "  "),
        ]
    lines += ["", "## Presets", ""]
    judge_on, operators = Judge(day), Operators()
    for preset in presets.load().presets:
        where = f", of the cloud {preset.cloud}" if preset.cloud else ""
        found = ", ".join(f"{about} {verdict}" for about, verdict in verdicts(preset, judge_on, operators).items())
        addresses = ", ".join(preset.addresses) or f"{preset.name}, without addresses"
        lines += [f"- **{preset.id}**: {preset.use}, run by {preset.operator}{where}: {addresses}: **{found}**"]
        lines += _fact("what", preset, day, "  ")
    lines += [*_missing(presets.load().missing, ""), "", "## Countries", ""]
    for group in countries.load().groups:
        lines += [f"- **{group.class_}**: {', '.join(group.codes)}: {group.fact} ({_source(group.source)})"]
    return "\n".join(lines) + "\n"


WANTED = ("operator", "parent", "keystone", "regions")
"""What must be known of a cloud before it gets a verdict."""


def _not_established(clouds: Iterable[Cloud], day: datetime.date) -> Iterator[str]:
    yield from (
        "## What could not be established",
        "",
        "No known fact refuses these clouds, but what is marked with a dash is not known, so that the default policy does not allow",
        "them. Their entries above say what was looked for. A page that states such a fact, at an address that anyone can open, is",
        "all that a correction needs.",
        "",
        f"| cloud | {' | '.join(WANTED)} |",
        f"|---|{'---|' * len(WANTED)}",
    )
    for cloud in sorted(clouds, key=lambda one: one.name.casefold()):
        if _waits(cloud, day):
            known = ("known" if getattr(cloud, key) else "-" for key in WANTED)
            yield f"| {cloud.name} | {' | '.join(known)} |"
    yield from ("", "Clouds without an entry:", "")
    yield from (f"- **{one.name}**: {one.missing}" for one in load_candidates())


def _waits(cloud: Cloud, day: datetime.date) -> bool:
    """Return whether facts are missing, and only they keep the default policy from allowing a cloud."""
    countries_of = [party.country for party in (cloud.operator, cloud.parent) if party]
    inside = all(countries.classify(code, day).verdict == "eu" for code in countries_of)
    somewhere = not cloud.regions or any(countries.classify(one.country, day).verdict == "eu" for one in cloud.regions)
    return not cloud.complete and inside and somewhere


def _verdict(cloud: Cloud, region: str, day: datetime.date) -> str:
    return judge(cloud, region, Policy(), day).verdict


def _cloud(cloud: Cloud, day: datetime.date) -> Iterator[str]:
    yield from _parties(cloud.operator, cloud.parent, day, "")
    for key in cloud.keystone:
        yield from _fact(f"Keystone `{key.url}`", key, day, "")
    for region in cloud.regions:
        names = "every region" if EVERY in region.names else "region " + ", ".join(f"`{name}`" for name in region.names)
        yield from _fact(f"{names} in {region.place}: **{_verdict(cloud, region.name, day)}**", region, day, "")
    for note in cloud.notes:
        yield from _fact("note", note, day, "")
    yield from _missing(cloud.missing, "")


def _parties(operator: Party | None, parent: Party | None, day: datetime.date, indent: str) -> Iterator[str]:
    for role, party in (("operator", operator), ("parent", parent)):
        if party:
            seat = f"{party.country}, {countries.classify(party.country, day).verdict}"
            yield from _fact(f"{role} {party.name} ({seat})", party, day, indent)


def _fact(what: str, fact: Fact, day: datetime.date, indent: str) -> list[str]:
    sources = (fact.source, *fact.also)
    old = outdated(sources, day)
    named = "; ".join(_source(source) for source in sources)
    return [f"{indent}- {what}: {fact.fact} ({named}){f' — **too old**: {old}' if old else ''}"]


def _source(source: Source) -> str:
    return f"[{source.title}]({source.address}), {source.days}"


def _missing(sentences: Iterable[str], indent: str) -> list[str]:
    return [f"{indent}- unknown: {sentence}" for sentence in sentences]

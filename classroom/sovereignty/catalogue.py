"""The catalogue of clouds: the operator of each, the operator's owner, its Keystone addresses, its regions and their places.

Each cloud has a file in `data/clouds/`. A fact names one of the sources that the same file lists. A fact without a source is left
out and explained under `missing`; it counts as unknown.
"""

import datetime
import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from classroom.common.errors import ClassroomError, WrongUseError
from classroom.sovereignty.countries import classify, country_name, normalise
from classroom.sovereignty.facts import DATA, Ages, Record, Source, first_error, outdated, read_yaml

About = Literal["soil", "operator", "parent"]
Dpf = Literal["yes", "no", "unknown"]
ASPECTS: tuple[About, ...] = ("soil", "operator", "parent")
PORTS = {"http": 80, "https": 443}
VERSION = re.compile(r"/v\d+(\.\d+)?$")
EVERY = "*"
"""The name of a region that means every region of its cloud."""


def _country(value: str) -> str:
    if classify(value).verdict == "unknown":
        raise ValueError(f"'{value}' is not a country code of ISO 3166-1; write two letters such as FR, in quotes")
    return normalise(value)


class Fact(Record):
    """A fact in the catalogue's own words, with its source."""

    fact: str = Field(min_length=10)
    source: Source
    also: tuple[Source, ...] = Field(default=(), description="Further sources, if one page does not state all of it.")

    @property
    def sources(self) -> str:
        """All sources, as text."""
        return "; ".join(str(source) for source in (self.source, *self.also))


class Party(Fact):
    """An operator or its owner. The owner holds more than half of the votes; a listed company without one is its own owner."""

    name: str = Field(min_length=2)
    country: str = Field(description="Seat, ISO 3166-1 alpha-2.")
    jurisdiction: str = Field(default="", description="Country whose law applies to it; if left out, that of its seat.")
    dpf: Dpf | None = Field(default=None, description="Certified under the Data Privacy Framework; for the US only.")

    _country = field_validator("country", "jurisdiction")(lambda value: _country(value) if value else value)

    @model_validator(mode="before")
    @classmethod
    def _seat(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("jurisdiction"):
            data = {**data, "jurisdiction": data.get("country", "")}
        return data

    @model_validator(mode="after")
    def _american(self) -> Self:
        if ("US" in (self.country, self.jurisdiction)) != (self.dpf is not None):
            raise ValueError(
                f"dpf: write yes, no or unknown for a party of the United States, and for {self.name} only then"
            )
        return self


class Keystone(Fact):
    """An address of the identity service; `{region}` is replaced by the region's name in lower case."""

    url: str

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        split_url(value.replace("{region}", "region"))
        return value

    def matches(self, auth_url: str) -> str | None:
        """Return the region in `auth_url`, or an empty string if it names none; None if `auth_url` is another service."""
        scheme, host, path = split_url(auth_url)
        wanted_scheme, wanted_host, wanted_path = split_url(self.url.replace("{region}", "-region-"))
        if scheme != wanted_scheme:
            return None
        pattern = re.escape(f"{wanted_host}{wanted_path}").replace(re.escape("-region-"), r"(?P<region>[a-z0-9-]+)", 1)
        found = re.fullmatch(pattern, f"{host}{path}")
        return None if found is None else found.groupdict().get("region") or ""


class Region(Fact):
    """A region and its location.

    In `names`, `{n}` matches an optional number (`GRA{n}`: GRA, GRA7, GRA11), `{a}` an optional letter of a zone
    (`EU-WEST-LZ-MNC{a}`: …-MNC, …-MNC-A), and `*` alone every name, if the operator says where all of its cloud is located.
    Case is ignored.
    """

    names: tuple[str, ...] = Field(min_length=1)
    city: str = Field(min_length=2)
    country: str

    _country = field_validator("country")(_country)

    @model_validator(mode="after")
    def _every_name_or_some(self) -> Self:
        if EVERY in self.names and len(self.names) > 1:
            raise ValueError(f"names: '{EVERY}' matches every name; remove the others")
        return self

    @property
    def name(self) -> str:
        """The first name, without its wildcards."""
        return re.sub(r"\{[na]\}", "", self.names[0])

    @property
    def place(self) -> str:
        """City and country, as text."""
        return self.city if self.city == country_name(self.country) else f"{self.city}, {country_name(self.country)}"

    def matches(self, name: str) -> bool:
        """Return whether `name` is a name of this region."""
        return any(_pattern(rule).fullmatch(name.strip()) for rule in self.names)


@functools.cache
def _pattern(rule: str) -> re.Pattern[str]:
    if rule == EVERY:
        return re.compile(r".+")
    text = re.escape(rule).replace(re.escape("{n}"), r"\d*").replace(re.escape("{a}"), "(-[a-z])?")
    return re.compile(text, re.IGNORECASE)


class Cloud(Record):
    """A cloud. A field that is None or empty is not known; `missing` says why."""

    id: str
    name: str = Field(min_length=2)
    operator: Party | None = None
    parent: Party | None = None
    keystone: tuple[Keystone, ...] = ()
    regions: tuple[Region, ...] = ()
    notes: tuple[Fact, ...] = Field(default=(), description="What else a data protection officer should know.")
    missing: tuple[str, ...] = Field(default=(), description="What is not known, one sentence each.")
    basis: Literal["catalogue", "declared"] = "catalogue"

    @model_validator(mode="after")
    def _says_what_is_missing(self) -> Self:
        absent = [key for key in ("operator", "parent", "keystone", "regions") if not getattr(self, key)]
        unsaid = [key for key in absent if not any(key in sentence.lower() for sentence in self.missing)]
        if unsaid:
            raise ValueError(f"missing: add a sentence on why {', '.join(unsaid)} is not known")
        return self

    @model_validator(mode="after")
    def _one_place_for_every_name(self) -> Self:
        if len(self.regions) > 1 and any(EVERY in region.names for region in self.regions):
            raise ValueError(f"regions: a region named '{EVERY}' means all of them; remove it or the others")
        return self

    @property
    def complete(self) -> bool:
        """Whether operator, parent, Keystone and regions are all known."""
        return bool(self.operator and self.parent and self.keystone and self.regions)

    def answers_at(self, auth_url: str) -> str | None:
        """Return the region in `auth_url`, or '' if it names none; None if `auth_url` is not a Keystone of this cloud."""
        return next((region for key in self.keystone if (region := key.matches(auth_url)) is not None), None)

    def region(self, name: str) -> Region | None:
        """Return the region of this name, or None."""
        return next((region for region in self.regions if region.matches(name)), None)

    def facts(self) -> Iterable[tuple[str, Fact]]:
        """Yield every fact with its key."""
        if self.operator:
            yield "operator", self.operator
        if self.parent:
            yield "parent", self.parent
        for index, key in enumerate(self.keystone):
            yield f"keystone.{index}", key
        for region in self.regions:
            yield f"regions.{region.name}", region
        for index, note in enumerate(self.notes):
            yield f"notes.{index}", note


def split_url(url: str) -> tuple[str, str, str]:
    """Return (scheme, host with port, path) of an `auth_url`, in lower case, without the version of the API.

    WrongUseError if it is not the URL of a Keystone.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        port = None
        parts = urlsplit("")
    if parts.scheme not in PORTS or not parts.hostname or port is None or parts.username or parts.query:
        raise WrongUseError(
            f"auth-url: '{url}' is not the URL of a Keystone; write one such as https://cloud.example:5000/v3"
        )
    return parts.scheme, f"{parts.hostname.lower()}:{port}", VERSION.sub("", parts.path.rstrip("/").lower())


def with_sources(data: Any, sources: dict[str, Any]) -> Any:
    """Replace the short name of each source by the source; an unknown name stays and fails the schema."""
    if isinstance(data, dict):
        return {
            key: sources.get(value, value)
            if key == "source" and isinstance(value, str)
            else [sources.get(name, name) for name in value]
            if key == "also"
            else with_sources(value, sources)
            for key, value in data.items()
        }
    return [with_sources(item, sources) for item in data] if isinstance(data, list) else data


def read_cloud(path: Path) -> Cloud:
    """Return the cloud that a data file describes; ClassroomError naming file and key if a fact lacks its source."""
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ClassroomError(
            f"{path.name} describes no cloud: write the keys name, sources, operator, parent, keystone, regions"
        )
    try:
        sources = {key: Source.model_validate(value) for key, value in (data.pop("sources", None) or {}).items()}
        return Cloud.model_validate({"id": path.stem, **with_sources(data, sources)})
    except ValidationError as error:
        raise ClassroomError(first_error(path.name, error)) from None


class Candidate(Record):
    """A cloud that has no entry, as no page that can be named states a fact about it; `missing` says what was found."""

    name: str = Field(min_length=2)
    missing: str = Field(min_length=10)


class Candidates(Record):
    """The file of clouds that have no entry."""

    candidates: tuple[Candidate, ...]


class Catalogue(Record):
    """All clouds of the catalogue, by name."""

    clouds: tuple[Cloud, ...]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen: dict[str, str] = {}
        for cloud in self.clouds:
            for key in cloud.keystone:
                if seen.setdefault(key.url, cloud.id) != cloud.id:
                    raise ValueError(
                        f"{key.url} is listed in {seen[key.url]} and in {cloud.id}; a Keystone belongs to one cloud"
                    )
        return self

    def find(self, auth_url: str) -> Cloud | None:
        """Return the cloud whose Keystone answers at `auth_url`, or None; WrongUseError if that is not a URL."""
        split_url(auth_url)
        return next((cloud for cloud in self.clouds if cloud.answers_at(auth_url) is not None), None)

    def named(self, name: str) -> Cloud | None:
        """Return the cloud of this name or id, or None."""
        wanted = name.strip().casefold()
        return next((cloud for cloud in self.clouds if wanted in (cloud.id.casefold(), cloud.name.casefold())), None)


@functools.cache
def load_catalogue(folder: Path = DATA / "clouds") -> Catalogue:
    """Return the catalogue; ClassroomError naming file and key if an entry is unreadable or lacks a source."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ClassroomError(
            f"the catalogue of clouds is empty ({folder} has no .yaml file): restore it from the repository"
        )
    try:
        return Catalogue(clouds=tuple(read_cloud(path) for path in paths))
    except ValidationError as error:
        raise ClassroomError(first_error(folder.name, error)) from None


@functools.cache
def load_candidates(path: Path = DATA / "candidates.yaml") -> tuple[Candidate, ...]:
    """Return the clouds that have no entry, by name; ClassroomError naming file and key if the file is not as it should be."""
    try:
        found = Candidates.model_validate(read_yaml(path)).candidates
    except ValidationError as error:
        raise ClassroomError(first_error(path.name, error)) from None
    return tuple(sorted(found, key=lambda one: one.name.casefold()))


def expired(clouds: Iterable[Cloud], as_of: datetime.date, ages: Ages) -> list[tuple[str, str, Source]]:
    """Return (cloud, key, source) of every fact that is older than `ages` on the day `as_of`."""
    return [
        (cloud.id, key, source)
        for cloud in clouds
        for key, fact in cloud.facts()
        for source in (fact.source, *fact.also)
        if outdated([source], as_of, ages)
    ]

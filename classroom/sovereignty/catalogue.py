"""The catalogue of clouds: who runs each, who owns the operator, its Keystone addresses, its regions and their places.

One file per cloud in `data/clouds/`. A fact names one of the sources that the same file lists (title, address, day of
reading, mark); a fact that nobody read is left out, is listed under `missing`, and never lets anything pass.
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


def _country(value: str) -> str:
    if classify(value).verdict == "unknown":
        raise ValueError(f"'{value}' is no country code of ISO 3166-1; write two letters such as FR, in quotes")
    return normalise(value)


class Fact(Record):
    """A fact in the catalogue's own words, and the page or file that says so."""

    fact: str = Field(min_length=10)
    source: Source
    also: tuple[Source, ...] = Field(default=(), description="Further sources, where one page does not say it all.")

    @property
    def sources(self) -> str:
        """All sources, for people."""
        return "; ".join(str(source) for source in (self.source, *self.also))


class Party(Fact):
    """An operator, or the owner of one: who more than half of the votes belong to, else the listed company itself."""

    name: str = Field(min_length=2)
    country: str = Field(description="Seat, ISO 3166-1 alpha-2.")
    jurisdiction: str = Field(default="", description="Country whose law binds it; its seat's if left out.")
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
    """An address of the identity service; `{region}` stands for the region's name in small letters."""

    url: str

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        split_url(value.replace("{region}", "region"))
        return value

    def matches(self, auth_url: str) -> str | None:
        """Return None if `auth_url` is another service, else the region that stands in it, or an empty string."""
        scheme, host, path = split_url(auth_url)
        wanted_scheme, wanted_host, wanted_path = split_url(self.url.replace("{region}", "-region-"))
        if scheme != wanted_scheme:
            return None
        pattern = re.escape(f"{wanted_host}{wanted_path}").replace(re.escape("-region-"), r"(?P<region>[a-z0-9-]+)", 1)
        found = re.fullmatch(pattern, f"{host}{path}")
        return None if found is None else found.groupdict().get("region") or ""


class Region(Fact):
    """A region and the place where it stands.

    In `names`, `{n}` stands for any number or none (`GRA{n}`: GRA, GRA7, GRA11), `{a}` for a zone's letter or none
    (`EU-WEST-LZ-MNC{a}`: …-MNC, …-MNC-A). Capitals and small letters are alike.
    """

    names: tuple[str, ...] = Field(min_length=1)
    city: str = Field(min_length=2)
    country: str

    _country = field_validator("country")(_country)

    @property
    def name(self) -> str:
        """The first name, without its wildcards."""
        return re.sub(r"\{[na]\}", "", self.names[0])

    @property
    def place(self) -> str:
        """City and country, for people."""
        return self.city if self.city == country_name(self.country) else f"{self.city}, {country_name(self.country)}"

    def matches(self, name: str) -> bool:
        """Return whether `name` names this region."""
        return any(_pattern(rule).fullmatch(name.strip()) for rule in self.names)


@functools.cache
def _pattern(rule: str) -> re.Pattern[str]:
    text = re.escape(rule).replace(re.escape("{n}"), r"\d*").replace(re.escape("{a}"), "(-[a-z])?")
    return re.compile(text, re.IGNORECASE)


class Cloud(Record):
    """A cloud. What is None or empty is not known, and stands in `missing`."""

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
            raise ValueError(f"missing: say what is not known of {', '.join(unsaid)}")
        return self

    @property
    def complete(self) -> bool:
        """Whether operator, parent, Keystone and regions are all known."""
        return bool(self.operator and self.parent and self.keystone and self.regions)

    def answers_at(self, auth_url: str) -> str | None:
        """Return None if `auth_url` is no Keystone of this cloud, else the region that stands in it, or ''."""
        return next((region for key in self.keystone if (region := key.matches(auth_url)) is not None), None)

    def region(self, name: str) -> Region | None:
        """Return the region of this name, or None."""
        return next((region for region in self.regions if region.matches(name)), None)

    def facts(self) -> Iterable[tuple[str, Fact]]:
        """Yield every fact with the key that it stands under."""
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
    """Return (scheme, host with port, path) of an `auth_url`, in small letters, without the version of the API.

    WrongUseError naming the address if it is none.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        port = None
        parts = urlsplit("")
    if parts.scheme not in PORTS or not parts.hostname or port is None or parts.username or parts.query:
        raise WrongUseError(
            f"auth-url: '{url}' is no address of a Keystone; write one such as https://cloud.example:5000/v3"
        )
    return parts.scheme, f"{parts.hostname.lower()}:{port}", VERSION.sub("", parts.path.rstrip("/").lower())


def with_sources(data: Any, sources: dict[str, Any]) -> Any:
    """Put each source in the place of its short name; a name that is not listed stays, and fails the schema."""
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


class Catalogue(Record):
    """All clouds of the catalogue, by name."""

    clouds: tuple[Cloud, ...]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen: dict[str, str] = {}
        for cloud in self.clouds:
            for key in cloud.keystone:
                if seen.setdefault(key.url, cloud.id) != cloud.id:
                    raise ValueError(f"{key.url} stands in {seen[key.url]} and in {cloud.id}; a Keystone has one entry")
        return self

    def find(self, auth_url: str) -> Cloud | None:
        """Return the cloud whose Keystone answers at `auth_url`, or None; WrongUseError if that is no address."""
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


def expired(clouds: Iterable[Cloud], as_of: datetime.date, ages: Ages) -> list[tuple[str, str, Source]]:
    """Return (cloud, key, source) of every fact that is older than `ages` on the day `as_of`."""
    return [
        (cloud.id, key, source)
        for cloud in clouds
        for key, fact in cloud.facts()
        for source in (fact.source, *fact.also)
        if outdated([source], as_of, ages)
    ]

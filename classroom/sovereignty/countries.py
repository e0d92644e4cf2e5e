"""Country codes and their class under EU law: in the EU, in the EEA, adequate (GDPR, article 45), third country, or unknown."""

import datetime
import functools
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from classroom.common.errors import ClassroomError
from classroom.sovereignty.facts import DATA, Record, Source, first_error, read_yaml

CountryClass = Literal["eu", "eea", "adequate", "third", "unknown"]
ALIASES = {"UK": "GB", "EL": "GR"}


class CountryGroup(Record):
    """Country codes of one class, with the fact on which the class rests."""

    class_: CountryClass = Field(alias="class")
    codes: tuple[str, ...] = Field(min_length=1)
    until: datetime.date | None = Field(default=None, description="Last day on which the class applies.")
    fact: str = Field(min_length=10)
    source: Source


class Countries(Record):
    """The file of countries: groups of codes, and the English names of all codes of ISO 3166-1."""

    groups: tuple[CountryGroup, ...]
    names: dict[str, str]


class CountryVerdict(Record):
    """The class of a country code on a day. `ground` is None if no group lists the code."""

    code: str | None
    name: str
    verdict: CountryClass
    fact: str
    ground: Source | None = None


@functools.cache
def load(path: Path = DATA / "countries.yaml") -> Countries:
    """Return the country data; ClassroomError naming the key if it is unreadable or lacks a source."""
    try:
        return Countries.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ClassroomError(first_error(path.name, error)) from None


def normalise(code: str) -> str:
    """Return an ISO 3166-1 code in capitals, with the EU's own `UK` and `EL` changed to `GB` and `GR`."""
    code = code.strip().upper()
    return ALIASES.get(code, code)


def country_name(code: str | None) -> str:
    """Return the English name of a country code; the code itself if it has none, `unknown` for None."""
    return load().names.get(normalise(code), code) if code else "unknown"


def classify(code: str | None, as_of: datetime.date | None = None) -> CountryVerdict:
    """Judge a two-letter country code on the day `as_of` (today if None).

    Overseas territories with their own code are judged by what EU law says of them, not by their state. A code that is in
    ISO 3166-1 but in no group is a third country; any other code, and None, is unknown.
    """
    day = as_of or datetime.date.today()
    if not code:
        return CountryVerdict(code=None, name="unknown", verdict="unknown", fact="the country is not known")
    code, data = normalise(code), load()
    name = country_name(code)
    for group in data.groups:
        if code in group.codes:
            ended = group.until is not None and day > group.until
            return CountryVerdict(
                code=code,
                name=name,
                verdict="third" if ended else group.class_,
                fact=f"{group.fact}; that ended on {group.until}" if ended else group.fact,
                ground=group.source,
            )
    if code in data.names:
        return CountryVerdict(
            code=code,
            name=name,
            verdict="third",
            fact="in neither the EU nor the EEA, and without an adequacy decision",
        )
    return CountryVerdict(code=code, name=name, verdict="unknown", fact=f"'{code}' is not a country code of ISO 3166-1")

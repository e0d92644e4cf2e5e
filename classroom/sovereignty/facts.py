"""The source of a fact in the data files: title, address, kind and two dates.

`read` is the day on which the source was read, `says_of` the day that it describes; a fact becomes too old by either. The mark
depends only on the kind of source, by the table `KINDS`.
"""

import datetime
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from classroom.common.errors import ClassroomError

DATA = Path(__file__).parent / "data"
MAX_AGE_MONTHS = 12
"""Facts that were read longer ago count as unknown."""
MAX_STATEMENT_MONTHS = 36
"""Facts whose source describes a day longer ago count as unknown, however recently they were read."""


# libyaml's loader takes a seventh of the time, and every `pulumi up` reads these files.
class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that refuses a key that occurs twice in a mapping, as Pulumi does; YAML would keep the last one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Return the mapping of a node; yaml.YAMLError if a key occurs twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key '{name}' occurs again in line {key.start_mark.line + 1}; remove one of the two",
                )
            seen |= {name} - {"", "<<"}
        return super().construct_mapping(node, deep=deep)


Mark = Literal["H", "M"]
Kind = Literal[
    "own", "register", "law", "filing", "federation", "press", "encyclopaedia", "measured", "person", "copy", "declared",
    "contract",
]  # fmt: skip
UNDATED: Literal["undated"] = "undated"


class KindRule(NamedTuple):
    """A kind of source: its mark, its description, and whether such a source may be undated."""

    mark: Mark
    what: str
    undated: bool = False


KINDS: dict[Kind, KindRule] = {
    "own": KindRule("H", "the party's own page, documentation or file, about itself or its service", undated=True),
    "register": KindRule("H", "a public register, or a list kept by an authority", undated=True),
    "law": KindRule("H", "a law or decision, or the page of the public body that makes or applies it", undated=True),
    "filing": KindRule("H", "a report or notice of a company to its shareholders or to an authority"),
    "federation": KindRule("M", "a list or configuration kept by an organisation that works with the party"),
    "press": KindRule("M", "a newspaper, a trade magazine or an agency"),
    "encyclopaedia": KindRule("M", "an encyclopaedia, or an article of research"),
    "measured": KindRule("M", "data measured or collected by others"),
    "person": KindRule("M", "a page, file or assessment by others, who neither operate nor own the party"),
    "copy": KindRule("M", "a copy of a document of any kind at another's address"),
    "contract": KindRule("H", "a declaration in a stack file that rests on a primary source"),
    "declared": KindRule("M", "a declaration in a stack file that rests on another source"),
}
"""The rule for marks: H is a primary source, M a secondary one. A page without a date must be a primary source, and describes
the day on which it was read; a file of a repository describes the day of the commit at which it was read."""

MIRRORS = (
    r"(^|\.)(docslib\.org|1library\.net|pdfdokument\.com|scribd\.com|wikimili\.com|owiki\.org|wiki\.x\.io|mgwiki\.top|"
    r"infogalactic\.com|issuu\.com\.?|pressreader\.com|getfilings\.com|rocketfinancial\.com|slideshare\.net|"
    r"koudanews\.com|wonilvalve\.com|archive\.is|wikiwand\.com|alchetron\.com|everybodywiki\.com|"
    r"wiki2\.org|wikizero\.com|studylib\.net|vdocuments\.mx)$|\.shop$|\.top$"
)
"""Hosts that copy other people's pages, as a pattern; they are not accepted as sources."""


class Record(BaseModel):
    """Base of all data records: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Ages(NamedTuple):
    """Maximum age of a fact in months: since it was read, and since the day that its source describes."""

    read: int = MAX_AGE_MONTHS
    says_of: int = MAX_STATEMENT_MONTHS


AGES = Ages()


class Source(Record):
    """The page or file in which a fact was read: title, public address, day of reading and day that it describes."""

    title: str = Field(min_length=4)
    address: str = Field(min_length=4, description="Public URL that a reader can open.")
    kind: Kind = Field(description="What the source is; the mark follows from it.")
    read: datetime.date = Field(description="The day it was read.")
    says_of: datetime.date | Literal["undated"] = Field(
        description="The day that it describes; a month or a year without a day counts from its first day."
    )

    @field_validator("says_of", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        text = str(value)
        if re.fullmatch(r"\d{4}(-\d{2})?", text):
            return f"{text}-01-01"[:10] if len(text) == 4 else f"{text}-01"
        return value

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind not in ("declared", "contract"):
            _check_address(self.address)
        if self.says_of == UNDATED and not KINDS[self.kind].undated:
            raise ValueError(
                f"says_of: '{UNDATED}' is not allowed for a source of kind {self.kind}; write the day that it describes"
            )
        if self.says_of != UNDATED and self.says_of > self.read:
            raise ValueError(f"says_of: {self.says_of} is later than the day of reading, {self.read}")
        return self

    @property
    def mark(self) -> Mark:
        """H for a primary source, M for a secondary one, by its kind."""
        return KINDS[self.kind].mark

    @property
    def days(self) -> str:
        """Both days and the mark, as text."""
        described = "without a date" if self.says_of == UNDATED else f"of {self.says_of}"
        return f"read {self.read}, {described}, {self.mark}"

    def as_json(self) -> dict[str, str]:
        """Return the source as in JSON outputs; `date` is the day on which it was read."""
        return {
            "title": self.title,
            "address": self.address,
            "kind": self.kind,
            "date": self.read.isoformat(),
            "says_of": str(self.says_of),
            "mark": self.mark,
        }

    def __str__(self) -> str:
        return f"{self.title}, {self.address}"


def _check_address(address: str) -> None:
    """Raise ValueError if a source's address is not one that a reader can open, or is a copy of another's page."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or "." not in host:
        raise ValueError(f"address: '{address}' is not a public URL; write all of it, beginning with https://")
    if re.search(MIRRORS, host) or re.search(r"https?(:|%3a)(//|%2f%2f)", f"{parts.path}?{parts.query}", re.IGNORECASE):
        raise ValueError(f"address: '{address}' is a copy or a proxy of another page; give the address of the original")
    if host == "github.com" and re.search(r"/(blob|tree)/(main|master|HEAD)/", parts.path):
        raise ValueError(f"address: '{address}' changes with its branch; use the address of the commit that was read")


def too_old(read: datetime.date, as_of: datetime.date, months: int = MAX_AGE_MONTHS) -> bool:
    """Return whether a fact read on `read` is older, on the day `as_of`, than `months` months."""
    years, month = divmod(read.month - 1 + months, 12)
    day = min(read.day, 28)  # every month has this day; the limit is at most three days early
    return as_of > datetime.date(read.year + years, month + 1, day)


def outdated(sources: Iterable[Source], as_of: datetime.date, ages: Ages = AGES) -> str | None:
    """Return a message on the first source that is too old on the day `as_of`, by either of its dates, or None."""
    for source in sources:
        if too_old(source.read, as_of, ages.read):
            return (
                f"{source.title} was read on {source.read}, more than {ages.read} months before {as_of}: read it again"
            )
        if source.says_of != UNDATED and too_old(source.says_of, as_of, ages.says_of):
            return (
                f"{source.title} describes {source.says_of}, more than {ages.says_of} months before {as_of}: "
                "find and read a newer source"
            )
    return None


def parse_yaml(text: str) -> Any:
    """Return the contents of a YAML text; yaml.YAMLError if it is not valid."""
    return yaml.load(text, Loader=Loader)  # noqa: S506 - it derives from a safe loader


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; ClassroomError if it cannot be read."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClassroomError(
            f"{path.name} cannot be read ({error}): restore it from the project's repository"
        ) from None


def first_error(name: str, error: ValidationError) -> str:
    """Return the first fault of a data record as one sentence that names its file and key."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"]) or "the entry"
    return f"{name}: {key}: {fault['msg'].removeprefix('Value error, ')}"

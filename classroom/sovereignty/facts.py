"""What every fact of the data files carries: a source that was read, the day it was read, and a mark."""

import datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classroom.common.errors import ClassroomError

DATA = Path(__file__).parent / "data"
MAX_AGE_MONTHS = 12
"""Facts read longer ago than this are reported, and no longer let anything pass."""

# libyaml's loader gives the same and takes a seventh of the time: every `pulumi up` reads these files.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Mark = Literal["H", "M"]


class Record(BaseModel):
    """Base of all data records: immutable, and no key that is not described."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Source(Record):
    """Where a fact was read: a page or file, by title and address, on a day.

    `mark` is H for a primary source (the operator's own page or file, a register, a law text), M for a secondary one.
    """

    title: str = Field(min_length=4)
    address: str = Field(min_length=4, description="Web address, or file of a package at a version.")
    date: datetime.date = Field(description="The day it was read.")
    mark: Mark

    def __str__(self) -> str:
        return f"{self.title}, {self.address}"


def too_old(read: datetime.date, as_of: datetime.date, months: int = MAX_AGE_MONTHS) -> bool:
    """Return whether a fact read on `read` is older, on the day `as_of`, than `months` months."""
    years, month = divmod(read.month - 1 + months, 12)
    day = min(read.day, 28)  # a limit that every month has; at most three days early
    return as_of > datetime.date(read.year + years, month + 1, day)


def parse_yaml(text: str) -> Any:
    """Return what a YAML text says; yaml.YAMLError if it is none."""
    return yaml.load(text, Loader=Loader)  # noqa: S506 - it is a safe one


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

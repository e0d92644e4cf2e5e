"""Sentences of reports, in English and French, each by its key in `data/phrases.yaml`; evidence is kept as keys and values."""

import functools
import string
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError

from classroom.common.errors import ClassroomError
from classroom.sovereignty.facts import DATA, Record, first_error, read_yaml

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


class Phrase(Record):
    """One sentence in both languages; `{name}` stands for a value."""

    en: str = Field(min_length=2)
    fr: str = Field(min_length=2)

    def names(self) -> set[str]:
        """Return the names of the values that it needs; ValueError where the languages differ in them."""
        found = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (self.en, self.fr)]
        if found[0] != found[1]:
            raise ValueError(f"'{self.en}' and '{self.fr}' need different values")
        return found[0]


@functools.cache
def phrases(path: Path = DATA / "phrases.yaml") -> dict[str, Phrase]:
    """Return all phrases by key; ClassroomError naming the key if one is not complete."""
    try:
        return {key: Phrase.model_validate(value) for key, value in read_yaml(path).items()}
    except ValidationError as error:
        raise ClassroomError(first_error(path.name, error)) from None


class Said(Record):
    """A sentence as evidence holds it: its key, and what stands in its gaps."""

    key: str
    values: dict[str, str] = Field(default={})

    def text(self, language: Language = "en") -> str:
        """Return the sentence in a language; ClassroomError if this version does not know it or a value is missing."""
        phrase = phrases().get(self.key)
        if phrase is None or phrase.names() - self.values.keys():
            raise ClassroomError(f"the phrase '{self.key}' is not known to this version: run `classroom verify` again")
        return str(getattr(phrase, language)).format(**self.values)


def said(key: str, /, **values: object) -> Said:
    """Return the sentence `key` with its values; KeyError if there is none, ValueError if the values are not its own."""
    if wrong := phrases()[key].names() ^ values.keys():
        raise ValueError(f"{key}: {', '.join(sorted(wrong))}")
    return Said(key=key, values={name: str(value) for name, value in values.items()})

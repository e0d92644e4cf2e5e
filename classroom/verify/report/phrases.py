"""Sentences of reports, in English and French, by keys of `data/phrases.yaml`; evidence stores keys and values."""

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
    """One sentence in both languages; `{name}` is a placeholder."""

    en: str = Field(min_length=2)
    fr: str = Field(min_length=2)

    def names(self) -> set[str]:
        """Return the names of the placeholders; ValueError if the languages differ in them."""
        found = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (self.en, self.fr)]
        if found[0] != found[1]:
            raise ValueError(f"'{self.en}' and '{self.fr}' have different placeholders")
        return found[0]


@functools.cache
def phrases(path: Path = DATA / "phrases.yaml") -> dict[str, Phrase]:
    """Return all phrases by key; ClassroomError with the key if one is incomplete."""
    try:
        return {key: Phrase.model_validate(value) for key, value in read_yaml(path).items()}
    except ValidationError as error:
        raise ClassroomError(first_error(path.name, error)) from None


class Sentence(Record):
    """A sentence as stored in evidence: its key and the values of its placeholders."""

    key: str
    values: dict[str, str] = Field(default={})

    def text(self, language: Language = "en") -> str:
        """Return the sentence in a language; ClassroomError if the key is unknown or a value is missing."""
        phrase = phrases().get(self.key)
        if phrase is None or phrase.names() - self.values.keys():
            raise ClassroomError(
                f"the phrase '{self.key}' does not exist in this version: run `classroom verify` again"
            )
        return str(getattr(phrase, language)).format(**self.values)


def sentence(key: str, /, **values: object) -> Sentence:
    """Return the sentence `key` with its values; KeyError if it does not exist, ValueError if values do not match."""
    if wrong := phrases()[key].names() ^ values.keys():
        raise ValueError(f"{key}: {', '.join(sorted(wrong))}")
    return Sentence(key=key, values={name: str(value) for name, value in values.items()})

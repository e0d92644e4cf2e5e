"""Say in one sentence for each fault of the settings what is wrong and what to write instead, from the examples of their table."""

import copy
import datetime
import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from classroom.common.shorten import shortened

KeyPath = tuple[str | int, ...]
"""Where a value is: keys, and numbers of entries from 0."""
Note = Callable[[Mapping[str, Any]], str]
"""Returns what a setting has to fit, from the other settings as they are written."""
EXAMPLE_FILE = "Pulumi.example.yaml"
UNKNOWN = {"extra_forbidden", "invalid_key"}
"""Types of error on a key that is not valid, or not a text."""
LONGEST = 120
"""Characters of the longest example in a sentence; longer ones are only in the example file."""
FAMILIES = {
    "string": "is not a text; write one on the same line",
    "int": "is not a whole number; write one",
    "bool": "is neither true nor false; write one of them",
    "date": "is not a date; write one in quotes",
    "list": "is not a list; write one entry in each line, after a hyphen",
    "tuple": "is not a list; write one entry in each line, after a hyphen",
    "model": "has no keys; write its keys with their values",
    "dict": "has no keys; write its keys with their values",
}
"""What is wrong with a value of another type, by the first word of the validation's type of error."""


class OnlyWith(NamedTuple):
    """Marks a setting that is only allowed while another one has a value; `where` says in which stacks that is right."""

    key: str
    value: Any
    where: str = ""

    def sentence(self, name: str, value: Any = None) -> str:
        """Return the sentence on a setting that is not allowed; a value is shown if it is short."""
        shown = f"{shown_value(value)} is " if isinstance(value, str | int | float) else ""
        condition = f"{self.key}: {flow(self.value)}"
        return f"{name}: {shown}only allowed with {condition}; remove {name}, or set {condition}{self.where}"

    def is_met(self, model: type[BaseModel], values: Mapping[str, Any]) -> bool:
        """Return whether the other setting has the value, or one that is invalid, on which there is a sentence of its own."""
        field = model.model_fields[self.key]
        adapter: TypeAdapter[Any] = TypeAdapter(Any if field.annotation is None else field.annotation)
        try:
            found = adapter.validate_python(values.get(self.key, field.default))
        except ValidationError:
            return True
        return bool(found == self.value)


def conditions(model: type[BaseModel]) -> dict[str, OnlyWith]:
    """Return the settings that are only allowed with another one."""
    return {
        name: mark
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, OnlyWith)
    }


def sentences(
    model: type[BaseModel], values: Mapping[str, Any], error: ValidationError, notes: Mapping[str, Note]
) -> list[str]:
    """Return one sentence for each fault of `values`, with key, value and fix."""
    return list(dict.fromkeys(_Advice(model, values, notes).sentences(error.errors())))


def flow(value: Any, *, quoted: bool = False) -> str:
    """Return a value as YAML on one line, texts in quotes where another type would be read, or if `quoted`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inner_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inner_flow, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, default=str)
    try:
        plain = not quoted and yaml.safe_load(f"{{key: {value}}}") == {"key": value}
    except yaml.YAMLError:
        plain = False
    return value if plain else json.dumps(value, ensure_ascii=False)


def _inner_flow(value: Any) -> str:
    """Return a value within brackets, where some readers of YAML end a text without quotes at a colon."""
    return flow(value, quoted=isinstance(value, str) and ":" in value)


def shown_value(value: Any) -> str:
    """Return a value as a stack file has it, shortened."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if text.isprintable() else ascii(text)
    text = str(value) if isinstance(value, datetime.date) else text
    return shortened(text, 60)


def holds_secret(annotation: Any) -> bool:
    """Return whether the value of a key is a secret, required or not."""
    return annotation is SecretStr or any(map(holds_secret, get_args(annotation)))


def section(annotation: Any) -> type[BaseModel] | None:
    """Return the section type of a key, or of the elements of its list; None if it has no section type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := section(inner))), None)


def example(model: type[BaseModel], place: KeyPath) -> Any:
    """Return the example of a setting or of a part of it, otherwise its default; None if it has neither."""
    found = [_own_example(model.model_fields.get(str(place[0])))]
    for part in place[1:]:
        if isinstance(part, int):
            found = [entry for one in found for entry in (one if isinstance(one, list) else [one])]
        else:
            found = [one[part] for one in found if isinstance(one, dict) and part in one]
    inner = _fields(model, place).get(str(place[-1]))
    return found[0] if found else _own_example(inner)


def _own_example(field: FieldInfo | None) -> Any:
    if field is None or (not field.examples and field.is_required()):
        return None
    default = field.default.model_dump() if isinstance(field.default, BaseModel) else field.default
    return field.examples[0] if field.examples else default


def _fields(model: type[BaseModel], place: KeyPath) -> dict[str, FieldInfo]:
    """Return the keys that are valid at a place in the settings."""
    for part in place[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            model = section(model.model_fields[part].annotation) or model
    return model.model_fields


class _Advice:
    """The sentences on one set of values."""

    def __init__(self, model: type[BaseModel], values: Mapping[str, Any], notes: Mapping[str, Note]) -> None:
        self.model, self.values, self.notes = model, values, notes

    def sentences(self, faults: Iterable[Any]) -> Iterator[str]:
        faults, only = list(faults), conditions(self.model)
        renamed = {self._near(fault["loc"]) for fault in faults if fault["type"] in UNKNOWN}
        missing: dict[KeyPath, list[Any]] = {}
        for fault in faults:
            if fault["type"] == "missing":
                missing.setdefault(fault["loc"][:-1], []).append(fault)
        for fault in faults:
            place = fault["loc"]
            mark = only.get(str(place[0])) if place else None
            if mark and not mark.is_met(self.model, self.values):
                yield mark.sentence(str(place[0]), self.values[str(place[0])])
            elif fault["type"] == "missing" and place in renamed:
                continue  # the sentence on the key that is to be renamed is enough
            elif fault["type"] == "missing" and len(place) > 1 and len(missing[place[:-1]]) > 1:
                yield self._lacks([one["loc"] for one in missing[place[:-1]] if one["loc"] not in renamed])
            else:
                yield self._sentence(fault)

    def _sentence(self, fault: Any) -> str:
        place, kind, message = fault["loc"], fault["type"], str(fault["msg"]).removeprefix("Value error, ")
        field = _fields(self.model, place).get(str(place[-1])) if place else None
        note = self.notes[str(place[0])](self.values) if len(place) == 1 and place[0] in self.notes else ""
        if not place:
            return message  # of a rule between keys: it names the key
        if kind in UNKNOWN:
            return self._line(place, self._unknown(place))
        if kind == "value_error":
            return self._line(place, message + (f"; {note}" if note and not _is_secret(field) else ""))
        state = "missing" if kind == "missing" else "has no value" if fault["input"] in (None, "") else ""
        description = field.description if field else None
        if _is_secret(field):
            return self._line(place, f"{state or 'is not a text'}; {note}", description)
        shown = example(self.model, place)
        if isinstance(shown, str) and "\n" in shown:
            what = state or f"{shown_value(fault['input'])} is not a text"
            paste = f"paste it below `{place[-1]}: |`, each line indented"
            return self._line(place, f"{what}; {paste}" + (f"; {note}" if note else ""), description)
        note = f"; {note}" if note else ""
        if kind == "missing":
            return self._line(place, f"missing; add it{self._such_as(place, shown)}{note}", description)
        if state:
            remove = "" if field is None or field.is_required() else f", or remove the line{_default(field)}"
            text = f"has no value; write one after the colon{self._such_as(place, shown)}{remove}{note}"
            return self._line(place, text, description)
        return self._wrong_type(fault, shown)

    def _wrong_type(self, fault: Any, shown: Any) -> str:
        """Return the sentence on a value of another type, or outside of the limits, with the best value that is accepted."""
        place, kind, value, limits = fault["loc"], fault["type"], fault["input"], fault.get("ctx", {})
        if kind == "string_type" and isinstance(value, bool | int | float | datetime.date):
            # A float may have been written in another form, such as the name of a class, 6e1.
            text = "6e1" if isinstance(value, float) and place[-1] == "name" else shown_value(value)
            again = self._faults_with(place, text)
            if not again:
                read = _read_as(value)
                fix = _line_of(place, flow(text, quoted=True))
                message = f"{shown_value(value)} is read by YAML as {read}, but a text is needed; write it in quotes, such as {fix}"
                return self._line(place, message)
            return self._sentence(again[0])
        family = kind.partition("_")[0]
        if family in {"list", "tuple"}:
            shown = [value] if self._is_shown(value) and not self._faults_with(place, [value]) else shown
        if kind == "string_type" and isinstance(value, list) and len(value) == 1 and self._is_shown(value[0]):
            shown = shown if self._faults_with(place, value[0]) else value[0]
        such = self._such_as(place, shown, entry=family in {"list", "tuple"} or kind == "too_short")
        message = fault["msg"]
        why = {
            "string_too_short": f"is too short; write at least {limits.get('min_length')} characters{such}",
            "too_short": f"is an empty list; write at least one entry, after a hyphen{such}",
            "greater_than_equal": f"is too small; write {limits.get('ge')} or more",
            "less_than_equal": f"is too large; write {limits.get('le')} or less",
            "literal_error": f"is not allowed; write {limits.get('expected')}",
        }.get(kind) or (
            FAMILIES[family] + such
            if family in FAMILIES
            else f"is not valid: {message[0].lower()}{message[1:]}{such and f'; write one{such}'}"
        )
        return self._line(place, f"{shown_value(value)} {why}")

    def _unknown(self, place: KeyPath) -> str:
        fields = _fields(self.model, place)
        near = self._near(place)
        if near and self._at(near[:-1], near[-1]):
            return f"unknown key; {near[-1]} is already set, so remove this line"
        if near:
            return f"unknown key; did you mean {near[-1]}?"
        rest = f"the keys here are {', '.join(fields)}" if len(place) > 1 else "`classroom settings` lists all keys"
        return f"unknown key; remove the line ({rest})"

    def _near(self, place: KeyPath) -> KeyPath | None:
        """Return the valid key that is most like an unknown one."""
        near = difflib.get_close_matches(str(place[-1]), _fields(self.model, place), 1)
        return (*place[:-1], near[0]) if near else None

    def _lacks(self, places: list[KeyPath]) -> str:
        """Return the sentence on several keys that an entry lacks."""
        names = ", ".join(str(place[-1]) for place in places)
        lines = [_line_of(place, flow(example(self.model, place))) for place in places]
        such = f", such as {', '.join(lines)}" if sum(map(len, lines)) <= LONGEST else f", as in {EXAMPLE_FILE}"
        return self._line(places[0][:-1], f"lacks {names}; add {'them' if len(places) > 1 else 'it'}{such}")

    def _such_as(self, place: KeyPath, shown: Any, *, entry: bool = False) -> str:
        """Return how a value may be written; `entry` shows the first entry of a list."""
        if shown is None or shown == []:
            return ""
        line = f"`- {flow(shown[0])}`" if entry else _line_of(place, flow(shown))
        return f", such as {line}" if len(line) <= LONGEST else f", as in {EXAMPLE_FILE}"

    def _line(self, place: KeyPath, text: str, description: str | None = None) -> str:
        """Return a sentence with its key; of several entries, it also says which one it is, counted from 1."""
        parts: list[str] = []
        entries: list[str] = []
        inner: Any = self.values
        for part in place:
            if isinstance(part, int) and parts and not isinstance(inner, list):
                continue  # a single object in place of a list of one
            if isinstance(part, int) and isinstance(inner, list) and len(inner) > 1:
                entries.append(f"entry {part + 1} of {parts[-1]}")
            parts.append(shown if (shown := str(part)) and shown.isprintable() else repr(shown))
            inner = self._step(inner, part)
        more = [one for one in (description, " in ".join(reversed(entries))) if one]
        return f"{'.'.join(parts)}: {text}" + (f" ({'; '.join(more)})" if more else "")

    @staticmethod
    def _step(inner: Any, part: str | int) -> Any:
        if isinstance(inner, list) and isinstance(part, int):
            return inner[part]
        if isinstance(inner, dict) and isinstance(part, str):
            return next((value for key, value in inner.items() if str(key) == part), None)
        return inner if isinstance(part, int) else None

    def _at(self, place: KeyPath, key: str | int) -> bool:
        """Return whether a key is set in the section at a place."""
        inner: Any = self.values
        for part in place:
            inner = self._step(inner, part)
        return isinstance(inner, dict) and key in inner

    @staticmethod
    def _is_shown(value: Any) -> bool:
        """Return whether a value is short enough to be part of an example."""
        return isinstance(value, str) and len(value) <= 60 and value.isprintable() and "`" not in value

    def _faults_with(self, place: KeyPath, value: Any) -> list[Any]:
        """Return the faults at a place if it had another value."""
        values: Any = copy.deepcopy(dict(self.values))
        inner = values
        for part in place[:-1]:
            inner = self._step(inner, part)
        inner[place[-1]] = value
        try:
            self.model.model_validate(values)
        except ValidationError as error:
            return [fault for fault in error.errors() if fault["loc"][: len(place)] == place]
        return []


def _is_secret(field: FieldInfo | None) -> bool:
    return field is not None and holds_secret(field.annotation)


def _line_of(place: KeyPath, text: str) -> str:
    return f"`- {text}`" if isinstance(place[-1], int) else f"`{place[-1]}: {text}`"


def _default(field: FieldInfo) -> str:
    default = field.default
    return f" for the default, {flow(default)}" if isinstance(default, str | int) else ""


def _read_as(value: Any) -> str:
    if isinstance(value, datetime.date):
        return "a date"
    return "true or false" if isinstance(value, bool) else "a number"

"""Edit a stack file, and keep its comments and its layout."""

import copy
import difflib
import io
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml as pyyaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from classroom.common.errors import WrongUseError
from classroom.common.whole_files import write_whole
from classroom.sovereignty.facts import parse_yaml

PREFIX = "classroom:"
CLASSES = f"{PREFIX}classes"
WIDTH = 130
"""Maximum number of characters of a comment's line."""
LAYOUTS = ((2, 4, 2), (2, 2, 0), (4, 6, 4), (4, 4, 2))
"""Usual indentations: of mappings, of sequences, and of the dash within that of a sequence."""


def raise_code_versions(path: Path, name: str, roles: list[str]) -> dict[str, int]:
    """Raise the versions of a class's codes for these roles; return the new versions.

    WrongUseError, and no change, if the file cannot be read or has no such class.
    """
    raised: dict[str, int] = {}

    def change(config: Any) -> None:
        versions = _class(path, config, name).setdefault("code_versions", {})
        for role in roles:
            raised[role] = versions[role] = int(versions.get(role, 1)) + 1

    _edit(path, change)
    return raised


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a stack file, by key without the project's name; empty if there is no such file.

    WrongUseError if the file cannot be read.
    """
    if not path.exists():
        return {}
    try:
        content = parse_yaml(path.read_text(encoding="utf-8")) or {}
        config = content.get("config") or {}
        return {key.removeprefix(PREFIX): _parsed(value) for key, value in config.items() if key.startswith(PREFIX)}
    except (OSError, ValueError, AttributeError, pyyaml.YAMLError) as error:
        raise WrongUseError(
            f"{path.name} cannot be read ({str(error).splitlines()[0]}); correct it, or move it away"
        ) from None


def write_settings(path: Path, changes: Mapping[str, Any], comments: Mapping[str, str]) -> bool:
    """Write the changed settings, by key without the project's name (None removes one); return whether the file changed.

    Every other line stays, also inside of a changed list. `comments` has the comment of each new key, in the order of keys.
    The file is created if it is missing. WrongUseError, and no change, if it cannot be edited.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else "config:\n"
        content = parse_yaml(text) or {}
        wanted = copy.deepcopy(content)
        config = wanted["config"] = dict(wanted.get("config") or {})
        for key, value in changes.items():
            name = PREFIX + key
            if value is None:
                config.pop(name, None)
            elif name not in config or _parsed(config[name]) != value:
                config[name] = value
        if config == (content.get("config") or {}):
            return False
        new = text
        for name in content.get("config") or {}:
            if name not in config:
                new = _without(new, name)
        order = [PREFIX + key for key in comments]
        for name in sorted(config, key=lambda one: order.index(one) if one in order else len(order)):
            if config[name] != (content.get("config") or {}).get(name, object()):
                new = _with(new, name, config[name], order, comments.get(name.removeprefix(PREFIX), ""))
        if parse_yaml(new) != wanted:
            raise ValueError("its layout cannot be kept")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError, pyyaml.YAMLError) as error:
        raise WrongUseError(
            f"{path.name} cannot be edited ({str(error).splitlines()[0]}); write these keys by hand, as in Pulumi.example.yaml:"
            f" {', '.join(PREFIX + key for key in changes)}"
        ) from None
    write_whole(path.resolve(), new)
    return True


def _parsed(value: Any) -> Any:
    """Return a value of a stack file; Pulumi keeps lists and sections as such, or as JSON text."""
    if isinstance(value, str) and value.startswith(("[", "{")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


class _Blocks:
    """The lines of a stack file, and the first and last line of each key below `config`, without the comments before it."""

    def __init__(self, text: str) -> None:
        if not parse_yaml(text):
            text += "config:\n"
        root = _root(text)
        if not any(key.value == "config" for key, _ in root.value):
            text = f"{text.rstrip()}\nconfig:\n"
            root = _root(text)
        self.lines = text.splitlines()
        self.spans: dict[str, tuple[int, int]] = {}
        at, config = next((key, value) for key, value in root.value if key.value == "config")
        self.column, self.start = 2, at.start_mark.line + 1
        if config.tag.endswith(":null") or (isinstance(config, pyyaml.MappingNode) and not config.value):
            self.lines[at.start_mark.line] = "config:"
            return
        if not isinstance(config, pyyaml.MappingNode) or config.flow_style:
            raise ValueError("its key config is not written with one key in each line")
        self.column = config.value[0][0].start_mark.column
        starts = [key.start_mark.line for key, _ in config.value]
        after = [key.start_mark.line for key, _ in root.value if key.start_mark.line > starts[-1]]
        ends = [*starts[1:], after[0] if after else len(self.lines)]
        for (key, _), first, end in zip(config.value, starts, ends, strict=True):
            while end > first + 1 and self._between(self.lines[end - 1]):
                end -= 1
            self.spans[key.value] = (first, end)

    def _between(self, line: str) -> bool:
        """Return whether a line is blank, or a comment in front of the next key."""
        bare = line.lstrip()
        return not bare or (bare.startswith("#") and len(line) - len(bare) <= self.column)

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def _root(text: str) -> pyyaml.MappingNode:
    node = pyyaml.compose(text)
    if not isinstance(node, pyyaml.MappingNode):
        raise ValueError("it has no keys")
    return node


def _without(text: str, name: str) -> str:
    """Return the text without a key and the comment right above it."""
    blocks = _Blocks(text)
    first, end = blocks.spans[name]
    while first > blocks.start and blocks.lines[first - 1].lstrip().startswith("#"):
        first -= 1
    del blocks.lines[first:end]
    return blocks.text()


def _with(text: str, name: str, value: Any, order: Sequence[str], comment: str) -> str:
    """Return the text with a value; a new key follows those that are before it in `order`."""
    blocks = _Blocks(text)
    margin = " " * blocks.column
    if name in blocks.spans:
        first, end = blocks.spans[name]
        old = textwrap.dedent("\n".join(blocks.lines[first:end]) + "\n")
        blocks.lines[first:end] = _indented(_edited(old, name, value), margin)
        return blocks.text()
    before = order[: order.index(name)] if name in order else order
    place = max((blocks.spans[one][1] for one in before if one in blocks.spans), default=blocks.start)
    about = textwrap.wrap(comment, WIDTH - blocks.column - 2)
    new = [f"{margin}# {line}" for line in about] + _indented(_edited("", name, value), margin)
    blocks.lines[place:place] = new
    return blocks.text()


def _indented(text: str, margin: str) -> list[str]:
    return [margin + line if line else line for line in text.splitlines()]


def _edited(old: str, name: str, value: Any) -> str:
    """Return the block of a key with another value; equal parts of it, and their comments, stay."""

    def change(content: Any) -> None:
        content[name] = _merged(content[name], value)

    text = old or f"{name}:\n"
    return _round_trip(text, _layout(old) if old else LAYOUTS[0], change)


def _merged(old: Any, new: Any) -> Any:
    """Return `new` in the form of ruamel; lists and sections that are there already are changed in place."""
    if isinstance(new, Mapping):
        found = old if isinstance(old, CommentedMap) else CommentedMap()
        for key in [key for key in found if key not in new]:
            del found[key]
        for key, value in new.items():
            if key not in found or found[key] != value:
                found[key] = _merged(found.get(key), value)
        return found
    if isinstance(new, Sequence) and not isinstance(new, str):
        items = old if isinstance(old, CommentedSeq) else CommentedSeq()
        if not any(isinstance(one, Mapping | list) for one in new):
            items.fa.set_flow_style()
        _merge_items(items, list(new))
        return items
    return _scalar(new)


def _merge_items(items: CommentedSeq, new: list[Any]) -> None:
    """Change a list in place: items of the same name are edited, others are inserted and removed."""

    def label(item: Any) -> str:
        named = item.get("name") if isinstance(item, Mapping) else None
        return json.dumps(named if named is not None else item, default=str, sort_keys=True)

    matcher = difflib.SequenceMatcher(None, [label(one) for one in items], [label(one) for one in new], autojunk=False)
    for kind, first, last, start, end in reversed(matcher.get_opcodes()):
        if kind == "equal":
            for place, value in zip(range(first, last), new[start:end], strict=True):
                if items[place] != value:
                    items[place] = _merged(items[place], value)
            continue
        for place in reversed(range(first, last)):
            del items[place]
        for offset, value in enumerate(new[start:end]):
            items.insert(first + offset, _merged(None, value))


def _scalar(value: Any) -> Any:
    """Return a value that every reader of YAML, of version 1.1 or 1.2, takes for the same: texts in quotes where one would not."""
    if not isinstance(value, str):
        return value
    if "\n" in value:
        return LiteralScalarString(value)
    try:
        plain = parse_yaml(value) == value
    except pyyaml.YAMLError:
        plain = False
    # Country codes are in quotes everywhere, as NO (Norway) needs them.
    return value if plain and not (len(value) == 2 and value.isupper()) else DoubleQuotedScalarString(value)


def _class(path: Path, config: Any, name: str) -> Any:
    """Return the entry of a class."""
    classes = config.get(CLASSES)
    if not isinstance(classes, list) or not all(isinstance(entry, Mapping) for entry in classes):
        raise WrongUseError(f"{path.name}: {CLASSES}: is not a list of classes; write it as in Pulumi.example.yaml")
    for entry in classes:
        if entry.get("name") == name:
            return entry
    names = ", ".join(f"'{entry.get('name')}'" for entry in classes)
    raise WrongUseError(f"class: '{name}' is not in {path.name}; use one of: {names}")


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    """Apply `change` to the key `config` of a stack file; everything else stays as it is."""
    try:
        text = path.read_text(encoding="utf-8")
        wanted = copy.deepcopy(parse_yaml(text))
        change(wanted["config"])
        new = _round_trip(text, _layout(text), lambda content: change(content["config"]))
        if parse_yaml(new) != wanted:
            raise ValueError("its layout cannot be kept")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError, pyyaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise WrongUseError(
            f"{path.name} cannot be edited ({reason}); raise code_versions by hand, as in Pulumi.example.yaml"
        ) from None
    write_whole(path.resolve(), new)


def _layout(text: str) -> tuple[int, int, int]:
    """Return the first layout that leaves a text unchanged, otherwise the one that leaves the most lines unchanged."""
    before, most, best = set(text.splitlines()), -1, LAYOUTS[0]
    for layout in LAYOUTS:
        after = _round_trip(text, layout, lambda _: None)
        if after == text:
            return layout
        same = len(before & set(after.splitlines()))
        if same > most:
            most, best = same, layout
    return best


def _round_trip(text: str, layout: tuple[int, int, int], change: Callable[[Any], None]) -> str:
    yaml = _yaml(layout, text)
    content = yaml.load(text)
    change(content)
    out = io.StringIO()
    yaml.dump(content, out)
    return out.getvalue()


def _yaml(layout: tuple[int, int, int], text: str) -> YAML:
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, max(len(text), 10_000)
    mapping, sequence, offset = layout
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    return yaml

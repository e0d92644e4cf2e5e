"""Edit a stack file, and keep its comments and its layout."""

import copy
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml as pyyaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from classroom.common.errors import WrongUseError
from classroom.sovereignty.facts import parse_yaml

CLASSES = "classroom:classes"
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
        new = _round_trip(text, _layout(text), change)
        if parse_yaml(new) != wanted:
            raise ValueError("its layout cannot be kept")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError, pyyaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise WrongUseError(
            f"{path.name} cannot be edited ({reason}); raise code_versions by hand, as in Pulumi.example.yaml"
        ) from None
    _replace(path.resolve(), new)


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
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, len(text)
    mapping, sequence, offset = layout
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    content = yaml.load(text)
    change(content["config"])
    out = io.StringIO()
    yaml.dump(content, out)
    return out.getvalue()


def _replace(path: Path, text: str) -> None:
    """Replace a file at once, so that an interruption leaves the old one or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        shutil.copystat(path, temporary)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

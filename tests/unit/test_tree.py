"""The tree itself: one name for one thing, nothing private in use elsewhere, and a folder of tests for each package."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from classroom.common.paths import REPO

PACKAGES = ("classroom", "engine", "portal", "rehearsal")
SHARED_NAMES = {
    "addresses": "the tables of addresses, and the control of that id",
}
"""Module names that are used twice, with the reason."""
OTHER_TESTS = {"planted": "tests/planted"}
"""Folders of unit tests that mirror no package, with what they test."""
TYPE_NAME = re.compile(r"[A-Z]\w*[a-z]\w*")


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (REPO / package).rglob("*.py"))


def shown(path: Path) -> str:
    return str(path.relative_to(REPO))


def type_names(path: Path) -> Iterator[str]:
    """Yield the classes and type aliases of a module, without type variables."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and not ast.unparse(node.value).startswith("TypeVar("):
            yield from (ast.unparse(target) for target in node.targets if TYPE_NAME.fullmatch(ast.unparse(target)))


def test_no_two_classes_have_one_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for name in type_names(path):
            found[name].append(shown(path))
    assert len(found) > 100
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


def test_no_two_modules_have_one_name() -> None:
    """Except those in `cli`, where a file has the name of its command."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        if path.stem not in {"__init__", "__main__"} and path.parent.name != "cli":
            found[path.stem].append(shown(path))
    assert len(found) > 80
    assert {name: where for name, where in found.items() if len(where) > 1 and name not in SHARED_NAMES} == {}
    assert all(len(found[name]) > 1 for name in SHARED_NAMES), "a reason that is needed no more"


def test_nothing_private_is_imported() -> None:
    crossing = [
        f"{shown(path)}:{node.lineno}: {name.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES
        for name in node.names
        if name.name.startswith("_")
    ]
    assert crossing == []


def test_unit_tests_mirror_the_packages() -> None:
    root = REPO / "tests" / "unit"
    packages = {str(path.parent.relative_to(REPO)) for path in modules() if path.name == "__init__.py"}
    wanted = {name.removeprefix("classroom/") for name in packages} - {"classroom"}
    there = {str(path.parent.relative_to(root)) for path in root.rglob("test_*.py")} - {"."}
    there |= {str(parent) for folder in there for parent in Path(folder).parents} - {"."}
    assert wanted - there == set(), "packages without unit tests"
    assert there - wanted == set(OTHER_TESTS), "unit tests in a folder of no package"

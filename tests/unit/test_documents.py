"""The documents: each path and each test that they name exists, and no number is written that the code counts."""

import re
from pathlib import Path

import pytest

from classroom.common.paths import REPO

DOCUMENTS = sorted([*REPO.glob("*.md"), *(REPO / "docs").glob("*.md"), REPO / "rehearsal" / "README.md"])
ROOTS = {path.name for path in REPO.iterdir() if path.is_dir() and not path.name.startswith(".")}
NOT_OURS = {"Pulumi.academy.yaml", "report.html", "planted.json", "clouds.yaml", "Pulumi.rehearsal.yaml"}
"""Files that the documents name, and that users or commands write."""
TEST = re.compile(r"(?P<path>tests/[\w/.-]+\.py)::(?P<name>test_\w+)")
NUMBER = r"(?:\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty)"
COUNTED = re.compile(rf"\b{NUMBER} (?:controls|planted violations|violations|plants)\b", re.I)


def ids(path: Path) -> str:
    return str(path.relative_to(REPO))


def paths_in(text: str) -> set[str]:
    """Return the words in backticks that look like a path of the tree, without `<…>`, NAME and placeholders in capitals."""
    found = set()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for word in re.findall(r"`([^`]+)`", re.sub(r"^(?: {4}|\t).*$", "", prose, flags=re.M)):
        name = word.partition("::")[0].rstrip("/")
        root = name.partition("/")[0]
        if ("/" in name and root in ROOTS) or re.fullmatch(r"[\w.-]+\.(?:md|py|toml|yaml|lock|in)", name):
            found.add(name)
    return found - NOT_OURS


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_path_of_a_document_exists(document: Path) -> None:
    places = (REPO, document.parent)
    missing = []
    for name in sorted(paths_in(document.read_text(encoding="utf-8"))):
        pattern = re.sub(r"<\w+>", "*", name)
        if not any(list(place.glob(pattern)) for place in places):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_link_of_a_document_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = TEST.findall(document.read_text(encoding="utf-8"))
    assert [
        (path, name)
        for path, name in named
        if not re.search(rf"^ *(?:async )?def {name}\(", (REPO / path).read_text(encoding="utf-8"), re.M)
    ] == []


def test_numbers_of_controls_and_violations_are_counted_and_not_written() -> None:
    sources = [
        path
        for folder in ("classroom", "tests", "rehearsal", "docs", "engine")
        for path in (REPO / folder).rglob("*.py")
    ]
    texts = {path: path.read_text(encoding="utf-8") for path in [*DOCUMENTS, *sources]}
    assert {ids(path): COUNTED.findall(text) for path, text in texts.items() if COUNTED.search(text)} == {}

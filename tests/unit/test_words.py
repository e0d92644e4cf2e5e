"""The language of the tree: words with a private meaning are not used; each has a plain word in its place."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from classroom.common.paths import REPO

BANNED = {
    "told": "is reported, is listed, knows",
    "tells": "says, returns, reports",
    "stands": "is, is listed, is located",
    "stood": "was, was listed",
    "nobody": "no one, no account, unknown",
    "stranger": "unknown host, outside address",
    "strangers": "unknown hosts, outside addresses",
    "held": "kept, stored, dropped",
    "way in": "access, credentials, ingress rule",
    "ways in": "access, credentials, ingress rules",
    "way out": "egress, egress rule",
    "ways out": "egress, egress rules",
    "way into": "access, credentials",
    "out there": "outside, on the network",
    "will not do": "is not allowed, must be …",
    "is none of": "is not one of",
    "if it is none": "if it is not a …",
    "in its stead": "instead of it",
    "shall": "must",
}
"""Words that say nothing to a newcomer, with plain ones. Identifiers count: `held_seconds` has the word `held`."""


class Allowed(NamedTuple):
    """Lines in which a banned word is right: the path and the line as patterns, and the reason."""

    path: str
    line: str
    why: str


ALLOWED = (
    Allowed(r"tests/unit/test_words\.py", "", "the list itself"),
    Allowed(r"LICENSE", "", "a quoted text"),
    Allowed(r".*\.py", r"""["'=]nobody\b|\bsu -s /bin/sh nobody\b""", "the Unix account of that name"),
    Allowed(
        r"classroom/sovereignty/data/.*|docs/catalogue\.md",
        r"\b(?:has|[a-zA-Z]+) held (?:the majority|\d)",
        "held shares",
    ),
    Allowed(r".*", r"\bheld_seconds\b", "a key of JSON outputs"),
    Allowed(r".*\.py", r"\bfor \w+, way in\b", "the loop variable of OpenAPI paths"),
)
NOT_TEXT = {".lock", ".sum", ".mod", ".csv", ".svg"}
PINS = {"package-lock.json"}


def pattern(words: str) -> re.Pattern[str]:
    """Return the pattern of a banned word in prose and in identifiers; several words may be joined by `_` or `-`."""
    return re.compile(rf"(?<![a-z]){words.replace(' ', '[ _-]')}(?![a-z])", re.IGNORECASE)


PATTERNS = {words: pattern(words) for words in BANNED}


def found_in(path: str, text: str) -> Iterator[str]:
    """Yield one message for each banned word that is not allowed in its line."""
    for number, line in enumerate(text.splitlines(), 1):
        for words, banned in PATTERNS.items():
            if banned.search(line) and not any(
                re.fullmatch(one.path, path) and re.search(one.line, line) for one in ALLOWED
            ):
                yield f"{path}:{number}: '{words}': write plainly, such as: {BANNED[words]}"


def files() -> list[str]:
    """Return the text files of the repository, new ones that are not ignored included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    paths = [name for name in listed if Path(name).suffix not in NOT_TEXT and Path(name).name not in PINS]
    return [name for name in paths if (REPO / name).is_file()]


def test_no_file_has_a_banned_word() -> None:
    names = files()
    assert {"README.md", "ansible/site.yml", "classroom/cli/app.py", "portal/service.py", "web/src/App.tsx"} <= set(
        names
    )
    assert [fault for name in names for fault in found_in(name, (REPO / name).read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("words", BANNED)
@pytest.mark.parametrize("path", ["docs/operations.md", "classroom/cli/app.py", "ansible/site.yml", "templates/a.j2"])
def test_a_banned_word_is_found(path: str, words: str) -> None:
    joined = words.replace(" ", "_")
    text = (
        f"first line\n# It is {words} here.\n{words.capitalize()} first.\ndef is_{joined}_x(): {joined.upper()} = 1\n"
    )
    assert [fault.partition(":")[2].partition(":")[0] for fault in found_in(path, text) if f"'{words}'" in fault] == [
        "2",
        "3",
        "4",
    ]


def test_parts_of_other_words_are_not_banned() -> None:
    assert list(found_in("README.md", "understands withstands upheld shallow marshall fortold way inside\n")) == []


@pytest.mark.parametrize("one", ALLOWED, ids=lambda one: one.why)
def test_every_exception_is_needed(one: Allowed) -> None:
    """An exception whose lines are gone would hide the next wrong word."""
    lines = (
        line
        for name in files()
        if re.fullmatch(one.path, name)
        for line in (REPO / name).read_text(encoding="utf-8").splitlines()
    )
    assert any(re.search(one.line, line) and any(p.search(line) for p in PATTERNS.values()) for line in lines)

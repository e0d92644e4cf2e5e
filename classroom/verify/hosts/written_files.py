"""What a running Debian writes: the rules in `written_files.yaml`, and whether a file follows one."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from classroom.verify.hosts.host_survey import Survey, SurveyedFile

RULES = Path(__file__).with_name("written_files.yaml")


class WrittenRule(NamedTuple):
    """One line: a pattern of paths, owner, group, kinds with modes, and the reason."""

    pattern: str
    owner: str
    group: str
    modes: frozenset[str]
    reason: str

    def fits(self, path: str) -> bool:
        """Whether the pattern is that of a path."""
        return bool(_regex(self.pattern).fullmatch(path))

    def fault(self, file: SurveyedFile, survey: Survey) -> str:
        """Return how a file differs from the rule; empty if it does not."""
        owner, group = survey.owner(file)
        named = re.match(r"^/home/([^/]+)", file.path)
        wanted = (self.owner, self.group)
        if self.owner == "home":
            wanted = (named.group(1), named.group(1)) if named else ("?", "?")
        if self.owner == "login":
            wanted = (owner, group)
        shown = f"{file.kind}{file.mode:04o}"
        if (owner, group) == wanted and shown in self.modes:
            return ""
        return f"Debian writes it with {wanted[0]}:{wanted[1]} {' or '.join(sorted(self.modes))}"


@functools.cache
def _regex(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern: `*` is a part of a name, `**` any path below, `{a,b}` one of both."""
    words = {"**": ".+", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in re.split(r"(\*\*|[*{},])", pattern)))


@dataclass(frozen=True)
class WrittenRules:
    """The rules: what Debian writes, copies of packaged files, digests, units of the image, rights, and what may be missing."""

    rows: tuple[WrittenRule, ...]
    copies: Mapping[str, str]
    digests: Mapping[str, frozenset[str]]
    enabled: frozenset[str]
    capabilities: Mapping[str, str]
    modes: Mapping[str, tuple[str, str, int]]
    removed: frozenset[str]
    emptied: tuple[str, ...]
    links: Mapping[str, str]
    mounts: Mapping[str, tuple[str, ...]]
    accounts: Mapping[str, str]
    groups: frozenset[str]
    programs: Mapping[str, tuple[str, ...]]

    def written(self, path: str, file: SurveyedFile, survey: Survey) -> bool:
        """Whether a running Debian writes a file like this one."""
        return any(row.fits(path) and not row.fault(file, survey) for row in self.rows)

    def nearly(self, path: str, file: SurveyedFile, survey: Survey) -> str:
        """Return how a file differs from the rule for its path; empty if there is none."""
        return next((row.fault(file, survey) for row in self.rows if row.fits(path)), "")

    def source_of(self, path: str) -> str | None:
        """Return the packaged file of which a file is a copy."""
        found = self.copies.get(path)
        home = re.fullmatch(r"/home/[^/]+/(\.[^/]+)", path)
        return found or (self.copies.get(f"/home/*/{home.group(1)}") if home else None)

    def linked(self, file: SurveyedFile) -> bool:
        """Whether a file is a link that every Debian has, also in place of a package's folder."""
        return file.kind == "l" and self.links.get(file.path) == file.content

    def mount(self, place: str, kind: str) -> bool:
        """Whether a mount of this kind is expected at a place."""
        return any(_regex(pattern).fullmatch(place) and kind in kinds for pattern, kinds in self.mounts.items())

    def trimmed(self, path: str) -> bool:
        """Whether an image may leave a file out."""
        return any(_regex(pattern).fullmatch(path) for pattern in self.removed)


@functools.cache
def load_rules() -> WrittenRules:
    """Return the rules."""
    data = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    rows = []
    for pattern, owner, modes, reason in data["written"]:
        name, _, group = owner.partition(":")
        rows.append(WrittenRule(pattern, name, group or name, frozenset(modes.split()), reason))
    return WrittenRules(
        rows=tuple(rows),
        copies=data["copies"],
        digests={path: frozenset(digests) for path, digests in data["digests"].items()},
        enabled=frozenset(data["enabled"]),
        capabilities=data["capabilities"],
        modes={
            path: (words.split()[0], words.split()[1], int(words.split()[2], 8))
            for path, words in data["modes"].items()
        },
        removed=frozenset(data["removed"]),
        emptied=tuple(data["emptied"]),
        links=data["links"],
        mounts={place: tuple(kinds.split()) for place, kinds in data["mounts"].items()},
        accounts=data["accounts"],
        groups=frozenset(data["groups"]),
        programs={unit: tuple(words.split()) for unit, words in data["programs"].items()},
    )

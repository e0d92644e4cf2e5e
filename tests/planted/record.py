"""Results of the planted violations: the comparison over all controls, the table, and `planted.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True)
class Row:
    """Result of one planted violation: expected controls, controls that detected it, whether all passed after its removal."""

    violation: str
    expected: frozenset[str]
    caught: frozenset[str]
    clean_after: bool

    @property
    def good(self) -> bool:
        """Return whether exactly the expected controls failed, at least one, and all passed after the removal."""
        return bool(self.expected) and self.expected == self.caught and self.clean_after

    def as_json(self) -> dict[str, object]:
        """Return the row in the format of `planted.json`."""
        return {
            "plant": self.violation,
            "expected": sorted(self.expected),
            "caught": sorted(self.caught),
            "clean_after": self.clean_after,
        }


def not_passed(states: Mapping[str, str]) -> frozenset[str]:
    """Return the controls that did not pass, including those not proven."""
    return frozenset(name for name, state in states.items() if state != "passed")


def updated(before: Mapping[str, str], collected: Mapping[str, str], wanted: frozenset[str]) -> dict[str, str]:
    """Return the states of all controls after a new run of those in `wanted`; ValueError unless exactly these were collected."""
    if difference := collected.keys() ^ wanted:
        raise ValueError(f"controls collected and wanted differ: {', '.join(sorted(difference))}")
    if unknown := collected.keys() - before.keys():
        raise ValueError(f"unknown control: {', '.join(sorted(unknown))}")
    return {**before, **collected}


def per_cent(rows: Sequence[Row]) -> float:
    """Return the percentage of good rows; 0 without rows."""
    return 100 * sum(row.good for row in rows) / len(rows) if rows else 0.0


def table(rows: Sequence[Row], applied: Mapping[str, str]) -> Table:
    """Return the rows as a table; `applied` maps each violation to where it was injected."""
    found = Table(
        "violation",
        "injected in",
        "expected",
        "detected",
        "clean after",
        title=f"planted violations: {per_cent(rows):.0f} % detected",
    )
    for row in rows:
        style = None if row.good else "bold red"
        found.add_row(
            row.violation,
            applied.get(row.violation, ""),
            ", ".join(sorted(row.expected)),
            ", ".join(sorted(row.caught)) or "none",
            "yes" if row.clean_after else "no",
            style=style,
        )
    return found


def write(rows: Sequence[Row], path: Path) -> None:
    """Write `planted.json` atomically."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps([row.as_json() for row in rows], indent=1, ensure_ascii=False) + "\n")
    scratch.rename(path)

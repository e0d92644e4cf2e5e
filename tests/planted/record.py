"""What planted violations came to: the comparison over all controls, the table, and `planted.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One plant: the controls that it had to turn red, those that it did, and whether all were green afterwards."""

    plant: str
    expected: frozenset[str]
    caught: frozenset[str]
    clean_after: bool

    @property
    def good(self) -> bool:
        """Whether exactly the expected controls turned red, one at least, and none stayed so."""
        return bool(self.expected) and self.expected == self.caught and self.clean_after

    def as_json(self) -> dict[str, object]:
        """Return the row as it stands in `planted.json`."""
        return {
            "plant": self.plant,
            "expected": sorted(self.expected),
            "caught": sorted(self.caught),
            "clean_after": self.clean_after,
        }


def red(states: Mapping[str, str]) -> frozenset[str]:
    """Return the controls that are not green: what is not proven counts as red."""
    return frozenset(name for name, state in states.items() if state != "passed")


def renewed(before: Mapping[str, str], collected: Mapping[str, str], wanted: frozenset[str]) -> dict[str, str]:
    """Return the states of all controls once those of `wanted` were collected again; ValueError if others came, or too few."""
    if strange := collected.keys() ^ wanted:
        raise ValueError(f"collected again were not the wanted controls: {', '.join(sorted(strange))}")
    if unknown := collected.keys() - before.keys():
        raise ValueError(f"there is no control {', '.join(sorted(unknown))}")
    return {**before, **collected}


def per_cent(rows: Sequence[Row]) -> float:
    """Return the share of good rows; none of none is no success."""
    return 100 * sum(row.good for row in rows) / len(rows) if rows else 0.0


def table(rows: Sequence[Row], applied: Mapping[str, str]) -> Table:
    """Return the rows as a table; `applied` tells where each plant was put."""
    found = Table(
        "plant", "applied to", "expected", "caught", "clean after", title=f"planted: {per_cent(rows):.0f} % caught"
    )
    for row in rows:
        style = None if row.good else "bold red"
        found.add_row(
            row.plant,
            applied.get(row.plant, ""),
            ", ".join(sorted(row.expected)),
            ", ".join(sorted(row.caught)) or "none",
            "yes" if row.clean_after else "no",
            style=style,
        )
    return found


def write(rows: Sequence[Row], path: Path) -> None:
    """Write `planted.json`, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps([row.as_json() for row in rows], indent=1, ensure_ascii=False) + "\n")
    scratch.rename(path)

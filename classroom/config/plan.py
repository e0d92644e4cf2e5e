"""Derive the machines of a classroom from its settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from classroom.config.ports import Group


@dataclass(frozen=True)
class Plan:
    """A planned machine: its name in the inventory, its groups in the port table, and its flavour."""

    name: str
    groups: Sequence[Group]
    flavor: str


def plans_for(shape: str, media_count: int, flavor_front: str, flavor_media: str | None) -> list[Plan]:
    """Return the planned machines of a classroom of this shape."""
    if shape == "single":
        return [Plan("class", ("front", "media"), flavor_front)]
    media = [Plan(f"media{n}", ("media",), flavor_media or flavor_front) for n in range(1, media_count + 1)]
    return [Plan("front", ("front",), flavor_front), *media]

"""The machines that a classroom consists of, by its settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from classroom.config.ports import Group


@dataclass(frozen=True)
class Plan:
    """A machine to be: its name in the inventory, the groups of the port table it belongs to, and its flavour."""

    name: str
    groups: Sequence[Group]
    flavor: str


def plans_for(shape: str, media_count: int, flavor_front: str, flavor_media: str | None) -> list[Plan]:
    """Return the machines that a classroom of this shape consists of."""
    if shape == "single":
        return [Plan("class", ("front", "media"), flavor_front)]
    media = [Plan(f"media{n}", ("media",), flavor_media or flavor_front) for n in range(1, media_count + 1)]
    return [Plan("front", ("front",), flavor_front), *media]

"""Derive from the expected number of people which shape and how large machines a classroom needs."""

import math
from dataclasses import dataclass

from classroom.config.ports import Shape

PEOPLE_PER_PROCESSOR = 30
"""Half of what one processor carries: 30 viewers of one 720p camera take half a processor of the media server, through a virtual
network and with the host's firewall."""
PEOPLE_PER_MACHINE = 240
"""More people get media machines of their own, as a resize of one large machine would end all classes at once."""
MEDIA_MACHINES = 9
"""Maximum of `media_count`."""
LEAST_PROCESSORS, LEAST_MIB = 2, 2048
"""What every machine needs for its system and services."""
MIB_PER_PERSON = 8
"""Memory of the media server and its relay for each person, twice what was measured with 180."""


@dataclass(frozen=True)
class Need:
    """Processors and memory (MiB) that a machine needs, and why."""

    processors: int
    memory: int
    why: str


def shape_for(people: int) -> tuple[Shape, int]:
    """Return the shape and the number of media machines for this many people at the same time."""
    if people <= PEOPLE_PER_MACHINE:
        return "single", 1
    return "split", min(MEDIA_MACHINES, math.ceil(people / PEOPLE_PER_MACHINE))


def front_need(shape: Shape, people: int) -> Need:
    """Return what the front needs; in shape single it is the media machine, too."""
    if shape == "single":
        return media_need(people, 1)
    return Need(LEAST_PROCESSORS, LEAST_MIB, "the front serves the page and forwards no audio and video")


def media_need(people: int, media_count: int) -> Need:
    """Return what each media machine needs for its part of the people."""
    part = math.ceil(people / media_count)
    processors = max(LEAST_PROCESSORS, math.ceil(part / PEOPLE_PER_PROCESSOR))
    memory = LEAST_MIB + (part * MIB_PER_PERSON if part > PEOPLE_PER_PROCESSOR else 0)
    why = (
        f"{part} people at the same time, one processor for {PEOPLE_PER_PROCESSOR} of them, {LEAST_PROCESSORS} at least"
    )
    return Need(processors, memory, why)

"""What two people in a class see and hear of each other, and whether that is enough."""

from dataclasses import dataclass, field
from typing import Any

from classroom.verify.browsers.browser import Participant
from classroom.verify.browsers.media_signal import judge

SHORT, ENOUGH_SHORT = 6, 4
"""Seconds of a short watch, and in how many of them picture and sound have to arrive."""


@dataclass
class Pair:
    """What a teacher and a pupil saw, heard and did: `seen` is each one's reading of the other, by the reader's name.

    `done` tells of each thing that they did what was wrong with it, and nothing if it went well.
    """

    teacher: Participant
    pupil: Participant
    first_frame: dict[str, float | None]
    seen: dict[str, list[dict[str, Any]]]
    camera_off: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


def both_ways(pair: Pair, seconds: int, enough: int) -> None:
    """Assert that each of the pair saw and heard the other in `enough` of `seconds`."""
    for reader, sender in ((pair.teacher, pair.pupil), (pair.pupil, pair.teacher)):
        assert pair.first_frame[reader.name], (
            f"{reader.name} saw no picture within 40 s; its page said {reader.console}"
        )
        seen = pair.seen[reader.name]
        assert len(seen) == seconds
        pictures, tones = judge(seen, sender.name, sender.sender)
        about = [second.get(sender.name) for second in seen]
        assert pictures >= enough, f"the picture of {sender.name} was read in {pictures} of {seconds} s: {about}"
        assert tones >= enough, f"the tone of {sender.name} was heard in {tones} of {seconds} s: {about}"

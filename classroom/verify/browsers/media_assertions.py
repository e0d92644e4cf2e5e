"""Assertions on the video and audio that two participants receive from each other."""

from dataclasses import dataclass, field
from typing import Any

from classroom.verify.browsers.browser import Participant
from classroom.verify.browsers.media_signal import judge

SHORT, ENOUGH_SHORT = 6, 4
"""Duration of a short measurement in seconds, and in how many of them video and audio must arrive."""


@dataclass
class Pair:
    """Measurements of a teacher and a pupil: `seen` maps each receiver's name to the results of `reader.js`, one a second.

    `done` maps each action to its fault, or to an empty string if it succeeded.
    """

    teacher: Participant
    pupil: Participant
    first_frame: dict[str, float | None]
    seen: dict[str, list[dict[str, Any]]]
    camera_off: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


def assert_both_receive(pair: Pair, seconds: int, enough: int) -> None:
    """Assert that each participant received video and audio of the other in `enough` of `seconds`."""
    for reader, sender in ((pair.teacher, pair.pupil), (pair.pupil, pair.teacher)):
        assert pair.first_frame[reader.name], f"{reader.name} received no video within 40 s; console: {reader.console}"
        seen = pair.seen[reader.name]
        assert len(seen) == seconds
        pictures, tones = judge(seen, sender.name, sender.sender)
        about = [second.get(sender.name) for second in seen]
        assert pictures >= enough, f"video of {sender.name} arrived in {pictures} of {seconds} s: {about}"
        assert tones >= enough, f"audio of {sender.name} arrived in {tones} of {seconds} s: {about}"

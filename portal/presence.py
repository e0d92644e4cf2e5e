"""Follow whether a teacher is in the room, and since when not."""

from typing import Literal

from portal.times import Times

PresenceState = Literal["awaited", "open", "paused"]
"""`awaited`: no teacher has come yet. `open`: one is there, or left only seconds ago. `paused`: they have been away longer."""


class Presence:
    """The teacher's presence in one open class; time is passed in, in seconds of one clock."""

    def __init__(self, times: Times, now: float, state: PresenceState = "awaited") -> None:
        self.state: PresenceState = state
        self._times, self._absent_since = times, now
        self._there = False

    def see(self, teacher: bool, now: float) -> None:
        """Note whether a teacher is among the participants.

        Time counts as absence only from the moment at which the absence was seen: while the media server does not
        answer, nothing is known.
        """
        if teacher:
            self._there, self.state = True, "open"
            return
        if self._there:
            self._there, self._absent_since = False, now
        if self.state == "open" and now - self._absent_since >= self._times.pause:
            self.state = "paused"

    def is_over(self, now: float) -> bool:
        """Return whether the class has been without a teacher for so long that it ends."""
        return not self._there and now - self._absent_since >= self._times.end

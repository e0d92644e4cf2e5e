"""Durations of a class, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """The service always runs with these values; tests start it with shorter ones."""

    poll: float = 1.0
    """Between two looks at the participants of an open class."""
    poll_opening: float = 0.25
    """The same, until the teacher who opens the class is connected."""
    pause: float = 20.0
    """From the teacher's departure until the class is paused."""
    end: float = 600.0
    """From the teacher's departure until the class ends."""
    recover: float = 15.0
    """After a restart of the service, the wait for a teacher's page to hand back what it keeps for the service."""
    grace: float = 30.0
    """How long a person without any connection keeps their place, or stays on the waiting list."""
    hello: float = 5.0
    """From the opening of a WebSocket until its first frame."""
    coalesce: float = 0.5
    """Least time between two waiting lists."""

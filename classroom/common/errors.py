"""Errors that end a command with one clear sentence and a fixed exit status."""


class ClassroomError(Exception):
    """A failure; exit status 1. The message is one sentence that names the subject, its value and the fix."""

    status = 1


class WrongUseError(ClassroomError):
    """Invalid command line or settings; exit status 2."""

    status = 2


class RefusedError(ClassroomError):
    """The policy refuses the request; exit status 3."""

    status = 3


class UnknownError(ClassroomError):
    """The answer cannot be determined or proven on this machine; exit status 4."""

    status = 4

"""Errors that end a command with one clear sentence and a fixed exit status."""


class ClassroomError(Exception):
    """Something failed. The message is one sentence that names the thing, its value and the fix; status 1."""

    status = 1


class WrongUseError(ClassroomError):
    """The command or its settings were used wrongly; status 2."""

    status = 2


class RefusedError(ClassroomError):
    """Policy refuses what was asked; status 3."""

    status = 3


class UnknownError(ClassroomError):
    """It cannot be known or proven here; status 4."""

    status = 4

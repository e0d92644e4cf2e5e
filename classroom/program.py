"""What runs only inside Pulumi's program: its configuration as settings, and errors as one sentence."""

import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import pulumi
from pulumi.runtime.config import CONFIG

from classroom.errors import ClassroomError
from classroom.settings import Settings, load

Result = TypeVar("Result")
STRUCTURED = {"admins", "ssh_from", "classes"}
NUMBERS = {"media_count"}


def settings() -> Settings:
    """Return the stack's settings; ends the program with one sentence for each fault."""
    return checked(load, raw_settings())


def raw_settings() -> dict[str, Any]:
    """Return the stack's configuration as it stands, structured values parsed."""
    prefix = f"{pulumi.get_project()}:"
    found: dict[str, Any] = {}
    for key, text in CONFIG.get().items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix)
        found[name] = text
        if name in STRUCTURED or (name in NUMBERS and text.lstrip("-").isdigit()):
            try:
                found[name] = json.loads(text)
            except ValueError:
                continue  # the settings' own check names what is wrong with it
    return found


def checked(step: Callable[..., Result], *values: Any) -> Result:
    """Return `step(*values)`; a ClassroomError ends the program with its sentences and no traceback."""
    try:
        return step(*values)
    except ClassroomError as error:
        _end(error)


def _end(error: ClassroomError) -> NoReturn:
    for sentence in str(error).splitlines():
        pulumi.log.error(f"{sentence} (status {error.status})")
    raise pulumi.RunError(str(error))

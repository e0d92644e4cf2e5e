"""What runs only inside Pulumi's program: its configuration as settings, and errors as one sentence."""

import gc
import json
import os
import re
import signal
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import pulumi
from pulumi.runtime.config import CONFIG

from classroom.clients.pulumi_backend import stack_file
from classroom.common.errors import ClassroomError
from classroom.config.settings import STRUCTURED, Settings, load
from classroom.provision.gate import check_plan
from classroom.provision.preflight import Findings, check

Result = TypeVar("Result")
ENGINE_DATE = re.compile(r'"(\d{4}-\d\d-\d\d) 00:00:00 \+0000 UTC"')
"""How the engine hands over a date that stands in the stack's file without quotes."""
NUMBERS = {name for name, field in Settings.model_fields.items() if field.annotation is int}


def settings() -> Settings:
    """Return the stack's settings; ends the program with one sentence for each fault."""
    quiet()
    # The SDK tells the engine three times of each resource, and waits each time: a twentieth of an `up` without change.
    pulumi.log.debug = lambda *_, **__: None
    gc.freeze()  # what was imported stays until the end, and need not be looked through for garbage
    return checked(load, raw_settings())


def quiet() -> None:
    """End without a traceback when the engine interrupts the program: it would bury the message of what failed."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))


def gate(settings: Settings) -> None:
    """End the program with status 3 in its message if the policy refuses what is known without asking anyone."""
    for sentence in checked(check_plan, settings, checked(stack_file, pulumi.get_stack())):
        pulumi.log.warn(sentence)


def findings(settings: Settings) -> Findings:
    """Return what the preflight finds for this stack; ends the program with one sentence for each thing in the way."""
    found = checked(check, settings, pulumi.get_stack())
    for sentence in found.advice:
        pulumi.log.warn(sentence)
    return found


def raw_settings() -> dict[str, Any]:
    """Return the stack's configuration as it stands, structured values and numbers parsed."""
    prefix = f"{pulumi.get_project()}:"
    found: dict[str, Any] = {}
    for key, text in CONFIG.get().items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix)
        found[name] = text
        if name in STRUCTURED or (name in NUMBERS and text.lstrip("-").isdigit()):
            try:
                found[name] = json.loads(ENGINE_DATE.sub(r'"\1"', text))
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
    raise pulumi.RunError(str(error))

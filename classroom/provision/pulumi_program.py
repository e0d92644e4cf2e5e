"""Run the checks inside the Pulumi program: read its configuration as settings, report errors without a traceback."""

import gc
import json
import os
import re
import signal
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from classroom.clients.pulumi_backend import stack_file
from classroom.common.errors import ClassroomError, WrongUseError
from classroom.config import valid_names
from classroom.config.settings import SECRETS, STRUCTURED, Settings, load, set_command
from classroom.provision.gate import check_plan
from classroom.provision.preflight import Findings, check

Result = TypeVar("Result")
ENGINE_DATE = re.compile(r'"(\d{4}-\d\d-\d\d) 00:00:00 \+0000 UTC"')
"""How the engine passes a date that is not quoted in the stack file."""
NUMBERS = {name for name, field in Settings.model_fields.items() if field.annotation is int}


def settings() -> Settings:
    """Return the stack's settings; end the program with one line for each fault."""
    quiet()
    # The SDK logs three debug messages for each resource and waits for the engine: 5 % of an `up` without changes.
    pulumi.log.debug = lambda *_, **__: None
    gc.freeze()  # imported modules are never garbage, so exclude them from collection
    values = raw_settings()
    checked(valid_names.stack, pulumi.get_stack())
    checked(refuse_secrets_in_clear, values, pulumi.get_stack())
    return checked(load, values)


def refuse_secrets_in_clear(values: Mapping[str, Any], stack: str) -> None:
    """Raise WrongUseError if the stack file contains a secret that is not encrypted, with the command that encrypts it."""
    faults = [
        f"{name}: is in the stack file in clear; store it as a secret with"
        f" {set_command(name).replace('--secret', f'--stack {stack} --secret')}, and use a new one if others can read the file"
        for name in sorted(SECRETS & values.keys())
        if not is_config_secret(f"{pulumi.get_project()}:{name}")
    ]
    if faults:
        raise WrongUseError("\n".join(faults))


def quiet() -> None:
    """Exit without a traceback when the engine interrupts the program, so that the message of the failure stays visible."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))


def gate(settings: Settings) -> None:
    """Check the policy without any request; end the program if it refuses the plan, log exceptions as warnings."""
    for sentence in checked(check_plan, settings, checked(stack_file, pulumi.get_stack())):
        pulumi.log.warn(sentence)


def findings(settings: Settings) -> Findings:
    """Return the findings of the preflight; end the program with one line for each fault, log advice as warnings."""
    found = checked(check, settings, pulumi.get_stack())
    for sentence in found.advice:
        pulumi.log.warn(sentence)
    return found


def raw_settings() -> dict[str, Any]:
    """Return the stack's configuration by key without the project name; structured values and numbers are parsed."""
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
                continue  # validation of the settings reports the fault
    return found


def checked(step: Callable[..., Result], *values: Any) -> Result:
    """Return `step(*values)`; a ClassroomError ends the program with its message and without a traceback."""
    try:
        return step(*values)
    except ClassroomError as error:
        _end(error)


def _end(error: ClassroomError) -> NoReturn:
    raise pulumi.RunError(str(error))

"""Read the sovereignty settings of a deployment, either from its stack file (current) or its inventory (as of `pulumi up`)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.config.advice import OnlyWith
from classroom.config.image_files import ImageFile
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import MAX_AGE_MONTHS, MAX_STATEMENT_MONTHS, Ages, Record, first_error
from classroom.sovereignty.policy import DeclaredCloud, DeclaredOperator, Policy, PolicyException
from classroom.sovereignty.verdict import Declared, Overlay, public, stack_config

OneOrMore = BeforeValidator(lambda value: [value] if isinstance(value, dict) else value)
"""Accepts a single object in place of a list of one."""

REHEARSAL_ONLY = OnlyWith("rehearsal", True, " in a rehearsal's stack")


class Declarations(Record):
    """The settings that the sovereignty checks use; the same keys as in the stack file."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    cloud: str | None = Field(
        default=None, description="Entry of clouds.yaml; if not set, the OS_* variables are used."
    )
    region: str = Field(default="", description="The cloud's region; empty if unknown.")
    policy: Policy = Policy()
    exceptions: tuple[PolicyException, ...] = ()
    declared_cloud: Annotated[tuple[DeclaredCloud, ...], OneOrMore] = ()
    declared_operators: tuple[DeclaredOperator, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    image_files: tuple[ImageFile, ...] = ()
    facts_max_age_months: int = MAX_AGE_MONTHS
    statements_max_age_months: int = MAX_STATEMENT_MONTHS
    rehearsal: bool = False
    overlay: Annotated[tuple[Overlay, ...], OneOrMore] = ()

    @property
    def ages(self) -> Ages:
        """How old facts and statements may be."""
        return Ages(self.facts_max_age_months, self.statements_max_age_months)

    @property
    def declared(self) -> Declared:
        """The declarations that the verdict on addresses takes into account."""
        return Declared(clouds=self.declared_cloud, overlays=self.overlay, rehearsal=self.rehearsal)


VARIABLE = "classroom_sovereignty"
"""The inventory variable with these settings."""


def of_values(values: Mapping[str, Any], where: str) -> Declarations:
    """Return the declarations in settings, by key; WrongUseError names `where` and the key if one is invalid."""
    try:
        found = Declarations.model_validate(values)
    except ValidationError as error:
        raise WrongUseError(first_error(where, error)) from None
    for cloud in found.declared_cloud:
        cloud.check(public)
    if found.overlay and not found.rehearsal:
        raise WrongUseError(f"{where}: {REHEARSAL_ONLY.sentence('overlay')}")
    return found


def of_stack(stack: str, folder: Path = REPO) -> Declarations:
    """Return the declarations in Pulumi.<stack>.yaml; WrongUseError names file and key if it is unreadable or invalid."""
    path, config = stack_config(stack, folder)
    values: dict[str, Any] = {}
    for name, field in Declarations.model_fields.items():
        value = config.get(f"classroom:{name}")
        if isinstance(value, str) and field.annotation not in (str, str | None):
            try:
                value = json.loads(value)  # Pulumi keeps objects as such or as JSON text
            except ValueError:
                raise WrongUseError(
                    f"{path.name}: classroom:{name}: must be an object; write it as in Pulumi.example.yaml"
                ) from None
        if value is not None:
            values[name] = value
    return of_values(values, path.name)


def of_inventory(variables: Mapping[str, Any]) -> Declarations:
    """Return the declarations in an inventory's variables; the defaults if an older version wrote the inventory."""
    return of_values(variables.get(VARIABLE) or {}, "inventory")


def variable(settings: Any) -> dict[str, Any]:
    """Return the value of the inventory variable for a stack's settings."""
    found: dict[str, Any] = settings.model_dump(mode="json", include=set(Declarations.model_fields))
    return found

"""What a deployment declares about itself: from its stack file as it is now, or from its inventory as it was at `pulumi up`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import MAX_AGE_MONTHS, Record, first_error
from classroom.sovereignty.policy import DeclaredCloud, DeclaredOperator, Policy, PolicyException
from classroom.sovereignty.verdict import Declared, Overlay, public, stack_config

OneOrMore = BeforeValidator(lambda value: [value] if isinstance(value, dict) else value)
"""Lets a single one stand without the dash of a list."""


class Declarations(Record):
    """The settings that sovereignty is judged by; the same keys as in the stack file."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    cloud: str | None = Field(default=None, description="Entry of clouds.yaml; without it the OS_* variables decide.")
    region: str = Field(default="", description="The cloud's region; empty if it is not told.")
    policy: Policy = Policy()
    exceptions: tuple[PolicyException, ...] = ()
    declared_cloud: Annotated[tuple[DeclaredCloud, ...], OneOrMore] = ()
    declared_operators: tuple[DeclaredOperator, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    facts_max_age_months: int = MAX_AGE_MONTHS
    rehearsal: bool = False
    overlay: Annotated[tuple[Overlay, ...], OneOrMore] = ()

    @property
    def declared(self) -> Declared:
        """What the verdict engine is told about addresses."""
        return Declared(clouds=self.declared_cloud, overlays=self.overlay, rehearsal=self.rehearsal)


VARIABLE = "classroom_sovereignty"
"""Name under which the inventory holds them."""


def _checked(values: Mapping[str, Any], where: str) -> Declarations:
    try:
        found = Declarations.model_validate(values)
    except ValidationError as error:
        raise WrongUseError(first_error(where, error)) from None
    for cloud in found.declared_cloud:
        cloud.check(public)
    if found.overlay and not found.rehearsal:
        raise WrongUseError(
            f"{where}: overlay: only a rehearsal may label addresses; remove it, or set rehearsal: true in a stack that is one"
        )
    return found


def of_stack(stack: str, folder: Path = REPO) -> Declarations:
    """Return what Pulumi.<stack>.yaml declares; WrongUseError naming file and key if it cannot be read or is faulty."""
    path, config = stack_config(stack, folder)
    values: dict[str, Any] = {}
    for name, field in Declarations.model_fields.items():
        value = config.get(f"classroom:{name}")
        if isinstance(value, str) and field.annotation not in (str, str | None):
            try:
                value = json.loads(value)  # Pulumi keeps objects as such or as JSON text
            except ValueError:
                raise WrongUseError(
                    f"{path.name}: classroom:{name}: this is no object; write it as in the example stack file"
                ) from None
        if value is not None:
            values[name] = value
    return _checked(values, path.name)


def of_inventory(variables: Mapping[str, Any]) -> Declarations:
    """Return what an inventory's variables declare; nothing beyond the default policy if they are of an older version."""
    return _checked(variables.get(VARIABLE) or {}, "inventory")


def variable(settings: Any) -> dict[str, Any]:
    """Return the inventory's variable, made of a stack's settings."""
    found: dict[str, Any] = settings.model_dump(mode="json", include=set(Declarations.model_fields))
    return found

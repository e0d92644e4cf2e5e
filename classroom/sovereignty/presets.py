"""Presets of outside services: a row of `endpoints` that names one gets its host name, operator and addresses."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from classroom.common.errors import ClassroomError
from classroom.common.networks import address_or_network
from classroom.sovereignty.catalogue import Fact, with_sources
from classroom.sovereignty.facts import DATA, Record, Source, first_error, read_yaml

FILLED = ("name", "operator", "addresses", "url")
"""The keys that a preset adds to a row of `endpoints`."""


class Preset(Fact):
    """An outside service with the keys that a row of `endpoints` needs.

    A service whose operator publishes a name and no addresses has none here; the row of the stack file lists them.
    """

    id: str
    use: str
    name: str
    operator: str = Field(description="ID of an entry in the catalogue, owners.yaml or services.yaml.")
    addresses: tuple[Annotated[str, AfterValidator(address_or_network)], ...] = ()
    url: str | None = None
    account_binding: bool = Field(
        default=False,
        description="Whether its ACME server needs an external account binding: a key from a customer account.",
    )
    cloud: str | None = Field(
        default=None, description="Entry of the catalogue that offers the service to its own machines."
    )

    @property
    def all_sources(self) -> tuple[Source, ...]:
        """Every source of its addresses."""
        return (self.source, *self.also)

    @property
    def filled(self) -> dict[str, Any]:
        """The keys that it adds to a row."""
        return {key: getattr(self, key) for key in FILLED if key != "addresses" or self.addresses}


class Presets(Record):
    """The file of presets."""

    presets: tuple[Preset, ...]
    missing: tuple[str, ...] = Field(default=(), description="What was looked for and not found, one sentence each.")


@functools.cache
def load(path: Path = DATA / "presets.yaml") -> Presets:
    """Return the file of presets; ClassroomError naming file and key if it is unreadable or a fact lacks its source."""
    data = read_yaml(path)
    if not isinstance(data, dict) or not isinstance(data.get("presets"), dict):
        raise ClassroomError(f"{path.name} describes no presets: write the keys sources and presets")
    try:
        sources = {key: Source.model_validate(value) for key, value in (data.get("sources") or {}).items()}
        listed = [{"id": key, **with_sources(value, sources)} for key, value in data["presets"].items()]
        return Presets.model_validate({"presets": listed, "missing": data.get("missing") or ()})
    except (ValidationError, TypeError) as error:
        fault = first_error(path.name, error) if isinstance(error, ValidationError) else f"{path.name}: {error}"
        raise ClassroomError(fault) from None


def expand(row: Any) -> Any:
    """Return a row of `endpoints` with the keys of its preset; a row without a preset is returned unchanged.

    ValueError naming the preset if it does not exist, is for another use, or the row also sets one of the preset's keys.
    """
    if not isinstance(row, Mapping) or "preset" not in row:
        return row
    rest = {key: value for key, value in row.items() if key != "preset"}
    found = {preset.id: preset for preset in load().presets}.get(str(row["preset"]))
    fitting = ", ".join(preset.id for preset in load().presets if preset.use == rest.get("use")) or "none"
    if found is None or rest.get("use") != found.use:
        what = "it does not exist" if found is None else f"it is for use: {found.use}"
        raise ValueError(f"preset '{row['preset']}': {what}; presets for use: {rest.get('use')}: {fitting}")
    if taken := [key for key in found.filled if key in rest]:
        raise ValueError(f"preset '{found.id}' also sets {taken[0]}; remove either {taken[0]} or preset")
    if not (found.addresses or rest.get("addresses")):
        raise ValueError(
            f"preset '{found.id}' has no addresses, as {found.operator} publishes only the name {found.name}; "
            "add those that it has now, as addresses: [...]"
        )
    return {**rest, **found.filled}


def behind(use: str, name: str, addresses: tuple[str, ...]) -> Preset | None:
    """Return the preset that matches a row of `endpoints`, or None."""
    fitting = (one for one in load().presets if (one.use, one.name) == (use, name))
    return next((one for one in fitting if one.addresses in ((), addresses)), None)

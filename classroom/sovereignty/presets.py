"""Presets of outside services: a row of `endpoints` names one and gets its host name, its operator and its addresses."""

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
"""What a preset gives to a row of `endpoints`."""


class Preset(Fact):
    """An outside service with all that a row of `endpoints` needs."""

    id: str
    use: str
    name: str
    operator: str = Field(description="Id of an entry of the catalogue, of owners.yaml or of services.yaml.")
    addresses: tuple[Annotated[str, AfterValidator(address_or_network)], ...] = Field(min_length=1)
    url: str | None = None
    cloud: str | None = Field(default=None, description="Entry of the catalogue whose own service it is.")

    @property
    def all_sources(self) -> tuple[Source, ...]:
        """Every source of its addresses."""
        return (self.source, *self.also)


class Presets(Record):
    """The whole file."""

    presets: tuple[Preset, ...]
    missing: tuple[str, ...] = Field(default=(), description="What was searched for and not found, one sentence each.")


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
        said = first_error(path.name, error) if isinstance(error, ValidationError) else f"{path.name}: {error}"
        raise ClassroomError(said) from None


def expand(row: Any) -> Any:
    """Return a row of `endpoints` with what its preset gives; a row without one as it is.

    ValueError naming the preset if there is none such, it is for another use, or the row also has a key that the preset gives.
    """
    if not isinstance(row, Mapping) or "preset" not in row:
        return row
    rest = {key: value for key, value in row.items() if key != "preset"}
    found = {preset.id: preset for preset in load().presets}.get(str(row["preset"]))
    fitting = ", ".join(preset.id for preset in load().presets if preset.use == rest.get("use")) or "none"
    if found is None or rest.get("use") != found.use:
        what = "there is no such preset" if found is None else f"it is for use: {found.use}"
        raise ValueError(f"preset '{row['preset']}': {what}; presets for use: {rest.get('use')}: {fitting}")
    if taken := [key for key in FILLED if key in rest]:
        raise ValueError(f"preset '{found.id}' gives {taken[0]} too; leave out {taken[0]}, or preset")
    return {**rest, **{key: getattr(found, key) for key in FILLED}}


def behind(use: str, name: str, addresses: tuple[str, ...]) -> Preset | None:
    """Return the preset from which a row was made, or None."""
    return next((one for one in load().presets if (one.use, one.name, one.addresses) == (use, name, addresses)), None)

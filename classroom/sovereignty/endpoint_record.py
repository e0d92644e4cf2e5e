"""The record of an outside service that the class uses, as the stack file names it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from classroom.common import hosts
from classroom.common.networks import address_or_network
from classroom.sovereignty.facts import Record
from classroom.sovereignty.presets import expand

Use = Literal["dns", "registry", "ntp", "packages", "ca", "stun", "mail", "backups"]


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


class Endpoint(Record):
    """An outside service that the class uses: the use, its name, its operator and its addresses.

    A row `{use: dns, preset: NAME}` gets the other keys from the preset (`classroom presets` lists the presets).
    """

    use: Use = Field(
        description="Use; `registry` is the registry of the top-level domain, `ca` the certificate authority."
    )
    name: str = Field(description="Host name; it is not resolved for the judgement.")
    operator: str = Field(min_length=2, description="Its operator: a name in the catalogue, or a declared one.")
    addresses: Annotated[tuple[Annotated[str, AfterValidator(address_or_network)], ...], AfterValidator(_once)] = Field(
        default=(), description="Its addresses or networks; each is judged, too."
    )
    url: str | None = Field(
        default=None, description="Its URL, such as that of a package mirror; its host must be `name`."
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, row: Any) -> Any:
        return expand(row)

    @field_validator("name")
    @classmethod
    def _host(cls, value: str) -> str:
        return address_or_network(value) if hosts.is_address(value) else hosts.host_name(value)

    @field_validator("url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return None if value is None else hosts.url(value)

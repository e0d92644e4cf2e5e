"""The record of a service outside that the classroom uses, as the stack file names it."""

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
    """A service outside that the classroom uses: for what, its name, who runs it, and where it answers.

    A row `{use: dns, preset: NAME}` takes the rest from the presets (`classroom presets` lists them).
    """

    use: Use = Field(
        description="What for: `registry` is that of the domain's top level, `ca` the certificate authority."
    )
    name: str = Field(description="Host name; it is never resolved here.")
    operator: str = Field(min_length=2, description="Who runs it: by its name in the catalogue, or as declared.")
    addresses: Annotated[tuple[Annotated[str, AfterValidator(address_or_network)], ...], AfterValidator(_once)] = Field(
        default=(), description="Addresses or networks at which it answers; each is judged too."
    )
    url: str | None = Field(
        default=None, description="Its whole address, such as a package mirror's; in the host `name`."
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

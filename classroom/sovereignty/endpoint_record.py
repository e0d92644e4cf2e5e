"""The record of an outside service that the class uses, as the stack file names it."""

import ipaddress
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from classroom.sovereignty.facts import Record
from classroom.sovereignty.operators import is_address
from classroom.sovereignty.presets import expand

Use = Literal["dns", "registry", "ntp", "packages", "ca", "stun", "mail", "backups"]
HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value)) if "/" in value else str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(
            f"'{value}' is neither an address nor a network; write one such as 192.0.2.53 or 2001:db8::/48"
        ) from None


class Endpoint(Record):
    """An outside service that the class uses: the use, its name, its operator and its addresses.

    A row `{use: dns, preset: NAME}` gets the other keys from the preset (`classroom presets` lists the presets).
    """

    use: Use = Field(
        description="Use; `registry` is the registry of the top-level domain, `ca` the certificate authority."
    )
    name: str = Field(description="Host name in lower case; it is not resolved for the judgement.")
    operator: str = Field(min_length=2, description="Its operator: a name in the catalogue, or a declared one.")
    addresses: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
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
        if not HOST.fullmatch(value) and not is_address(value):
            raise ValueError(f"'{value}' is not a host name; write one in lower case, such as ntp.academy.example")
        return value

    @field_validator("url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not ("://" in value and urlsplit(value).hostname):
            raise ValueError(f"'{value}' is not a URL; write one such as https://mirror.academy.example/debian")
        return value

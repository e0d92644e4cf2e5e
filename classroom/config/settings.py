"""Define and check the settings of a classroom, as the stack file contains them, including the rules between settings."""

import difflib
import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from cryptography.hazmat.primitives import serialization
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from classroom.common.errors import WrongUseError
from classroom.config import guest
from classroom.config.certificates import certificate_faults
from classroom.config.declarations import OneOrMore
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import MAX_AGE_MONTHS, MAX_STATEMENT_MONTHS, Ages
from classroom.sovereignty.policy import DeclaredCloud, DeclaredOperator, Policy, PolicyException
from classroom.sovereignty.verdict import Overlay

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")
ACCOUNT = re.compile(r"[a-z][a-z0-9-]{0,30}")
LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
DOMAIN = re.compile(rf"{LABEL}(\.{LABEL})+")
RESERVED_ACCOUNTS = {"root", IMAGE_ACCOUNT, "verifier", "livekit", "portal", "www-data"}


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(
            f"'{value}' is not a network; write an address and a prefix length, such as 10.20.0.0/24"
        ) from None
    return value


NetworkText = Annotated[str, AfterValidator(_network)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True)


class Admin(_Section):
    """An administrator: an account with this name on every machine, which accepts this SSH key."""

    name: str = Field(description="Account name: small letters, digits, hyphens.")
    public_key: str = Field(description="Public key, as in an `id_ed25519.pub`.")

    @field_validator("name")
    @classmethod
    def _account(cls, value: str) -> str:
        if not ACCOUNT.fullmatch(value) or value in RESERVED_ACCOUNTS:
            raise ValueError(
                f"'{value}' is not a valid account name; use small letters, digits and hyphens, and none of the reserved names"
                f" {', '.join(sorted(RESERVED_ACCOUNTS))}"
            )
        return value

    @field_validator("public_key")
    @classmethod
    def _key(cls, value: str) -> str:
        if "PRIVATE KEY" in value:
            raise ValueError("this is a private key; set the public key, from the file that ends in .pub")
        try:
            serialization.load_ssh_public_key(value.encode())
        except ValueError:
            raise ValueError(
                f"'{value[:30]}…' is not an SSH public key; set a line such as `ssh-ed25519 AAAA… name`"
            ) from None
        return " ".join(value.split()[:2])


class Class(_Section):
    """A class: its display name, and its maximum number of participants."""

    name: str = Field(description="Display name: up to 40 letters, digits, spaces, dots, underscores and hyphens.")
    size: int = Field(
        ge=2, le=500, description="Expected number of participants at the same time, including the teacher."
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError(
                f"'{value}' is not a valid class name; use up to 40 letters, digits, spaces, dots, underscores and hyphens"
            )
        return value

    @property
    def room(self) -> str:
        """Name of the room on the media server: small letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


class Settings(_Section):
    """The settings of a stack, with the keys of its stack file."""

    cloud: str | None = Field(
        default=None, description="Entry of clouds.yaml; if not set, the OS_* variables are used."
    )
    region: str = Field(description="The cloud's region, as named in its service catalogue.")
    availability_zone: str | None = Field(default=None, description="Availability zone; if not set, the cloud chooses.")
    image: str = Field(description=f"Name of a {guest.NAME} image with cloud-init.")
    flavor_front: str = Field(
        description="Flavour of the front machine, which serves the page; in shape single, of the only machine."
    )
    flavor_media: str | None = Field(
        default=None, description="Flavour of the media machines; required in shape split."
    )
    external_network: str = Field(description="External network that provides floating IPs.")
    network_cidr: NetworkText = Field(default="10.20.0.0/24", description="Private IPv4 network of the machines.")
    ipv6: NetworkText | None = Field(
        default=None, description="IPv6 /64 that the cloud routes to the project; without it, no IPv6."
    )
    shape: Literal["single", "split"] = Field(
        default="single", description="single: one machine; split: one front and media_count media machines."
    )
    media_count: int = Field(default=1, ge=1, le=9, description="Number of media machines in shape split.")
    domain: str = Field(description="Host name of the class page, such as class.academy.example.")
    certificate: str = Field(description="Certificate chain for domain and its TURN names: PEM, the leaf first.")
    certificate_key: SecretStr = Field(description="Private key of the certificate: PEM, stored as a Pulumi secret.")
    admins: list[Admin] = Field(
        min_length=1,
        description="Administrators; new machines accept the first key, and one of the current keys has to remain in a change.",
    )
    ssh_from: list[NetworkText] = Field(min_length=1, description="Networks from which SSH is allowed.")
    classes: list[Class] = Field(min_length=1, description="The classes.")
    waiting_room: bool = Field(
        default=False,
        description="Whether pupils wait until the teacher admits them; the teacher can switch it during a class.",
    )
    policy: Policy = Field(
        default=Policy(), description="Where soil, operator and parent may be located: each eu, eea or adequate."
    )
    exceptions: list[PolicyException] = Field(
        default=[], description="Operators that are allowed although the policy refuses them, with reason and end date."
    )
    declared_cloud: Annotated[list[DeclaredCloud], OneOrMore] = Field(
        default=[], description="A private cloud that is not in the catalogue, such as a school district's."
    )
    declared_operators: list[DeclaredOperator] = Field(
        default=[], description="Operators of external services that are not in the catalogue."
    )
    endpoints: list[Endpoint] = Field(
        default=[], description="External services that the classroom uses, each with its operator and its addresses."
    )
    facts_max_age_months: int = Field(
        default=MAX_AGE_MONTHS,
        ge=1,
        le=120,
        description="Maximum age of facts in months; older facts are treated as unknown.",
    )
    rehearsal: bool = Field(
        default=False, description="Marks a rehearsal's stack on documentation addresses, which proves nothing."
    )
    statements_max_age_months: int = Field(
        default=MAX_STATEMENT_MONTHS,
        ge=1,
        le=240,
        description="Maximum age in months of the day that a source describes; older statements are treated as unknown.",
    )
    overlay: Annotated[list[Overlay], OneOrMore] = Field(
        default=[], description="Fictitious owners of documentation addresses; only in a rehearsal."
    )

    @property
    def ages(self) -> Ages:
        """How old facts and statements may be."""
        return Ages(self.facts_max_age_months, self.statements_max_age_months)

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        if not DOMAIN.fullmatch(value):
            raise ValueError(f"'{value}' is not a domain name; use small letters, such as class.academy.example")
        return value

    @model_validator(mode="after")
    def _between_keys(self) -> "Settings":
        """Check the rules between keys; each rule is a method that yields one message for each fault."""
        rules = (
            self._shape_faults,
            self._network_faults,
            self._name_faults,
            self._certificate_faults,
            self._rehearsal_faults,
        )
        faults = [fault for rule in rules for fault in rule()]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _shape_faults(self) -> Iterator[str]:
        if self.shape == "split" and not self.flavor_media:
            yield "flavor_media: missing, but required with shape 'split'; set a flavour of the cloud"
        if self.shape == "single" and self.media_count != 1:
            yield f"media_count: must be 1 with shape 'single', got {self.media_count}; set 1, or set shape: split"

    def _network_faults(self) -> Iterator[str]:
        private = ipaddress.ip_network(self.network_cidr)
        if private.version != 4 or not private.is_private or private.prefixlen > 28:
            yield f"network_cidr: '{private}' is not a private IPv4 network of /28 or larger; set one such as 10.20.0.0/24"
        six = ipaddress.ip_network(self.ipv6) if self.ipv6 else None
        if six and (six.version != 6 or six.prefixlen != 64):
            yield f"ipv6: '{six}' is not an IPv6 /64; set the one that the cloud routes to you, such as 2001:db8:30::/64"
        for text in self.ssh_from:
            source = ipaddress.ip_network(text)
            for key, own in (("network_cidr", private), ("ipv6", six)):
                # 0.0.0.0/0 is deliberate; a narrower network that overlaps with the classroom's own is a mistake.
                if own and source.version == own.version and source.prefixlen and source.overlaps(own):
                    yield f"ssh_from: '{source}' overlaps with {key} '{own}'; choose networks that do not overlap"

    def _name_faults(self) -> Iterator[str]:
        rooms: dict[str, str] = {}
        for entry in self.classes:
            if entry.room in rooms:
                yield f"classes: '{entry.name}' and '{rooms[entry.room]}' result in the same room name '{entry.room}'; rename one of them"
            rooms[entry.room] = entry.name
        names = [admin.name for admin in self.admins]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"admins: '{name}' is listed {names.count(name)} times; give each administrator a different name"

    def _certificate_faults(self) -> Iterator[str]:
        key = self.certificate_key.get_secret_value()
        yield from certificate_faults(self.certificate, key, [self.domain, *self.turn_names])

    def _rehearsal_faults(self) -> Iterator[str]:
        if self.overlay and not self.rehearsal:
            yield "overlay: only allowed with rehearsal: true; remove overlay, or set rehearsal: true in a rehearsal's stack"

    @property
    def turn_names(self) -> list[str]:
        """Names of the TURN servers, one for each media machine."""
        if self.shape == "single" or self.media_count == 1:
            return [f"turn.{self.domain}"]
        return [f"turn{n}.{self.domain}" for n in range(1, self.media_count + 1)]


def load(values: dict[str, Any]) -> Settings:
    """Return the settings from `values`; WrongUseError has one line for each fault, with key, value and fix."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise WrongUseError("\n".join(map(_sentence, error.errors()))) from None


def _sentence(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    kind, message = fault["type"], fault["msg"].removeprefix("Value error, ")
    fields = _fields(fault["loc"])
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), fields, 1)
        return f"{key}: unknown key; " + (f"did you mean {near[0]}?" if near else f"use one of: {', '.join(fields)}")
    if kind == "missing":
        field = fields.get(str(fault["loc"][-1]))
        return f"{key}: missing; set it" + (f" ({field.description})" if field else "")
    if kind == "value_error":
        return f"{key}: {message}" if key else message
    shown = "its value" if key == "certificate_key" else repr(fault["input"])[:60]
    return f"{key}: {shown} is invalid: {message[0].lower()}{message[1:]}"


def _fields(place: tuple[str | int, ...]) -> dict[str, FieldInfo]:
    """Return the keys that are valid at a place in the settings."""
    section: type[BaseModel] = Settings
    for part in place[:-1]:
        if isinstance(part, str) and part in section.model_fields:
            section = _section(section.model_fields[part].annotation) or section
    return section.model_fields


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the section type of a key, or of the elements of its list; None if it has no section type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section(inner))), None)


STRUCTURED = {
    name
    for name, field in Settings.model_fields.items()
    if _section(field.annotation) or get_origin(field.annotation) is list
}
"""Keys whose value is a section or a list."""

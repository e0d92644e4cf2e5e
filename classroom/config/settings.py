"""Define and check the settings of a classroom, as the stack file contains them, including the rules between settings."""

import datetime
import difflib
import ipaddress
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

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

from classroom.common import networks
from classroom.common.errors import WrongUseError
from classroom.common.shorten import shortened
from classroom.config import guest, keys, pem, valid_names
from classroom.config.certificates import certificate_faults
from classroom.config.declarations import OneOrMore
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.image_files import ImageFile
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import MAX_AGE_MONTHS, MAX_STATEMENT_MONTHS, Ages
from classroom.sovereignty.policy import DeclaredCloud, DeclaredOperator, Policy, PolicyException
from classroom.sovereignty.verdict import Overlay

RESERVED_ACCOUNTS = {"root", IMAGE_ACCOUNT, "verifier", "livekit", "relay", "portal", "www-data", "classroom-admins"}
"""Accounts and groups of the roles; those of the guest system are in `guest.TAKEN_NAMES`."""
OWN_MESSAGE = {"certificate", "certificate_key", "public_key"}
"""Keys whose own check finds a private key, with a message that fits."""


Row = TypeVar("Row")
NetworkText = Annotated[str, AfterValidator(networks.network)]
SubnetText = Annotated[str, AfterValidator(networks.subnet)]


def _one_form(secret: SecretStr) -> SecretStr:
    return SecretStr(pem.private_key_text(secret.get_secret_value()))


def _once(rows: list[Row]) -> list[Row]:
    return [one for number, one in enumerate(rows) if one not in rows[:number]]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True)


class Admin(_Section):
    """An administrator: an account with this name on every machine, which accepts this SSH key."""

    name: str = Field(description="Account name: small letters, digits, hyphens.")
    public_key: str = Field(description="Public key, as in an `id_ed25519.pub`.")

    @field_validator("name")
    @classmethod
    def _account(cls, value: str) -> str:
        return valid_names.account(value, RESERVED_ACCOUNTS)

    @field_validator("public_key")
    @classmethod
    def _key(cls, value: str) -> str:
        return keys.public_key(value)


class CodeVersions(_Section):
    """The versions of a class's codes; another version replaces the code of its role."""

    teacher: int = Field(default=1, ge=1, description="Version of the teacher's code.")
    pupil: int = Field(default=1, ge=1, description="Version of the pupils' code.")


class Class(_Section):
    """A class: its display name, its maximum number of participants, and the versions of its codes."""

    name: str = Field(description="Display name: up to 40 characters, such as 6ème B or CE1/CE2.")
    size: int = Field(
        ge=2, le=500, description="Expected number of participants at the same time, including the teacher."
    )
    code_versions: CodeVersions = Field(
        default=CodeVersions(), description="Versions of the codes; `classroom codes renew` raises them."
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return valid_names.class_name(value)

    @property
    def room(self) -> str:
        """Name of the room on the media server: small letters, digits and hyphens."""
        return valid_names.room_name(self.name)


class Settings(_Section):
    """The settings of a stack, with the keys of its stack file."""

    cloud: str | None = Field(
        default=None, description="Entry of clouds.yaml; if not set, the OS_* variables are used."
    )
    region: str = Field(min_length=1, description="The cloud's region, as named in its service catalogue.")
    availability_zone: str | None = Field(default=None, description="Availability zone; if not set, the cloud chooses.")
    image: str = Field(min_length=1, description=f"Name of a {guest.NAME} image with cloud-init.")
    flavor_front: str = Field(
        min_length=1,
        description="Flavour of the front machine, which serves the page; in shape single, of the only machine.",
    )
    flavor_media: str | None = Field(
        default=None, description="Flavour of the media machines; required in shape split."
    )
    external_network: str = Field(min_length=1, description="External network that provides floating IPs.")
    network_cidr: SubnetText = Field(default="10.20.0.0/24", description="Private IPv4 network of the machines.")
    ipv6: SubnetText | None = Field(
        default=None, description="IPv6 /64 that the cloud routes to the project; without it, no IPv6."
    )
    shape: Literal["single", "split"] = Field(
        default="single", description="single: one machine; split: one front and media_count media machines."
    )
    media_count: int = Field(default=1, ge=1, le=9, description="Number of media machines in shape split.")
    domain: str = Field(description="Host name of the class page, such as class.academy.example.")
    certificate: Annotated[str, AfterValidator(pem.chain_text)] = Field(
        description="Certificate chain for domain and its TURN names: PEM, the leaf first."
    )
    certificate_key: Annotated[SecretStr, AfterValidator(_one_form)] = Field(
        description="Private key of the certificate: PEM, stored as a Pulumi secret."
    )
    admins: list[Admin] = Field(
        min_length=1,
        description="Administrators; new machines accept the first key, and one of the current keys has to remain in a change.",
    )
    ssh_from: Annotated[list[NetworkText], AfterValidator(networks.merged)] = Field(
        min_length=1, description="Networks from which SSH is allowed."
    )
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
    declared_cloud: Annotated[list[DeclaredCloud], OneOrMore, AfterValidator(_once)] = Field(
        default=[], description="A private cloud that is not in the catalogue, such as a school district's."
    )
    declared_operators: list[DeclaredOperator] = Field(
        default=[], description="Operators of external services that are not in the catalogue."
    )
    endpoints: Annotated[list[Endpoint], AfterValidator(_once)] = Field(
        default=[], description="External services that the classroom uses, each with its operator and its addresses."
    )
    image_files: Annotated[list[ImageFile], AfterValidator(_once)] = Field(
        default=[], description="Files of your machine image that neither Debian's packages nor the roles bring."
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
        return valid_names.domain(value)

    @model_validator(mode="after")
    def _between_keys(self) -> "Settings":
        """Check the rules between keys; each rule is a method that yields one message for each fault."""
        rules = (
            self._shape_faults,
            self._network_faults,
            self._name_faults,
            self._key_faults,
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
        if private.version != 4 or not private.is_private or _special(private) or private.prefixlen > 28:
            yield f"network_cidr: '{private}' is not a private IPv4 network of /28 or larger; set one such as 10.20.0.0/24"
        six = ipaddress.ip_network(self.ipv6) if self.ipv6 else None
        if six and (six.version != 6 or six.prefixlen != 64 or _special(six)):
            yield f"ipv6: '{six}' is not an IPv6 /64; set the one that the cloud routes to you, such as 2001:db8:30::/64"
        if all(":" in text for text in self.ssh_from):
            yield (
                f"ssh_from: '{', '.join(self.ssh_from)}' contains no IPv4 network, but machines are configured over IPv4; add the public"
                " IPv4 address of the machine on which you run `pulumi up`"
            )
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

    def _key_faults(self) -> Iterator[str]:
        if keys.is_security_key(self.admins[0].public_key):
            yield (
                f"admins: the first one, '{self.admins[0].name}', has the key of a security key, which clouds do not install on new"
                " machines; put an administrator with an ordinary key first (`ssh-keygen -t ed25519`)"
            )

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


def _special(network: networks.IpNetwork) -> bool:
    """Return whether no machine can have an ordinary address in a network."""
    address = network.network_address
    return address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified


def load(values: dict[str, Any]) -> Settings:
    """Return the settings from `values`; WrongUseError has one line for each fault, with key, value and fix."""
    if faults := [fault for key, value in values.items() for fault in _private_keys(str(key), value)]:
        raise WrongUseError("\n".join(faults))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise WrongUseError("\n".join(map(_sentence, error.errors()))) from None


def _private_keys(place: str, value: Any) -> Iterator[str]:
    """Yield one message for each text with a private key, where none is expected and validation would show it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _private_keys(f"{place}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _private_keys(f"{place}.{number}", inner)
    elif isinstance(value, str) and place.rpartition(".")[2] not in OWN_MESSAGE and pem.has_private_key(value):
        yield f"{place}: contains a private key, which would be stored in clear; remove it, and use a new key in its place"


def _sentence(fault: Any) -> str:
    parts = [str(part) for part in fault["loc"]]
    key = ".".join(part if part and part.isprintable() else repr(part) for part in parts)
    kind, message = fault["type"], fault["msg"].removeprefix("Value error, ")
    fields = _fields(fault["loc"])
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), fields, 1)
        return f"{key}: unknown key; " + (f"did you mean {near[0]}?" if near else f"use one of: {', '.join(fields)}")
    if kind == "value_error":
        return f"{key}: {message}" if key else message
    field = fields.get(parts[-1])
    if key in SECRETS:
        return f"{key}: missing, or not a text; set it with {pem.SET_KEY} ({field.description if field else ''})"
    if kind == "missing":
        return f"{key}: missing; set it" + (f" ({field.description})" if field else "")
    if fault["input"] in (None, ""):
        remove = "" if field and field.is_required() else ", or remove the line"
        return f"{key}: has no value; write one after the colon{remove}"
    return f"{key}: {shown_value(fault['input'])} {_why(fault, str(fault['loc'][-1]))}"


def _why(fault: Any, name: str) -> str:
    """Return what is wrong with a value, and what to write instead, in words that fit YAML."""
    kind, value, limits = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "string_type" and isinstance(value, bool | int | float | datetime.date):
        read = (
            "a date" if isinstance(value, datetime.date) else "true or false" if isinstance(value, bool) else "a number"
        )
        # A float may have been written in another form, such as the name of a class, 6e1.
        example = "6e1" if isinstance(value, float) and name == "name" else shown_value(value)
        return f'is read by YAML as {read}, but a text is needed; write it in quotes, such as `{name}: "{example}"`'
    sentences = {
        "string_too_short": f"is too short; write at least {limits.get('min_length')} characters",
        "too_short": "is an empty list; write at least one entry, after a hyphen, as in Pulumi.example.yaml",
        "greater_than_equal": f"is too small; write {limits.get('ge')} or more",
        "less_than_equal": f"is too large; write {limits.get('le')} or less",
        "literal_error": f"is not allowed; write {limits.get('expected')}",
    }
    families = {
        "string": "is not a text; write one after the colon, on the same line",
        "int": f"is not a whole number; write one, such as `{name}: 2`",
        "bool": "is neither true nor false; write one of them",
        "date": f'is not a date; write one in quotes, such as `{name}: "2027-06-30"`',
        "list": "is not a list; write one entry in each line, after a hyphen, as in Pulumi.example.yaml",
        "tuple": "is not a list; write one entry in each line, after a hyphen, as in Pulumi.example.yaml",
        "model": "has no keys; write its keys with their values, as in Pulumi.example.yaml",
        "dict": "has no keys; write its keys with their values, as in Pulumi.example.yaml",
    }
    message = fault["msg"]
    return (
        sentences.get(kind)
        or families.get(kind.partition("_")[0])
        or f"is not valid: {message[0].lower()}{message[1:]}"
    )


def shown_value(value: Any) -> str:
    """Return a value as a stack file has it, shortened."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if text.isprintable() else ascii(text)
    text = str(value) if isinstance(value, datetime.date) else text
    return shortened(text, 60)


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
SECRETS = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
"""Keys whose value is a secret."""

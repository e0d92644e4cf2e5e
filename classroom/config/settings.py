"""Define and check the settings of a classroom, as the stack file contains them, including the rules between settings."""

import base64
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_origin

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

from classroom.common import hosts, networks
from classroom.common.errors import WrongUseError
from classroom.common.shorten import shortened
from classroom.config import advice, guest, keys, pem, valid_names
from classroom.config.advice import OnlyWith
from classroom.config.certificates import certificate_faults, chain_of, issued_for, needed
from classroom.config.declarations import REHEARSAL_ONLY, OneOrMore
from classroom.config.endpoints import port_of
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.image_files import ImageFile
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import MAX_AGE_MONTHS, MAX_STATEMENT_MONTHS, Ages
from classroom.sovereignty.policy import DeclaredCloud, DeclaredOperator, Policy, PolicyException
from classroom.sovereignty.verdict import Overlay

RESERVED_ACCOUNTS = {
    *("root", IMAGE_ACCOUNT, "verifier", "livekit", "relay", "portal", "acme", "www-data", "classroom-admins"),
}
"""Accounts and groups of the roles; those of the guest system are in `guest.TAKEN_NAMES`."""
OWN_MESSAGE = {"certificate", "certificate_key", "public_key", "root"}
"""Keys whose own check finds a private key, with a message that fits."""


Row = TypeVar("Row")
NetworkText = Annotated[str, AfterValidator(networks.network)]


def _one_form(secret: SecretStr) -> SecretStr:
    return SecretStr(pem.private_key_text(secret.get_secret_value()))


EAB_BYTES = 16
"""Least length of the key of an external account binding, in bytes; authorities give 32 or 64."""


def _eab_key(secret: SecretStr) -> SecretStr:
    """Return the key in the one form, base64url without blanks and padding; its message contains no part of it."""
    text = re.sub(r"\s", "", secret.get_secret_value()).rstrip("=").replace("+", "-").replace("/", "_")
    try:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
            raise ValueError
        size = len(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        size = 0
    if size < EAB_BYTES:
        raise ValueError(
            f"is not a key in base64url with {EAB_BYTES} bytes or more; copy the authority's HMAC key (not the key's identifier, which"
            f" is acme.eab), and set it with {set_command('acme_eab_key')}"
        )
    return SecretStr(text)


def set_command(key: str) -> str:
    """Return the command, in backticks, that stores a secret."""
    return pem.SET_KEY if key == "certificate_key" else f"`pulumi config set --secret {key} < FILE`"


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


class Acme(_Section):
    """Certificates from an ACME server instead of a given one: ordered and renewed by the front itself."""

    directory: str = Field(description="URL of the authority's ACME directory.")
    email: str | None = Field(default=None, description="Address to which the authority may write.")
    eab: str | None = Field(
        default=None,
        min_length=1,
        description="Key identifier of the external account binding; its HMAC key is the secret acme_eab_key.",
    )
    root: Annotated[str, AfterValidator(pem.chain_text)] | None = Field(
        default=None, description="Root certificate of the ACME server itself, if Debian does not know it: PEM."
    )

    @field_validator("directory")
    @classmethod
    def _url(cls, value: str) -> str:
        url = hosts.url(value)
        if not url.startswith("https://"):
            raise ValueError(f"'{value}' is not encrypted; write the https:// URL of the authority's directory")
        return f"{url}/" if value.strip().endswith("/") and hosts.has_path(url) else url

    @field_validator("email")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(
            r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+", value
        ):
            raise ValueError(
                f"'{shortened(value)}' is not a mail address; write one such as operations@academy.example"
            )
        return value

    @field_validator("eab")
    @classmethod
    def _identifier(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\x21-\x7e]+", value):
            raise ValueError("contains blanks or signs that no key identifier has; copy the identifier alone")
        return value

    @property
    def host(self) -> str:
        """Host of the directory."""
        return hosts.host_of_url(self.directory)


class Volume(_Section):
    """The root disk of each machine as a volume of the cloud, instead of the flavour's own disk."""

    size: int = Field(ge=8, le=2000, description="Size in GiB.")
    type: str | None = Field(
        default=None, min_length=1, description="Volume type by name or ID; if not set, the cloud's default."
    )


class Settings(_Section):
    """The settings of a stack, with the keys of its stack file."""

    cloud: str | None = Field(
        default=None,
        examples=["my-cloud"],
        description="Entry of clouds.yaml; if not set, the OS_* variables are used.",
    )
    region: str = Field(
        min_length=1, examples=["GRA11"], description="The cloud's region, as named in its service catalogue."
    )
    availability_zone: str | None = Field(
        default=None, examples=["nova"], description="Availability zone; if not set, the cloud chooses."
    )
    image: str = Field(
        min_length=1, examples=[guest.NAME], description=f"Name of a {guest.NAME} image with cloud-init."
    )
    flavor_front: str = Field(
        min_length=1,
        examples=["b3-8"],
        description="Flavour of the front machine, which serves the page; in shape single, of the only machine.",
    )
    flavor_media: str | None = Field(
        default=None, examples=["b3-16"], description="Flavour of the media machines; required in shape split."
    )
    volume: Volume | None = Field(
        default=None,
        examples=[{"size": 20, "type": "ssd"}],
        description="Root disks on volumes, for clouds whose flavours have no disk; if not set, on the flavour's disk.",
    )
    external_network: str = Field(
        min_length=1, examples=["Ext-Net"], description="External network that provides floating IPs."
    )
    network_cidr: Annotated[str, AfterValidator(networks.subnet4)] = Field(
        default=networks.EXAMPLES[4], description="Private IPv4 network of the machines."
    )
    ipv6: Annotated[str, AfterValidator(networks.subnet6)] | None = Field(
        default=None,
        examples=[networks.EXAMPLES[6]],
        description="IPv6 /64 that the cloud routes to the project; without it, no IPv6.",
    )
    shape: Literal["single", "split"] = Field(
        default="single", description="single: one machine; split: one front and media_count media machines."
    )
    media_count: Annotated[int, OnlyWith("shape", "split")] = Field(
        default=1, ge=1, le=9, examples=[2], description="Number of media machines in shape split."
    )
    domain: str = Field(
        examples=["class.academy.example"], description="Host name of the class page, such as class.academy.example."
    )
    certificate: Annotated[str, AfterValidator(pem.chain_text)] | None = Field(
        default=None,
        examples=["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"],
        description="Certificate chain for domain and its TURN names: PEM, the leaf first; not with acme.",
    )
    certificate_key: Annotated[SecretStr, AfterValidator(_one_form)] | None = Field(
        default=None, description="Private key of the certificate: PEM, stored as a Pulumi secret."
    )
    acme: Acme | None = Field(
        default=None,
        examples=[
            {
                "directory": "https://acme.academy.example/directory",
                "email": "operations@academy.example",
                "eab": "key-1",
            }
        ],
        description="ACME server from which the front gets its certificates, instead of certificate.",
    )
    acme_eab_key: Annotated[SecretStr, AfterValidator(_eab_key)] | None = Field(
        default=None, description="HMAC key of the external account binding: base64url, stored as a Pulumi secret."
    )
    admins: list[Admin] = Field(
        min_length=1,
        examples=[[{"name": "ada", "public_key": keys.LINE_EXAMPLE}]],
        description="Administrators; new machines accept the first key, and one of the current keys has to remain in a change.",
    )
    ssh_from: Annotated[list[NetworkText], AfterValidator(networks.merged)] = Field(
        min_length=1, examples=[["192.0.2.0/24"]], description="Networks from which SSH is allowed."
    )
    classes: list[Class] = Field(min_length=1, examples=[[{"name": "CM2", "size": 30}]], description="The classes.")
    waiting_room: bool = Field(
        default=False,
        description="Whether pupils wait until the teacher admits them; the teacher can switch it during a class.",
    )
    policy: Policy = Field(
        default=Policy(), description="Where soil, operator and parent may be located: each eu, eea or adequate."
    )
    exceptions: list[PolicyException] = Field(
        default=[],
        examples=[[{"name": "Cleura", "reason": "the contract runs until the summer", "until": "2027-06-30"}]],
        description="Operators that are allowed although the policy refuses them, with reason and end date.",
    )
    declared_cloud: Annotated[list[DeclaredCloud], OneOrMore, AfterValidator(_once)] = Field(
        default=[],
        examples=[
            [
                {
                    "name": "Cloud of the Academy",
                    "operator": {"name": "Academy of Example", "country": "FR"},
                    "parent": {"name": "The French state", "country": "FR"},
                    "keystone": ["https://cloud.academy.example:5000/v3"],
                    "regions": [{"name": "one", "city": "Creteil", "country": "FR"}],
                    "prefixes": ["203.0.113.0/24"],
                    "source": "contract 12 of 2026",
                    "date": "2026-10-01",
                }
            ]
        ],
        description="A private cloud that is not in the catalogue, such as a school district's.",
    )
    declared_operators: list[DeclaredOperator] = Field(
        default=[],
        examples=[
            [
                {
                    "name": "Academy's Network",
                    "country": "FR",
                    "parent": {"name": "The French state", "country": "FR"},
                    "source": "decree 7 of 2024",
                    "date": "2026-10-01",
                }
            ]
        ],
        description="Operators of external services that are not in the catalogue.",
    )
    endpoints: Annotated[list[Endpoint], AfterValidator(_once)] = Field(
        default=[],
        examples=[
            [
                {
                    "use": "dns",
                    "name": "resolver.academy.example",
                    "operator": "Academy's Network",
                    "addresses": ["203.0.113.53", "2001:db8:7::53"],
                },
                {
                    "use": "ntp",
                    "name": "time.academy.example",
                    "operator": "Academy's Network",
                    "addresses": ["203.0.113.123", "2001:db8:7::123"],
                },
                {
                    "use": "packages",
                    "name": "mirror.academy.example",
                    "operator": "Academy's Network",
                    "addresses": ["203.0.113.80"],
                    "url": "https://mirror.academy.example/debian",
                },
            ]
        ],
        description="External services that the classroom uses, each with its operator and its addresses.",
    )
    image_files: Annotated[list[ImageFile], AfterValidator(_once)] = Field(
        default=[],
        examples=[
            [
                {
                    "path": "/etc/systemd/network/10-academy.network",
                    "sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
                    "reason": "addresses of the academy's network",
                }
            ]
        ],
        description="Files of your machine image that neither Debian's packages nor the roles bring.",
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
    overlay: Annotated[list[Overlay], OneOrMore, REHEARSAL_ONLY] = Field(
        default=[],
        examples=[
            [
                {
                    "prefixes": ["192.0.2.128/25"],
                    "country": "US",
                    "operator": {"name": "Example Inc.", "country": "US", "dpf": "unknown"},
                    "parent": {"name": "Example Inc.", "country": "US", "dpf": "unknown"},
                }
            ]
        ],
        description="Fictitious owners of documentation addresses; only in a rehearsal.",
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
            self._condition_faults,
            self._shape_faults,
            self._network_faults,
            self._name_faults,
            self._key_faults,
            self._certificate_faults,
        )
        faults = [fault for rule in rules for fault in rule()]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _shape_faults(self) -> Iterator[str]:
        if self.shape == "split" and not self.flavor_media:
            yield "flavor_media: missing, but required with shape 'split'; set a flavour of the cloud"

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
        if self.acme:
            given = [name for name in ("certificate", "certificate_key") if getattr(self, name) is not None]
            if given:
                yield f"{given[0]}: is set beside acme, and one of them is allowed; remove {' and '.join(given)}, or acme"
            yield from self._acme_faults(self.acme)
            return
        if self.acme_eab_key is not None:
            yield "acme_eab_key: is set, but acme is not; set acme, or remove the key"
        if self.certificate is None:
            yield "certificate: missing; set it (with the chain of domain and its TURN names), or set acme"
        elif self.certificate_key is None:
            yield f"certificate_key: missing; set it with {set_command('certificate_key')}"
        else:
            key = self.certificate_key.get_secret_value()
            yield from certificate_faults(self.certificate, key, [self.domain, *self.turn_names])

    def _acme_faults(self, acme: Acme) -> Iterator[str]:
        if (acme.eab is None) != (self.acme_eab_key is None):
            fault, fix = (
                ("acme_eab_key", set_command("acme_eab_key")) if acme.eab else ("acme.eab", "the key's identifier")
            )
            yield f"{fault}: missing, but the external account binding has two parts; set it with {fix}"
        rows = [one for one in self.endpoints if one.use == "ca" and one.name == acme.host]
        if not rows:
            yield (
                f"endpoints: none has use: ca and name: {acme.host}, the host of acme.directory, so that the policy cannot judge the"
                " authority and machines cannot reach it; add it with its operator and addresses"
            )
        elif not any(port_of(one.url) == port_of(acme.directory) for one in rows):
            yield (
                f"endpoints: the one with use: ca and name: {acme.host} is for port {port_of(rows[0].url)}, but acme.directory has port"
                f" {port_of(acme.directory)}; set its url to {acme.directory}"
            )

    def _condition_faults(self) -> Iterator[str]:
        for name, mark in advice.conditions(Settings).items():
            value = getattr(self, name)
            if value != Settings.model_fields[name].default and getattr(self, mark.key) != mark.value:
                yield mark.sentence(name, value)

    @property
    def turn_names(self) -> list[str]:
        """Names of the TURN servers, one for each media machine."""
        return turn_names(self.domain, self.shape, self.media_count)


def turn_names(domain: str, shape: str, media_count: int) -> list[str]:
    """Return the names of the TURN servers of a class with this domain."""
    if shape == "single" or media_count == 1:
        return [f"turn.{domain}"]
    return [f"turn{n}.{domain}" for n in range(1, media_count + 1)]


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
        raise WrongUseError("\n".join(advice.sentences(Settings, values, error, NOTES))) from None


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


def _names_of_certificate(values: Mapping[str, Any]) -> str:
    """Return for which names the certificate has to be issued."""
    try:
        domain = valid_names.domain(values.get("domain", ""))
    except (ValueError, TypeError, AttributeError):
        domain = "<domain>"
    count = values.get("media_count")
    names = turn_names(domain, str(values.get("shape")), count if isinstance(count, int) and 0 < count < 10 else 1)
    return needed([domain, *names])


def _name_in_certificate(values: Mapping[str, Any]) -> str:
    """Return which names the certificate contains, one of which the domain has to be."""
    chain = chain_of(str(values.get("certificate")))
    if names := issued_for(chain[0]) if chain else []:
        return f"`certificate` is issued for {shortened(', '.join(names), 100)}"
    return "the certificate has to contain this name and turn.<domain>"


NOTES = {
    "domain": _name_in_certificate,
    "certificate": _names_of_certificate,
    "certificate_key": lambda _: (
        f"set the private key that belongs to `certificate` with {pem.SET_KEY}; if it is lost, get a new certificate"
    ),
    "acme_eab_key": lambda _: f"set the HMAC key that the authority gave you with {set_command('acme_eab_key')}",
}
"""What the settings that belong together have to fit, for the sentences on their faults."""
STRUCTURED = {
    name
    for name, field in Settings.model_fields.items()
    if advice.section(field.annotation) or get_origin(field.annotation) is list
}
"""Keys whose value is a section or a list."""
SECRETS = {name for name, field in Settings.model_fields.items() if advice.holds_secret(field.annotation)}
"""Keys whose value is a secret."""

"""Operators by name: those of the catalogue of clouds, of networks, of other services, and those that the stack file declares."""

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from classroom.common.errors import ClassroomError, WrongUseError
from classroom.common.hosts import is_address
from classroom.sovereignty import owners as owner_file
from classroom.sovereignty.catalogue import Cloud, Party, Region, load_catalogue, with_sources
from classroom.sovereignty.facts import DATA, Record, Source, first_error, read_yaml
from classroom.sovereignty.policy import DeclaredCloud, DeclaredOperator

SECOND_LEVEL = {"ac", "co", "com", "edu", "go", "gov", "gouv", "net", "or", "org"}
"""Second-level labels under which country registries register names for others (as in `.co.uk`)."""


class Service(Record):
    """An operator of services without a network of its own."""

    id: str
    operator: Party
    parent: Party | None = None
    missing: tuple[str, ...] = Field(default=(), description="What is not known, one sentence each.")

    @model_validator(mode="after")
    def _says_what_is_missing(self) -> Self:
        if not self.parent and not any("parent" in sentence.lower() for sentence in self.missing):
            raise ValueError("missing: add a sentence on why the parent is not known")
        return self


@functools.cache
def load_services(path: Path = DATA / "services.yaml") -> tuple[Service, ...]:
    """Return the file of services; ClassroomError naming file and key if it is unreadable or a fact lacks its source."""
    data = read_yaml(path)
    if not isinstance(data, dict) or not isinstance(data.get("services"), dict):
        raise ClassroomError(f"{path.name} describes no services: write the keys sources and services")
    try:
        sources = {key: Source.model_validate(value) for key, value in (data.get("sources") or {}).items()}
        return tuple(
            Service.model_validate({"id": key, **with_sources(value, sources)})
            for key, value in data["services"].items()
        )
    except (ValidationError, TypeError) as error:
        fault = first_error(path.name, error) if isinstance(error, ValidationError) else f"{path.name}: {error}"
        raise ClassroomError(fault) from None


class Operators:
    """All known operators with their owners, from the data files and the stack file, each in the form of a cloud."""

    def __init__(self, clouds: Iterable[DeclaredCloud] = (), operators: Iterable[DeclaredOperator] = ()) -> None:
        """Add what the stack file declares; WrongUseError if it declares a name that the data files already have."""
        public = [
            *load_catalogue().clouds,
            *map(_of_owner, owner_file.load().owners),
            *map(_of_service, load_services()),
        ]
        clouds, operators = tuple(clouds), tuple(operators)
        self._declared = [*(one.as_cloud() for one in clouds), *(one.as_cloud() for one in operators)]
        self._clouds = [*self._declared, *load_catalogue().clouds]
        self._all = [*self._declared, *public]
        taken = {name: one for one in public for name in _names(one)}
        for kind, names in (
            ("declared_cloud", [one.name for one in clouds]),
            ("declared_operators", [one.name for one in operators]),
        ):
            for name in names:
                if name.casefold() in taken:
                    raise WrongUseError(
                        f"{kind}: '{name}' is already known as {taken[name.casefold()].name}; remove the declaration"
                    )

    @property
    def all(self) -> list[Cloud]:
        """All operators, declared ones first."""
        return list(self._all)

    def named(self, name: str) -> Cloud | None:
        """Return the operator with this ID or name, in the data files or the stack file; case is ignored."""
        wanted = name.strip().casefold()
        return next((one for one in self._all if wanted in _names(one)), None)

    def of_host(self, host: str) -> Cloud | None:
        """Return the cloud to whose domains a host name belongs, by its Keystone's addresses; no name is resolved."""
        return next((cloud for cloud in self._clouds if within(cloud, host)), None)


def _of_owner(owner: owner_file.Owner) -> Cloud:
    return Cloud(
        id=owner.id,
        name=owner.operator.name if owner.operator else owner.id,
        operator=owner.operator,
        parent=owner.parent,
        missing=(*owner.missing, "keystone and regions: it is an operator of networks"),
    )


def _of_service(service: Service) -> Cloud:
    return Cloud(
        id=service.id,
        name=service.operator.name,
        operator=service.operator,
        parent=service.parent,
        missing=(*service.missing, "keystone and regions: it is an operator of services"),
    )


def _names(one: Cloud) -> set[str]:
    names = {one.id, one.name, *([one.operator.name] if one.operator else [])}
    return {name.casefold() for name in names}


def host_of(url: str) -> str:
    """Return the host of a URL in lower case, without port; an empty string if there is none."""
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def domain_of(host: str) -> str:
    """Return the domain that the other services of a Keystone's operator share with it.

    That is its name without the first label: `cloud.ovh.net` for `auth.cloud.ovh.net`. An address, a name of two labels, and
    a name directly below a registry's second level (`cloud.co.uk`) are domains themselves.
    """
    labels = host.split(".")
    if is_address(host) or len(labels) < 3:
        return host
    if len(labels) == 3 and len(labels[2]) == 2 and labels[1] in SECOND_LEVEL:
        return host
    return host.partition(".")[2]


def domains(cloud: Cloud) -> set[str]:
    """Return the domains of a cloud's services, by the addresses of its Keystone."""
    found = set()
    for key in cloud.keystone:
        host = host_of(key.url.replace("{region}", "-region-"))
        while "-region-" in host:
            host = host.partition(".")[2]
            if "-region-" not in host:
                found.add(host)
                break
        else:
            found.add(domain_of(host))
    return found


def within(cloud: Cloud, host: str) -> bool:
    """Return whether a host name is in one of a cloud's domains."""
    return any(host == domain or (host.endswith(f".{domain}") and not is_address(host)) for domain in domains(cloud))


def region_in(cloud: Cloud, host: str) -> Region | None:
    """Return the region of a cloud whose name is part of a host name, as `gra11` in `compute.gra11.cloud.ovh.net`."""
    return next((region for label in host.split(".") if (region := cloud.region(label))), None)

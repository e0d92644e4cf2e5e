"""Operator and owner of a network, by the number of its autonomous system.

`data/owners.yaml` belongs to this project; every fact names one of the sources that it lists. An operator in the catalogue of
clouds is taken from there, so that each fact has one place. A fact without a source is left out and explained under
`missing`; it counts as unknown.
"""

import functools
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from classroom.common.errors import ClassroomError
from classroom.sovereignty.catalogue import Catalogue, Fact, Party, load_catalogue, with_sources
from classroom.sovereignty.facts import DATA, Record, Source, first_error, read_yaml


class Abroad(Fact):
    """Countries in which a company other than the operator runs the places of its networks."""

    countries: tuple[str, ...] = Field(min_length=1, description="ISO 3166-1 alpha-2, in quotes.")


class Owner(Record):
    """Networks of one operator: their AS numbers, each with a word that its name in the address data must contain."""

    id: str
    networks: dict[int, str] = Field(min_length=1, description="AS number: a word of its name in the address data.")
    cloud: str | None = Field(default=None, description="Entry of the catalogue that describes operator and parent.")
    hosts: tuple[str, ...] = Field(
        default=(),
        description="Clouds of other operators whose machines have addresses in these networks.",
    )
    operator: Party | None = None
    parent: Party | None = None
    anycast: bool = Field(
        default=False,
        description="Whether each of its addresses is served from several places at once, so that none has a location.",
    )
    abroad: tuple[Abroad, ...] = Field(
        default=(), description="Where operator and parent are not known, as another company runs the places there."
    )
    missing: tuple[str, ...] = Field(default=(), description="What is not known, one sentence each.")

    @model_validator(mode="after")
    def _says_what_is_missing(self) -> Self:
        for key in ("operator", "parent"):
            if not getattr(self, key) and not self.cloud and not any(key in text.lower() for text in self.missing):
                raise ValueError(f"missing: add a sentence on why the {key} is not known")
        return self

    def named(self, number: int, name: str) -> bool:
        """Return whether a network's name in the address data still contains the recorded word."""
        return self.networks[number].casefold() in name.casefold()


def _prefix(value: str) -> str:
    ipaddress.ip_network(value)
    return value


class OwnerGroup(Fact):
    """Prefixes, and whole networks by AS number and a word of their name, for which location tables are not valid."""

    prefixes: tuple[Annotated[str, AfterValidator(_prefix)], ...] = ()
    networks: dict[int, str] = Field(default={})


class Owners(Record):
    """The file of owners, completed from the catalogue of clouds.

    `anycast`: addresses served from several places at once. `disputed`: addresses that other sources locate elsewhere.
    """

    owners: tuple[Owner, ...]
    anycast: tuple[OwnerGroup, ...] = ()
    disputed: tuple[OwnerGroup, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen: dict[int, str] = {}
        for owner in self.owners:
            for number in owner.networks:
                if number in seen:
                    raise ValueError(
                        f"AS{number} is listed under {seen[number]} and under {owner.id}; it has one operator"
                    )
                seen[number] = owner.id
        return self

    @functools.cached_property
    def by_number(self) -> dict[int, Owner]:
        """Owners by AS number."""
        return {number: owner for owner in self.owners for number in owner.networks}

    @functools.cached_property
    def _prefixes(self) -> dict[tuple[int, int], dict[int, tuple[str, OwnerGroup]]]:
        found: dict[tuple[int, int], dict[int, tuple[str, OwnerGroup]]] = {}
        for kind, groups in (("anycast", self.anycast), ("disputed", self.disputed)):
            for group in groups:
                for prefix in group.prefixes:
                    net = ipaddress.ip_network(prefix)
                    found.setdefault((net.version, net.prefixlen), {})[int(net.network_address)] = (kind, group)
        return found

    @functools.cached_property
    def _networks(self) -> dict[int, tuple[str, OwnerGroup]]:
        groups = (("disputed", self.disputed), ("anycast", self.anycast))
        return {number: (kind, group) for kind, listed in groups for group in listed for number in group.networks}

    def unplaced_prefixes(self) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Yield every prefix for which location tables are not valid."""
        for group in (*self.anycast, *self.disputed):
            yield from map(ipaddress.ip_network, group.prefixes)

    def of_cloud(self, cloud: str) -> tuple[Owner, ...]:
        """Return the owners of the networks in which a cloud's machines have their addresses."""
        return tuple(owner for owner in self.owners if cloud in (owner.cloud, *owner.hosts))

    def unplaced(
        self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, number: int | None
    ) -> tuple[str, OwnerGroup] | None:
        """Return why location tables are not valid for an address (`anycast` or `disputed`) with the fact, else None.

        `number` is the AS number of the network that announces the address.
        """
        if number in self._networks:
            return self._networks[number]
        value, bits = int(address), address.max_prefixlen
        for (version, length), nets in self._prefixes.items():
            if version == address.version and (found := nets.get(value >> (bits - length) << (bits - length))):
                return found
        return None


def _fill(owner: Owner, catalogue: Catalogue) -> Owner:
    if owner.cloud is None:
        return owner
    cloud = catalogue.named(owner.cloud)
    if cloud is None:
        raise ClassroomError(f"owners.yaml: {owner.id}.cloud: '{owner.cloud}' is not in the catalogue of clouds")
    return owner.model_copy(
        update={
            "operator": owner.operator or cloud.operator,
            "parent": owner.parent or cloud.parent,
            "missing": (*owner.missing, *cloud.missing),
        }
    )


@functools.cache
def load(path: Path = DATA / "owners.yaml") -> Owners:
    """Return the file of owners; ClassroomError naming file and key if it is unreadable or a fact lacks its source."""
    data = read_yaml(path)
    if not isinstance(data, dict) or not isinstance(data.get("owners"), dict):
        raise ClassroomError(f"{path.name} describes no owners: write the keys sources, owners, anycast and disputed")
    try:
        sources = {key: Source.model_validate(value) for key, value in (data.get("sources") or {}).items()}
        listed = [{"id": key, **with_sources(value, sources)} for key, value in data["owners"].items()]
        groups = {key: with_sources(data.get(key) or [], sources) for key in ("anycast", "disputed")}
        owners = Owners.model_validate({"owners": listed, **groups})
    except (ValidationError, TypeError) as error:
        fault = first_error(path.name, error) if isinstance(error, ValidationError) else f"{path.name}: {error}"
        raise ClassroomError(fault) from None
    catalogue = load_catalogue()
    return owners.model_copy(update={"owners": tuple(_fill(owner, catalogue) for owner in owners.owners)})

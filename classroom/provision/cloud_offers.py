"""Find what a cloud offers for a classroom, and what of it is sound: regions, images, flavours, external networks."""

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classroom.common.errors import RefusedError
from classroom.config import guest
from classroom.config.capacity import Need
from classroom.config.declarations import Declarations
from classroom.sovereignty.cloud_services import cloud_at, declared_at
from classroom.sovereignty.policy import CheckResult, check

GUEST_NAME = re.compile(rf"{guest.DISTRIBUTION}\D*({guest.VERSION}\b|{guest.CODENAME})", re.I)
PROCESSORS = {"", "x86_64", "amd64", "x86-64"}
"""Names of the only processor architecture for which services are built."""
LEAST_DISK = 8
"""GiB of disk for the system, its packages and its logs."""


@dataclass(frozen=True)
class Offer:
    """Something that the cloud has: its name, what is said beside it, and whether it fits."""

    value: str
    why: str
    sound: bool = True


def judge_regions(auth_url: str, names: Iterable[str], rules: Declarations) -> list[tuple[Offer, CheckResult]]:
    """Return each region of a cloud with the gate's verdict, those that the policy allows first."""
    found = []
    for name in names:
        result = check(
            auth_url,
            name,
            rules.policy,
            exceptions=rules.exceptions,
            declared_cloud=declared_at(rules, auth_url),
            as_of=datetime.date.today(),
            ages=rules.ages,
        )
        soil = next(reason for reason in result.reasons if reason.about == "soil")
        bad = [reason for reason in result.reasons if reason.verdict != "allowed"]
        why = (bad[0] if bad else soil).fact
        found.append((Offer(name, f"{result.verdict}: {why}", result.verdict == "allowed"), result))
    return sorted(found, key=lambda one: (not one[0].sound, one[0].value))


def refuse_cloud(auth_url: str, region: str, rules: Declarations) -> None:
    """Raise RefusedError, without any request, if the policy allows no region of the cloud, or not the one that is named."""
    cloud = cloud_at(rules, auth_url)
    names = [region] if region else [one.name for one in cloud.regions] if cloud else [""]
    judged = judge_regions(auth_url, [name or "unknown" for name in names], rules)
    if judged and not any(offer.sound for offer, _ in judged):
        raise RefusedError(judged[0][1].message)


def image_offers(images: Sequence[Mapping[str, Any]]) -> list[Offer]:
    """Return the images, those with the guest system first, the newest of them first."""
    names = [str(image.get("name") or "") for image in images]
    found: list[tuple[str, Offer]] = []
    for image, name in zip(images, names, strict=True):
        system = f"{image.get('os_distro') or ''} {image.get('os_version') or ''}"
        processor = str(image.get("architecture") or "")
        if not GUEST_NAME.search(name) and not GUEST_NAME.search(system):
            offer = Offer(name, f"does not say that it is {guest.NAME}", sound=False)
        elif names.count(name) > 1:
            offer = Offer(name, f"{names.count(name)} images have this name", sound=False)
        elif processor not in PROCESSORS:
            offer = Offer(name, f"is for {processor} processors", sound=False)
        else:
            offer = Offer(name, f"{guest.NAME}, created {str(image.get('created_at') or 'at an unknown time')[:10]}")
        found.append((str(image.get("created_at") or ""), offer))
    ordered = sorted(found, key=lambda one: one[0], reverse=True)
    return list({offer.value: offer for _, offer in sorted(ordered, key=lambda one: not one[1].sound)}.values())


def flavor_offers(flavors: Sequence[Mapping[str, Any]], image: Mapping[str, Any], need: Need) -> list[Offer]:
    """Return the flavours, those that fit first, the smallest of them first."""
    disk, memory = max(LEAST_DISK, image.get("min_disk") or 0), max(need.memory, image.get("min_ram") or 0)
    found = []
    for flavor in flavors:
        size = f"{flavor['vcpus']} processor{'' if flavor['vcpus'] == 1 else 's'}, {flavor['ram']} MiB, disk {flavor['disk']} GiB"
        lacks = [
            word
            for word, there, wanted in (
                (f"{need.processors} processors", flavor["vcpus"], need.processors),
                (f"{memory} MiB of memory", flavor["ram"], memory),
                (f"{disk} GiB of disk", flavor["disk"], disk),
            )
            if there < wanted
        ]
        why = f"{size}; {'needed: ' + ', '.join(lacks) if lacks else need.why}"
        order = (bool(lacks), flavor["vcpus"], flavor["ram"], flavor["disk"], flavor["name"])
        found.append((order, Offer(str(flavor["name"]), why, not lacks)))
    return [offer for _, offer in sorted(found, key=lambda one: one[0])]


def network_offers(networks: Sequence[Mapping[str, Any]]) -> list[Offer]:
    """Return the external networks, the cloud's default first."""
    names = [str(network["name"]) for network in networks]
    found = [
        Offer(
            name,
            "the cloud's default" if network.get("is_default") else "an external network of the cloud",
            names.count(name) == 1,
        )
        for network, name in zip(networks, names, strict=True)
    ]
    defaults = [offer for offer in found if offer.why == "the cloud's default"]
    return [*defaults, *(offer for offer in found if offer not in defaults)]


def the_one(offers: Sequence[Offer], *, preferred: bool = False) -> str | None:
    """Return the only sound offer, or with `preferred` the first; None if there is no such one."""
    sound = [offer.value for offer in offers if offer.sound]
    return sound[0] if sound and (preferred or len(sound) == 1) else None
